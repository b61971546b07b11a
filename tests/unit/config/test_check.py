"""A check tells everything at once, and gives a configuration only when there is no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import SecretSource, check
from gateway.config.document import Document
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text, found


def test_a_configuration(tmp_path: Path) -> None:
    """Each kind in its place, ordered by type and name, with its source."""
    openai = "type: provider-account/openai\nname: main\nintegrations: [{name: a, model_id: a}]\n"
    otel = (
        "type: gateway-otel-config\nname: {}\notel_traces_exporter_config: {{type: http, endpoint: "
        "'http://h'}}\n"
    )
    config = accepted_config(
        check_text(
            tmp_path, otel.format("z"), CALLER, ACCOUNT, otel.format("b"), openai, "type: policy\nname: t\n"
        )
    )
    assert [account.name for account in config.provider_accounts] == ["main", "lab"]
    assert [caller.name for caller in config.virtual_accounts] == ["app"]
    assert [destination.name for destination in config.otel_configs] == ["b", "z"]
    assert config.provider_accounts[0].integrations[0].name == "a"
    assert config.provider_accounts[0].source.file == tmp_path / "m.yaml"
    assert config.provider_accounts[0].source.line == 24
    assert len(config.documents) == 6


def test_settings_have_defaults(tmp_path: Path) -> None:
    """Without a manifest nothing is tried again; with one, what it says."""
    retry = accepted_config(check_text(tmp_path, ACCOUNT, CALLER)).global_settings.retry_settings
    assert (retry.attempts, retry.delay, retry.on_status_codes) == (0, 100, (429, 500, 502, 503))
    text = (
        "type: gateway-global-settings\nretry_settings: {attempts: 2, delay: 5, on_status_codes: "
        "['503', 429]}\n"
    )
    retry = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, text)).global_settings.retry_settings
    assert (retry.attempts, retry.delay, retry.on_status_codes) == (2, 5, (503, 429))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("type: virtual-account\nname: a\nmodels: ['*']\n", id="no account"),
        pytest.param("type: provider-account/elevenlabs\nname: a\n", id="none in force"),
        pytest.param("type: provider-account/aws\nname: a\n", id="none with models"),
        pytest.param("", id="nothing at all"),
    ],
)
def test_without_a_provider_account(tmp_path: Path, text: str) -> None:
    """There would be nothing to call."""
    checked = check_text(tmp_path, text)
    assert checked.config is None
    assert [str(error) for error in checked.errors] == [
        (
            f"{tmp_path}/m.yaml:1: (configuration): no provider account, so there is no model to call. "
            "Add a manifest of type provider-account/openai, or another of docs/providers.md"
        )
    ]


def test_a_provider_account_with_errors_is_one(tmp_path: Path) -> None:
    """It is not said to be missing."""
    assert not [
        line
        for line in found(check_text(tmp_path, ACCOUNT.replace("url:", "uri:"), CALLER))
        if "no provider" in line
    ]


def test_what_may_be_in_what_could_not_be_read(tmp_path: Path) -> None:
    """An account or a caller is not said to be missing, which would be told before the slip itself."""
    [broken] = found(check_text(tmp_path, ACCOUNT + "a: [*]\n", CALLER))
    assert broken.startswith("error 10 (syntax): not valid YAML")
    misspelt = found(check_text(tmp_path, ACCOUNT.replace("provider-account", "provider-acount"), CALLER))
    assert [line for line in misspelt if "(configuration)" in line] == []


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """That alone is told."""
    checked = check.check(tmp_path / "not", strict=False, secrets=SecretSource({}))
    assert found(checked) == [
        "error 1 (file): cannot be opened: no such file or directory. Name a folder or file that exists"
    ]


def test_a_folder_without_manifests(tmp_path: Path) -> None:
    """It is said which files count: those in it may have another ending."""
    (tmp_path / "manifest.yaml.txt").write_text(ACCOUNT)
    checked = check.check(tmp_path, strict=False, secrets=SecretSource({}))
    assert checked.config is None
    assert found(checked) == [
        (
            "error 1 (file): no manifest is in this folder: no file whose name ends in .yaml, .yml or .json. "
            "Put one there, or name another folder"
        )
    ]


def test_without_a_virtual_account(tmp_path: Path) -> None:
    """A warning: every call is refused."""
    checked = check_text(tmp_path, ACCOUNT)
    assert checked.config is not None
    assert found(checked) == [
        (
            "warning 1 (configuration): no virtual account, personal access token or identity provider, "
            "so every call is refused with 401. "
            "Add a manifest of type virtual-account or pat"
        )
    ]


@pytest.mark.parametrize(
    ("kind", "fix"),
    [
        ("provider-acount/openai", "Did you mean 'provider-account/openai'?"),
        ("virtual_account", "Did you mean 'virtual-account'?"),
        ("gateway-otel", "Did you mean 'gateway-otel-config'?"),
        ("Deployment", "'gateway schema' lists the known types"),
    ],
)
def test_unknown_types(tmp_path: Path, kind: str, fix: str) -> None:
    """An error, with the nearest known one."""
    [error] = check_text(tmp_path, ACCOUNT, CALLER, f"name: x\ntype: {kind}\n").errors
    assert (error.line, error.path, error.message, error.fix) == (17, "type", f"unknown type '{kind}'", fix)


def test_everything_at_once(tmp_path: Path) -> None:
    """Files that cannot be read, manifests that are wrong, what does not fit together: by file and line."""
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text(ACCOUNT.replace("url: http", "url: ftp"))
    (tmp_path / "c.yaml").write_text(CALLER.replace("tokens", "tokns") + "---\ntype: nothing\n")
    checked = check.check(tmp_path, strict=False, secrets=SecretSource({}))
    assert [(problem.file.name, problem.line, problem.severity.value) for problem in checked.problems] == [
        ("a.yaml", 1, "error"),
        ("b.yaml", 7, "error"),
        ("c.yaml", 1, "warning"),
        ("c.yaml", 3, "warning"),
        ("c.yaml", 6, "error"),
    ]


def test_strict_is_about_what_has_no_effect_and_secrets(tmp_path: Path) -> None:
    """Other warnings stay warnings."""
    texts = [ACCOUNT + "zzz: 1\n", CALLER]
    assert check_text(tmp_path, *texts, strict=True).config is not None
    assert check_text(tmp_path, *texts, "type: policy\nname: t\n", strict=True).config is None


def test_documents_that_are_loaded_already() -> None:
    """Of the accepted set, also when it is empty."""
    assert check.check_documents([], strict=False, secrets=SecretSource({})).config is None
    body = {
        "type": "provider-account/openai",
        "name": "main",
        "integrations": [{"name": "a", "model_id": "a"}],
    }
    document = Document("provider-account/openai", "main", body, Path("/c/m.yaml"), 3)
    checked = check.check_documents([document], strict=False, secrets=SecretSource({}))
    assert accepted_config(checked).provider_accounts[0].name == "main"
    assert [str(problem.file) for problem in checked.problems] == ["/c/m.yaml"]
