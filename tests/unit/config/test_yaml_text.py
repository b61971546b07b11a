"""YAML is read with lines, refused with a reason, and never makes the reader work without bound."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.plain_data import MAX_DEPTH, PlainDocument, UnreadableText
from gateway.config.yaml_text import read_yaml


def read_one(text: str) -> PlainDocument:
    [document] = read_yaml(text)
    return document


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: yes\nb: off", {"a": True, "b": False}, id="yaml 1.1 truth"),
        pytest.param("a: 0x10\nb: 1_000\nc: 1.5", {"a": 16, "b": 1000, "c": 1.5}, id="numbers"),
        pytest.param("a: ~\nb:", {"a": None, "b": None}, id="null"),
        pytest.param("a: 2027-01-31", {"a": "2027-01-31"}, id="a date stays text"),
        pytest.param("a: 2027-13-45", {"a": "2027-13-45"}, id="no date, no error"),
        pytest.param("a: |\n  x\n  y\n", {"a": "x\ny\n"}, id="block text"),
        pytest.param("a: &x [1]\nb: *x", {"a": [1], "b": [1]}, id="alias"),
        pytest.param(
            "a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}",
            {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}},
            id="merge",
        ),
    ],
)
def test_values_are_those_of_the_safe_loader(text: str, expected: Any) -> None:
    """Values come out as everywhere else in the YAML world of Python, but dates stay text."""
    assert read_one(text).value == expected


def test_each_value_has_its_line() -> None:
    """A field's line is that of its key, an item's where it starts."""
    document = read_one("\n# note\na: 1\nb:\n  - x\n  - c: 2\n    d:\n      e: 3\n")
    assert document.line == 3
    assert document.lines == {
        ("a",): 3,
        ("b",): 4,
        ("b", 0): 5,
        ("b", 1): 6,
        ("b", 1, "c"): 6,
        ("b", 1, "d"): 7,
        ("b", 1, "d", "e"): 8,
    }


def test_merged_fields_have_the_line_where_they_are_written() -> None:
    """What comes by a merge key is mended where it stands; the mapping's own keys win."""
    document = read_one("base: &b\n  p: 1\n  q: {r: 1}\nuse:\n  <<: [*b]\n  p: 2\n")
    assert document.lines["use", "p"] == 6
    assert document.lines["use", "q"] == 3
    assert document.lines["use", "q", "r"] == 3


def test_documents_come_in_order_and_empty_ones_are_left_out() -> None:
    """`---` with nothing, or with comments only, is no manifest."""
    found = list(read_yaml("---\n# nothing\n---\na: 1\n---\n---\nb: 2\n"))
    assert [(document.value, document.line) for document in found] == [({"a": 1}, 4), ({"b": 2}, 7)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        pytest.param("a: 1\n  b: 2", 2, "not valid YAML: mapping values are not allowed", id="indentation"),
        pytest.param("a: 1\n\tb: 2", 2, "not valid YAML", id="tab"),
        pytest.param('a: "x', 1, "not valid YAML", id="open quote"),
        pytest.param("a: 1\nb: *nope", 2, "not valid YAML: found undefined alias", id="unknown alias"),
        pytest.param(
            "a: !!python/name:os.system x", 1, "not valid YAML: could not determine", id="python tag"
        ),
        pytest.param("a: 1\nb: \x01", 2, "a character that YAML does not allow", id="control character"),
        pytest.param(
            "a: 1\nb: 2\na: 3", 3, r"the key 'a' is written twice \(first on line 1\)", id="key twice"
        ),
        pytest.param("x:\n  - a: 1\n    a: 2", 3, "the key 'a' is written twice", id="key twice, deep"),
        pytest.param("<<: {a: 1}\n<<: {b: 1}", 2, "the key '<<' is written twice", id="merge key twice"),
        pytest.param("a: 1\n8080: x", 2, "the key '8080' is read as a number", id="number as key"),
        pytest.param("on: x", 1, "the key 'on' is read as true or false", id="truth as key"),
        pytest.param("a:\n  ~: x", 2, "the key '~' is read as nothing", id="nothing as key"),
        pytest.param("? [a]\n: b", 1, "a key must be text, not a list", id="list as key"),
        pytest.param("a: .inf", 1, "not a finite number", id="infinite"),
        pytest.param("a: .nan", 1, "not a finite number", id="not a number"),
        pytest.param("a:\n  - !!binary aGk=", 2, "a value of YAML type bytes", id="bytes"),
        pytest.param("a: !!set {x, y}", 1, "a value of YAML type set", id="set"),
        pytest.param("a: !!timestamp 2027-01-31", 1, "a value of YAML type date", id="explicit date"),
        pytest.param("a: " + "9" * 5000, 1, "a number cannot be read", id="endless number"),
        pytest.param("a: 1\nb: [18446744073709551616]", 2, "beyond 64 bits", id="large number"),
        pytest.param("a: -9223372036854775809", 1, "beyond 64 bits", id="large negative number"),
        pytest.param("a: 0x1" + "f" * 5000, 1, "beyond 64 bits", id="endless hexadecimal number"),
        pytest.param("a: &x [*x]", 1, "nested deeper", id="alias inside its anchor"),
    ],
)
def test_refusals_name_line_and_reason(text: str, line: int, message: str) -> None:
    """What is not plain data with text keys, each once, is refused where it stands."""
    with pytest.raises(UnreadableText, match=message) as caught:
        list(read_yaml(text))
    assert caught.value.line == line
    assert caught.value.fix


def test_a_key_written_twice_names_its_path() -> None:
    """The path of the second one is shown."""
    with pytest.raises(UnreadableText) as caught:
        list(read_yaml("x:\n  a: 1\n  a: 2"))
    assert caught.value.path == ("x", "a")


def bomb(depth: int, items: str) -> str:
    lines = [f"a0: &a0 [{items}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, depth)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(bomb(10, "x"), "expands to more than 200,000 values", id="aliases of aliases"),
        pytest.param("[" * 100_000, "nested deeper than 64 levels", id="open brackets"),
        pytest.param("{a: " * 100_000, "nested deeper than 64 levels", id="open braces"),
        pytest.param("\n".join("- " * 200 for _ in range(2)), "nested deeper than 64 levels", id="dashes"),
        pytest.param("[" + "x," * 200_001 + "]", "expands to more than 200,000 values", id="long list"),
        pytest.param(
            "a0: &a0 {x: 1}\n"
            + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)),
            "expands to more than 200,000 values",
            id="merges of merges",
        ),
    ],
)
def test_hostile_documents_are_bounded(text: str, message: str) -> None:
    """Neither nesting (libyaml would overflow the C stack) nor aliases can make a small file large."""
    with pytest.raises(UnreadableText, match=message):
        list(read_yaml(text))


def test_the_depth_that_is_allowed_is_read() -> None:
    """The bound is where it says."""
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert re.sub(r"\W", "", str(read_one(text).value)) == ""


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), PLAIN, min_size=1, max_size=4))
def test_whatever_is_dumped_is_read_back(value: dict[str, Any]) -> None:
    """Property: plain data survives, whatever its text looks like."""
    text = yaml.safe_dump(value, allow_unicode=False)
    assert read_one(text).value == value


@settings(deadline=None)
@given(st.text(alphabet="ab:-[]{}&*<!|>'\"#%? \n\t0", max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    """Property: every text is documents or one `UnreadableText`."""
    line = 1
    try:
        list(read_yaml(text))
    except UnreadableText as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1
