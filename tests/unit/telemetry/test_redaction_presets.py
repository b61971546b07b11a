"""The patterns known by name."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.manifests.logging_config import Preset
from gateway.telemetry.redaction_presets import MASK, PATTERNS, preset
from gateway.telemetry.redactor import Redactor
from tests.rig.examples import examples
from tests.rig.regex_steps import StepCounter

FOUND = {
    "us_ssn": ["078-05-1120", "078 05 1120"],
    "us_ssn_no_dash": ["078051120"],
    "email": ["ann@example.org", "ann.b+c@mail.example.co.uk", "größe@exämple.de"],
    "us_phone": ["555-123-4567", "(555) 123-4567", "+1 555 123 4567", "5551234567"],
    "india_aadhaar": ["2341 2341 2346", "999941057058"],
    "india_pan": ["ABCDE1234F"],
    "visa": ["4111 1111 1111 1111", "4111111111111111"],
    "mastercard": ["5500-0000-0000-0004", "2221000000000009"],
    "amex": ["3782 822463 10005", "378282246310005"],
    "discover": ["6011 1111 1111 1117", "6500000000000002"],
    "credit_card": ["4111 1111 1111 1111", "378282246310005", "6304 0000 0000 0000 000", "4222222222222"],
    "aws_access_key": ["AKIAIOSFODNN7EXAMPLE"],
    "aws_secret_key": ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
    "github_token": ["ghp_" + "a1" * 18, "github_pat_" + "a1" * 20],
    "slack_token": ["xoxb-123456789012-abcdef"],
    "generic_api_key": [
        "sk-proj-abcdefghijklmnop1234",
        "sk_live_abcdefghijklmnop",
        "AIza" + "b" * 35,
        "api_key=hunter22",
        'password: "hunter22"',
        "Bearer abcdefghijklmnopqrstuvwx",
    ],
    "ipv4": ["192.0.2.7", "255.255.255.255"],
    "ipv6": ["2001:db8::1", "fe80::1", "::1", "2001:0db8:0000:0000:0000:0000:0000:0001"],
    "url": ["https://example.org/a?b=c", "http://h", "ftp://h/x"],
    "passport_us": ["C12345678", "123456789"],
    "passport_uk": ["925665416"],
    "passport_germany": ["C01X00T47", "C01X00T478"],
    "passport_france": ["12AB34567"],
    "passport_netherlands": ["SPECI2014", "NP1234567"],
    "passport_canada": ["AB123456", "P123456AA"],
    "passport_india": ["J8369854", "J 8369854", "J-8369854"],
    "passport_australia": ["N1234567", "PA1234567"],
    "passport_china": ["G12345678", "E12345678", "EA1234567", "D1234567", "PE1234567"],
    "passport_japan": ["TK1234567"],
    "gender_sexual_orientation": ["non-binary", "Lesbians", "sexual orientation", "LGBTQ"],
    "race_ethnicity_national_origin": ["Hispanic", "ethnicity", "African-American", "national origin"],
    "religion": ["Buddhism", "Muslims", "synagogues", "Jehovah\N{RIGHT SINGLE QUOTATION MARK}s Witnesses"],
    "age_discrimination": ["elderly", "too old", "years old", "senior citizens"],
    "disability": ["disabled", "wheelchair", "Down syndrome", "visually impaired"],
    "marital_family_status": ["divorced", "single mothers", "pregnant", "wives"],
    "military_status": ["veterans", "active duty", "National Guard", "soldier"],
    "public_assistance": ["food stamps", "Medicaid", "housing voucher", "welfare"],
    "weapons_firearms": ["AR-15", "handguns", "ammunition", "sawed-off"],
    "weapons_other": ["machete", "nerve agents", "knives", "sword"],
    "explosives": ["pipe bombs", "TNT", "C-4", "detonators"],
    "violence_threats": ["going to kill", "murdered", "shoot you", "death threats"],
    "terrorism": ["suicide bombers", "terrorists", "Al-Qaeda", "jihadist"],
    "self_harm_suicide": ["kill myself", "suicidal", "self-harm", "don't want to live", "dont want to live"],
    "illegal_activities": ["money laundering", "drug dealers", "ransomware", "tax evasion"],
    "harassment_hate": ["hate speech", "racist", "white supremacists", "cyberbullying"],
}
LEFT = {
    "us_ssn": ["2024-12-24", "078-05-112"],
    "us_ssn_no_dash": ["12345678", "1234567890"],
    "email": ["a @ b", "@example", "me@localhost"],
    "us_phone": ["12345", "1.2.3"],
    "india_aadhaar": ["2341 2341 234", "2341 2341 2347", "1341 2341 2346"],
    "india_pan": ["ABCDE12345"],
    "visa": ["5500 0000 0000 0004", "4111 1111 1111 1112"],
    "mastercard": ["4111 1111 1111 1111", "5500 0000 0000 0005"],
    "amex": ["3982 822463 10005", "3782 822463 10006"],
    "discover": ["6111 1111 1111 1117", "6011 1111 1111 1118"],
    "credit_card": ["123456789012", "12 eggs", "1764108000123", "4111 1111 1111 1112"],
    "aws_access_key": ["AKIAIOSFODNN7EXAMPL"],
    "aws_secret_key": ["short"],
    "github_token": ["ghp_short"],
    "slack_token": ["xoxb-1"],
    "generic_api_key": ["a task-force of people", "the key is here", "sketch-book"],
    "ipv4": ["256.1.1.1", "1.2.3"],
    "ipv6": ["12:30:45", "a::b::c", "std::vector"],
    "url": ["example.org", "a//b"],
    "passport_us": ["CC1234567", "1234567890", "c12345678"],
    "passport_uk": ["92566541", "9256654161"],
    "passport_germany": ["C01X00T479", "CRYPTHJKL", "B01X00T47", "C01X00T4"],
    "passport_france": ["12A345678", "12ab34567", "123AB4567"],
    "passport_netherlands": ["SPECI201O", "OP1234567", "SPECI201"],
    "passport_canada": ["A123456", "AB1234567", "P12345AA"],
    "passport_india": ["Q8369854", "J836985", "J  8369854"],
    "passport_australia": ["N123456", "ABC1234567"],
    "passport_china": ["G1234567", "EI1234567", "F12345678"],
    "passport_japan": ["T1234567", "TK123456", "tk1234567"],
    "gender_sexual_orientation": ["gayly forward", "a maleness", "engender", "engendered"],
    "race_ethnicity_national_origin": ["raced", "horse racing", "embrace", "Asiatic"],
    "religion": ["scripture", "faithful", "sheikh"],
    "age_discrimination": ["page", "older versions", "cold", "language"],
    "disability": ["blinds", "an edit", "deadline"],
    "marital_family_status": ["marry the two tables", "midwife", "child process", "separated by commas"],
    "military_status": ["deployment of a pod", "the team serves", "knavery"],
    "public_assistance": ["food", "a section", "unemployment", "wellfare"],
    "weapons_firearms": ["begun", "gunner"],
    "weapons_other": ["taxes", "keyword"],
    "explosives": ["bombastic", "died", "rhododendron"],
    "violence_threats": ["kill the process", "shoot a film", "established", "constable"],
    "terrorism": ["crisis", "terrific", "hamster"],
    "self_harm_suicide": ["kill the job", "cut the rope", "die"],
    "illegal_activities": ["legal", "robust", "tax return", "installment"],
    "harassment_hate": ["hatch", "bull market", "race condition", "stale"],
}


def masked(name: str, text: str) -> str:
    return Redactor([preset(name)]).mask(text)


def test_each_preset_that_manifests_take_is_here() -> None:
    """And tested: a masking that is promised and not done would be the worst kind of gap."""
    assert set(PATTERNS) == set(get_args(Preset)) == set(FOUND) == set(LEFT)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOUND.items() for text in texts])
def test_found(name: str, text: str) -> None:
    """Alone, in a sentence, in quotes, and twice."""
    assert MASK in masked(name, text)
    assert text not in masked(name, f"Write {text}, please.")
    assert text not in masked(name, f'{{"a":"{text}"}}')
    assert masked(name, f"({text}) {text}").count(text) == 0


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in LEFT.items() for text in texts])
def test_left(name: str, text: str) -> None:
    """What only looks like it stays."""
    assert masked(name, text) == text


def test_a_card_beside_other_digits() -> None:
    """What stands beside it must not save it, whichever groups belong together."""
    for text in ("4111 1111 1111 1111 12", "12 4111-1111-1111-1111", "1 4111111111111111 9"):
        assert masked("credit_card", text) == MASK


ADVERSARIAL = [
    *("a", "1", "1 ", "1.", "a.", ":", "a:", "-", "a-", "x@", "a@a.", "(1", "A1", "/", "C1", "EE1", "::1"),
    *(
        "sk-",
        "api key ",
        "Bearer ",
        "password=",
        "https://a",
        "ghp_",
        "xoxb-1",
        "4111 ",
        "kill ",
        "self-",
        "\u00fc",
    ),
]
_STEPS_PER_CHARACTER = 200
"""Several times what the worst of them takes of the worst text found."""


@pytest.mark.parametrize("name", PATTERNS)
@given(pieces=st.lists(st.tuples(st.sampled_from(ADVERSARIAL), st.integers(1, 300)), min_size=1, max_size=3))
@settings(max_examples=examples(12))
def test_no_text_takes_more_than_a_multiple_of_its_length(name: str, pieces: list[tuple[str, int]]) -> None:
    """None that is built against a pattern; counted in steps of the search, and found where `re` finds it."""
    text = "".join(unit * times for unit, times in pieces)[:600]
    counter = StepCounter(PATTERNS[name])
    assert counter.spans(text) == [found.span() for found in re.finditer(PATTERNS[name], text)]
    assert counter.steps <= _STEPS_PER_CHARACTER * len(text)


@pytest.mark.parametrize("name", PATTERNS)
@given(text=st.text(st.sampled_from("aA1 .-:@/(sk=\u00fc")))
@settings(max_examples=examples(30))
def test_what_a_preset_needs_is_in_all_it_finds(name: str, text: str) -> None:
    """The quick look before the search must not spare a text that has something."""
    one = preset(name)
    for found in [*FOUND[name], text]:
        if one.need is not None and one.pattern.search(found):
            assert one.need.search(found)
