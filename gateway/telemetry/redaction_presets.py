"""The patterns that `gateway-logging-config` knows by name.

Every repetition is bounded, so that no text takes more than a small multiple of its length to search. They
would rather mask too much than too little, but a number that carries a check digit has to add up: else every
time in milliseconds were a card. Numbers without one (passports of most states, for example) are known by
their form alone, and so are others that have it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.telemetry.check_digits import is_icao, is_luhn, is_verhoeff
from gateway.telemetry.redaction_words import WORDS, word_pattern

MASK: Final = "[REDACTED]"

_SHORTEST_CARD: Final = 13
_LONGEST_CARD: Final = 19
_WITH_CHECK_DIGIT: Final = 10
_SEPARATORS: Final = re.compile("[ -]")

Replacement = str | Callable[[re.Match[str]], str]


def _mask_address(match: re.Match[str]) -> str:
    """Masks what is an IPv6 address; a time of day looks like one to a pattern."""
    try:
        ipaddress.IPv6Address(match[0])
    except ValueError:
        return match[0]
    return MASK


def _mask_card(match: re.Match[str]) -> str:
    """Masks what has a card's number in it: some of its groups together that add up.

    All of it is masked then, since what stands beside a card's number is mostly its date.
    """
    groups = _SEPARATORS.split(match[0])
    for first in range(len(groups)):
        for last in range(first, len(groups)):
            digits = "".join(groups[first : last + 1])
            if _SHORTEST_CARD <= len(digits) <= _LONGEST_CARD and is_luhn(digits):
                return MASK
    return match[0]


def _mask_aadhaar(match: re.Match[str]) -> str:
    """Masks what adds up."""
    return MASK if is_verhoeff(_SEPARATORS.sub("", match[0])) else match[0]


def _mask_german_passport(match: re.Match[str]) -> str:
    """Masks nine characters, and ten if the last is the check digit of the others."""
    return MASK if len(match[0]) < _WITH_CHECK_DIGIT or is_icao(match[0]) else match[0]


def _alone(pattern: str) -> str:
    """*pattern* where no letter or digit stands before or after."""
    return rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])"


def _digits(pattern: str) -> str:
    """*pattern* where no digit stands before or after."""
    return rf"(?<![0-9]){pattern}(?![0-9])"


PATTERNS: Final[Mapping[str, str]] = {
    "us_ssn": r"(?<![0-9-])[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}(?![0-9-])",
    "us_ssn_no_dash": _digits("[0-9]{9}"),
    "email": r"(?<![\w.%+-])[\w.%+-]{1,256}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",
    "us_phone": r"(?<![0-9+])(?:\+?1[ .-]?)?\(?[0-9]{3}\)?[ .-]?[0-9]{3}[ .-]?[0-9]{4}(?![0-9])",
    "india_aadhaar": _digits("[2-9][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}"),
    "india_pan": r"(?<![A-Za-z0-9])[A-Z]{5}[0-9]{4}[A-Z](?![A-Za-z0-9])",
    "visa": _digits("4[0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,4}"),
    "mastercard": _digits("(?:5[1-5][0-9]{2}|2[2-7][0-9]{2})(?:[ -]?[0-9]{4}){3}"),
    "amex": _digits("3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}"),
    "discover": _digits("6(?:011|4[4-9][0-9]|5[0-9]{2})(?:[ -]?[0-9]{4}){3}"),
    "credit_card": _digits("[0-9](?:[ -]?[0-9]){12,18}"),
    "aws_access_key": (
        r"(?<![A-Za-z0-9])(?:ABIA|ACCA|AGPA|AIDA|AIPA|AKIA|ANPA|ANVA|AROA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    ),
    "aws_secret_key": r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    "github_token": r"(?<![A-Za-z0-9])(?:gh[oprsu]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})",
    "slack_token": r"(?<![A-Za-z0-9])(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,255}",
    "generic_api_key": (
        r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|ak|key|api|token)[-_][A-Za-z0-9_-]{16,256}|AIza[A-Za-z0-9_-]{35}"
        r"|[Bb]earer [A-Za-z0-9._~+/=-]{16,4096})"
        r"|(?i:api[_-]?key|access[_-]?token|secret|password|passwd)[\"']?[ ]{0,4}[:=][ ]{0,4}[\"']?"
        r"[^\s\"',;]{6,256}"
    ),
    "ipv4": r"(?<![0-9.])(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
    r"(?![0-9])",
    "ipv6": r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![0-9A-Za-z:])",
    "url": r"(?<![A-Za-z])(?:https?|ftp)://[^\s<>\"']{1,4096}",
    "passport_us": _alone("[A-Z][0-9]{8}|[0-9]{9}"),
    "passport_uk": _alone("[0-9]{9}"),
    # No vowels, so that no word is meant; one digit at least, as a rule many.
    "passport_germany": _alone("(?=[A-Z]{0,8}[0-9])[CFGHJK][CFGHJKLMNPRTVWXYZ0-9]{8}[0-9]?"),
    "passport_france": _alone("[0-9]{2}[A-Z]{2}[0-9]{5}"),
    "passport_netherlands": _alone("[A-NP-Z]{2}[A-NP-Z0-9]{6}[0-9]"),
    "passport_canada": _alone("[A-Z]{2}[0-9]{6}|[A-Z][0-9]{6}[A-Z]{2}"),
    "passport_india": _alone("[A-PR-WY][ -]?[0-9]{7}"),
    "passport_australia": _alone("[A-Z]{1,2}[0-9]{7}"),
    "passport_china": _alone("G[0-9]{8}|E[A-HJ-NP-Z0-9][0-9]{7}|[DPS][E0-9]?[0-9]{7}"),
    "passport_japan": _alone("[A-Z]{2}[0-9]{7}"),
    **{name: word_pattern(words) for name, words in WORDS.items()},
}
"""Each preset as a regular expression."""

_FOUR_DIGITS: Final = r"[0-9][ .-]?[0-9][ .-]?[0-9][ .-]?[0-9]"
_NEEDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("us_ssn", "us_ssn_no_dash", "us_phone", "india_aadhaar", "india_pan", "credit_card"), _FOUR_DIGITS
    ),
    **dict.fromkeys(("visa", "mastercard", "amex", "discover"), _FOUR_DIGITS),
    **dict.fromkeys(
        [
            f"passport_{state}"
            for state in ("us", "uk", "france", "canada", "india", "australia", "china", "japan")
        ],
        "[0-9]{4}",
    ),
    **dict.fromkeys(("passport_germany", "passport_netherlands"), "[0-9]"),
    "email": "@",
    "url": "://",
    "ipv4": r"[0-9]\.[0-9]",
    "ipv6": ":[0-9A-Fa-f:]",
    "aws_access_key": "A[BCGIKNRS][ACDIOP][A-Z]",
    "github_token": "g(?:h[oprsu]|ithub_pat)_",
    "slack_token": "x(?:ox|app)",
    # Each begins with a letter of its own and no set of them, which is what the search is quick by.
    "generic_api_key": "|".join(
        [
            *(f"{mark}[A-Za-z0-9_-]{{16}}" for mark in "-_"),
            *(f"{scheme} [A-Za-z0-9._~+/=-]{{16}}" for scheme in ("Bearer", "bearer")),
            *(f"{mark}[ ]{{0,4}}[\"']?[^\\s\"',;]{{6}}" for mark in ":="),
            "AIza",
        ]
    ),
}
"""What a text must have for a preset to find anything: a search that is five to twenty times quicker, since
it begins with one kind of letter and not with a look behind, and that is enough for most texts.
"""

_REPLACEMENTS: Final[Mapping[str, Replacement]] = {
    "ipv6": _mask_address,
    "india_aadhaar": _mask_aadhaar,
    "passport_germany": _mask_german_passport,
    **dict.fromkeys(("visa", "mastercard", "amex", "discover", "credit_card"), _mask_card),
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is masked, and how.

    Attributes:
        need: Found in every text that `pattern` finds something in; None: not known.
        replacement: A text as it is, never a template, or what makes one of a match.
    """

    pattern: re.Pattern[str]
    replacement: Replacement
    need: re.Pattern[str] | None = None


def preset(name: str) -> Pattern:
    """The pattern of a preset."""
    need = _NEEDS.get(name)
    return Pattern(
        re.compile(PATTERNS[name]),
        _REPLACEMENTS.get(name, MASK),
        None if need is None else re.compile(need),
    )
