"""What came of a test call of a model, and what an operator can do about it, in plain words.

Pure: what is known of the call goes in. `RULES` is the whole knowledge, the first rule that fits speaks;
docs/dashboard.md shows the same table, and a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.delivery.advice import Rule, Words

_SUCCESS: Final = range(200, 300)
_SERVER_ERRORS: Final = range(500, 600)
_LONGEST: Final = 300
# What a caller is told and no more; what follows it says why.
_NO_CONNECTION: Final = "The provider could not be reached: no connection was possible. "


@dataclass(frozen=True, slots=True)
class Tried:
    """One test call, as far as it is known.

    Attributes:
        status: What a caller would have got.
        code: Why it failed, as in the errors of the data plane; "" when it is good, or the provider's own.
        provider_status: What the provider answered last, 0 when it did not.
        message: What the provider, or our own exception, said; without secrets.
        answer: The beginning of what the model said.
        answered_by: Which target, "" for none.
        took_ms: Until the answer, or until it was clear that none comes.
    """

    status: int
    code: str = ""
    provider_status: int = 0
    message: str = ""
    answer: str = ""
    answered_by: str = ""
    took_ms: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether a model has answered."""
        return self.status in _SUCCESS and not self.code

    def says(self, pattern: str) -> bool:
        """Whether the message matches, in any case."""
        return re.search(pattern, self.message, re.IGNORECASE) is not None


def _answered(*statuses: int) -> Callable[[Tried], bool]:
    return lambda tried: tried.provider_status in statuses


def _ours(code: str, pattern: str = "") -> Callable[[Tried], bool]:
    return lambda tried: tried.code == code and tried.says(pattern)


def _no_credit(tried: Tried) -> bool:
    is_such = tried.provider_status == 402 or tried.says("insufficient.quota|credit balance|billing")  # noqa: PLR2004 - Payment Required
    return is_such and tried.provider_status in (400, 402, 403, 429)


RULES: Final[tuple[Rule[Tried], ...]] = (
    Rule(
        "The key cannot be read",
        "Set the variable where the gateway starts, put the key into the file, or type the key itself here: "
        "it is kept in a file of its own and not shown again.",
        _ours("secret_missing"),
    ),
    Rule(
        "The account has no credit",
        "The key is right. Look at the billing page of the provider.",
        _no_credit,
    ),
    Rule(
        "The provider refuses the key",
        "Copy it again, whole and without blanks, and look whether it belongs to this provider, project and "
        "region, and has not been revoked.",
        _answered(401),
    ),
    Rule(
        "The key may not use this model",
        "The provider knows the key. Give it the right to this model there, or ask for access to the model.",
        _answered(403),
    ),
    Rule(
        "The provider has no such model, or nothing at this address",
        "Compare the model's ID with the provider's list, letter by letter; then the base URL, which often "
        "ends in /v1.",
        _answered(404),
    ),
    Rule(
        "The provider asks for patience",
        "Address, key and model are right; a limit of the provider is reached. Try again in a minute, or "
        "have the limit raised there.",
        _answered(429),
    ),
    Rule(
        "The provider does not take the call",
        "Its words say why. Often the model is of another kind than its model types say, or the ID is wrong.",
        lambda tried: 400 <= tried.provider_status < 500,  # noqa: PLR2004 - what HTTP calls the client's errors
    ),
    Rule(
        "The provider has a fault of its own",
        "It was reached. Try again; if it stays so, look at the status page of the provider.",
        lambda tried: tried.provider_status in _SERVER_ERRORS,
    ),
    Rule(
        "The host name is not known",
        "Look for a slip in the address. If it is right, this machine cannot look it up: see its DNS, or "
        "whether a proxy has to be set.",
        _ours("upstream_unreachable", r"DNS|getaddrinfo|name or service|name resolution|nodename"),
    ),
    Rule(
        "Nothing listens at this address",
        "Look at host and port, and whether the server runs. In a container, localhost is the container "
        "itself.",
        _ours("upstream_unreachable", r"refused|Connect call failed"),
    ),
    Rule(
        "TLS fails: the certificate is not trusted",
        "A company's proxy or a server of your own needs its CA among those of this machine "
        "(SSL_CERT_FILE), and the host name must be one of the certificate's.",
        _ours("upstream_unreachable", r"certificate"),
    ),
    Rule(
        "TLS fails: what listens there does not speak it",
        "Write http:// in place of https://, or the port for TLS.",
        _ours("upstream_unreachable", r"SSLError|\[SSL|WRONG_VERSION"),
    ),
    Rule(
        "There was no answer in time",
        "A firewall may swallow the call, or the model is slow to begin. Look at the address, then try "
        "again.",
        lambda tried: tried.code in ("upstream_timeout", "first_token_timeout"),
    ),
    Rule(
        "What answers there is no model's API",
        "Look at the base URL: it must be that of the API, not of a web page.",
        _ours("upstream_bad_reply"),
    ),
    Rule(
        "The provider could not be reached, or did not sign us in",
        "Its words say why: look at the address and at what signs in.",
        _ours("upstream_unreachable"),
    ),
    Rule(
        "No target can be asked now",
        "Each was passed over: its circuit is open, it is drained, or it cannot answer such a call.",
        _ours("no_target_available"),
    ),
)

_OTHERWISE: Final = Words("The call failed", "What was said of it is all that is known.")


def explain(tried: Tried) -> Words:
    """What to tell of a test call."""
    if tried.is_good:
        by = f" by {tried.answered_by}" if tried.answered_by else ""
        return Words(f"Answered{by}", "")
    found = next((Words(rule.what, rule.advice) for rule in RULES if rule.fits(tried)), _OTHERWISE)
    said = tried.message.removeprefix(_NO_CONNECTION).strip().rstrip(".")[:_LONGEST]
    status = f" ({tried.provider_status})" if tried.provider_status else ""
    return Words(f"{found.what}{status}: {said}" if said else f"{found.what}{status}", found.advice)
