"""What an account needs beside its secrets to sign in: a library, a file that is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.config.extras import AWS, AZURE, GOOGLE, Extra
from gateway.config.google_file import KIND_OF, read_credential_file
from gateway.config.manifests.aws_account import BedrockAccount, SagemakerAccount
from gateway.config.manifests.azure_account import CertificateAuth
from gateway.config.manifests.google_account import GoogleVertexAccount
from gateway.config.manifests.provider_account import ApiKeyAuth, ProviderAccount
from gateway.config.problem import Problem, Severity
from gateway.config.reading import Reading
from gateway.config.secrets import SecretMissing, SecretSource

_MEANWHILE: Final = "the account is unavailable"


def check_sign_in(readings: Sequence[Reading], secrets: SecretSource, missing: Severity) -> Iterator[Problem]:
    """Findings about accounts; *missing* is how grave it is that one cannot be used."""
    for reading in readings:
        account = reading.in_force
        if not isinstance(account, ProviderAccount):
            continue
        extra = _extra_of(account)
        if extra is not None and not extra.is_installed:
            yield reading.document.lack(missing, ("type",), extra.absence, extra.fix, meanwhile=_MEANWHILE)
        if isinstance(account, GoogleVertexAccount) and account.auth_data is not None:
            auth = account.auth_data
            try:
                text = secrets.resolve(auth.key_file_content, reading.document.folder)
            except SecretMissing:
                # Told where all secrets are looked at.
                continue
            try:
                read_credential_file(text, KIND_OF[auth.type])
            except SecretMissing as error:
                path = ("auth_data", "key_file_content")
                message = f"what stands there {error.what}"
                yield reading.document.lack(missing, path, message, error.fix, meanwhile=_MEANWHILE)


def _extra_of(account: ProviderAccount) -> Extra | None:
    if isinstance(account, GoogleVertexAccount):
        return GOOGLE
    if isinstance(account, BedrockAccount | SagemakerAccount):
        return None if isinstance(account.auth_data, ApiKeyAuth) else AWS
    return AZURE if isinstance(getattr(account, "auth_data", None), CertificateAuth) else None
