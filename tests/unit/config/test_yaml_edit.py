"""Only the text of what differs is replaced."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.yaml_edit import NotEditable, edit_document, is_same, to_yaml
from gateway.config.yaml_text import read_yaml

TEXT = """\
# above all
type: gateway-rate-limiting-config   # the type
name:   'limits'
rules:            # in order
    # the first
    - id: one     # its id
      limit_to: 10      # per minute
      unit: requests_per_minute
      when: {subjects: ["user:a@x.io",   "team:ml"], models: [ ]}
    -   id: "two"
        limit_to: 5

        # about the unit
        unit: requests_per_hour
note: |
    several
    lines
empty:
# below all
"""
BODY: dict[str, Any] = yaml.safe_load(TEXT)


def root_of(text: str) -> yaml.Node:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert node is not None
    return node


def edited(text: str, body: Any) -> str:
    """*text* saying *body*, which is checked."""
    node = root_of(text)
    changed = edit_document(text, node, yaml.safe_load(text), body)
    assert is_same([plain.value for plain in read_yaml(changed)], [body]), changed
    return changed


def with_value(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    body = copy.deepcopy(BODY)
    at: Any = body
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return body


def test_no_change() -> None:
    """Not a byte."""
    assert edited(TEXT, BODY) == TEXT


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("rules", 0, "limit_to"), 11, "limit_to: 10 ", "limit_to: 11 "),
        (("name",), "a'b", "'limits'", "'a''b'"),
        (("rules", 1, "id"), "three", '"two"', '"three"'),
        (("rules", 0, "when", "subjects", 1), "team: x", '"team:ml"', '"team: x"'),
        (
            ("rules", 0, "when", "subjects"),
            ["a", "b, c", 1],
            '["user:a@x.io",   "team:ml"]',
            "[a, 'b, c', 1]",
        ),
        (("rules", 0, "when", "models"), ["m"], "[ ]", "[m]"),
        (("note",), "one", "|\n    several\n    lines", "one"),
        (("empty",), 5, "empty:\n", "empty: 5\n"),
        (("empty",), {"a": 1}, "empty:\n", "empty:\n  a: 1\n"),
        (("rules", 0, "unit"), None, "unit: requests_per_minute", "unit: null"),
        (("rules",), [], TEXT[TEXT.index("            # in order") : TEXT.index("note")], ""),
    ],
    ids=[
        "number",
        "quoted",
        "double",
        "in brackets",
        "brackets",
        "empty list",
        "lines",
        "null",
        "map",
        "none",
        "all",
    ],
)
def test_one_value(path: tuple[str | int, ...], value: Any, old: str, new: str) -> None:
    """In its own quotes, and its comment stays."""
    changed = edited(TEXT, with_value(path, value))
    if new:
        assert changed == TEXT.replace(old, new)
    else:
        assert "rules: []            # in order\n    # the first\nnote" in changed


def test_a_key_goes() -> None:
    """With its line; the comment above it stays."""
    body = copy.deepcopy(BODY)
    del body["rules"][1]["unit"]
    assert edited(TEXT, body) == TEXT.replace("        unit: requests_per_hour\n", "")


def test_the_first_key_of_an_item_goes() -> None:
    """And the next one stands behind the dash."""
    body = copy.deepcopy(BODY)
    del body["rules"][1]["id"]
    assert "    -   limit_to: 5\n" in edited(TEXT, body)


def test_a_key_comes() -> None:
    """Below the others, as deep as they are."""
    body = copy.deepcopy(BODY)
    body["rules"][0]["note"] = {"a": ["b"]}
    where = "models: [ ]}\n"
    assert edited(TEXT, body) == TEXT.replace(where, f"{where}      note:\n        a:\n        - b\n")


def test_items_come_and_go() -> None:
    """The others stay as they are."""
    body = copy.deepcopy(BODY)
    body["rules"].append({"id": "three", "limit_to": 1})
    appended = edited(TEXT, body)
    where = "        unit: requests_per_hour\n"
    assert appended == TEXT.replace(where, f"{where}    - id: three\n      limit_to: 1\n")
    del body["rules"][0]
    assert '    # the first\n    -   id: "two"\n' in edited(TEXT, body)


def test_an_item_comes_first() -> None:
    """Above the first dash."""
    body = copy.deepcopy(BODY)
    body["rules"].insert(0, "zero")
    assert "    # the first\n    - zero\n    - id: one     # its id\n" in edited(TEXT, body)


def test_line_breaks_stay() -> None:
    """Of Windows too."""
    text = TEXT.replace("\n", "\r\n")
    body = with_value(("rules", 0, "new"), [1, 2])
    changed = edited(text, body | {"note": BODY["note"]})
    assert changed.replace("\r\n", "") == changed.replace("\r\n", "").replace("\n", "")


def test_without_a_break_at_the_end() -> None:
    """A line that comes begins on its own."""
    assert edited("a: 1", {"a": 1, "b": 2}) == "a: 1\nb: 2"


@pytest.mark.parametrize(
    "text", ["a: &x {b: 1}\nc: *x\n", "a: &x {b: 1}\nc:\n  <<: *x\n"], ids=["alias", "merge"]
)
def test_not_editable(text: str) -> None:
    """What one place says is said at another."""
    with pytest.raises(NotEditable):
        edited(text, {"a": {"b": 2}})


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 99),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=8),
    st.sampled_from(["yes", "1", "# a", "a: b", "-", "a\nb"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4)
    ),
    max_leaves=12,
)
BODIES = st.dictionaries(st.sampled_from("abcdef"), VALUES, min_size=1, max_size=5)


@given(before=BODIES, after=BODIES)
def test_any_change_says_what_it_is_to_say(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Or is refused, for the document to be replaced whole."""
    text = to_yaml(before)
    node = root_of(text)
    try:
        changed = edit_document(text, node, before, after)
    except NotEditable:
        return
    assert is_same([plain.value for plain in read_yaml(changed)], [after]), (text, changed)


@given(body=BODIES, data=st.data())
def test_every_other_line_stays(body: dict[str, Any], data: st.DataObject) -> None:
    """With the comment above it, and that above the value."""
    parts = {key: f"# above {key}\n{to_yaml({key: value})}" for key, value in body.items()}
    text = "".join(parts.values())
    key = data.draw(st.sampled_from(sorted(body)))
    after = body | {key: data.draw(VALUES)}
    node = root_of(text)
    try:
        changed = edit_document(text, node, body, after)
    except NotEditable:
        return
    at = list(parts).index(key)
    pieces = list(parts.values())
    assert changed.startswith("".join(pieces[:at]) + f"# above {key}\n{key}:")
    assert changed.endswith("".join(pieces[at + 1 :]))
    assert is_same([plain.value for plain in read_yaml(changed)], [after])
