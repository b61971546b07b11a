"""JSON is read as JSON, with lines, also where YAML would stumble."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.json_text import read_json
from gateway.config.plain_data import PlainDocument, UnreadableText

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def read_one(text: str) -> PlainDocument:
    [document] = read_json(text)
    return document


def test_an_object_is_one_document_with_lines() -> None:
    """Tabs, `1e5` and escaped slashes are JSON's own."""
    document = read_one('\n{\n\t"a": 1e5,\n\t"b": [\n\t\ttrue,\n\t\t{"c": "\\/\\ud83d\\ude00"}\n\t]\n}\n')
    assert document.value == {"a": 100000.0, "b": [True, {"c": "/😀"}]}
    assert document.line == 2
    assert document.lines == {("a",): 3, ("b",): 4, ("b", 0): 5, ("b", 1): 6, ("b", 1, "c"): 6}


def test_a_list_is_several_documents() -> None:
    """Each has lines of its own."""
    first, second = read_json('[{"a": 1},\n {"b":\n 2}]')
    assert (first.value, first.line, first.lines) == ({"a": 1}, 1, {("a",): 1})
    assert (second.value, second.line, second.lines) == ({"b": 2}, 2, {("b",): 2})


@pytest.mark.parametrize("text", ["", " \n\t "], ids=["nothing", "blank"])
def test_an_empty_file_has_no_document(text: str) -> None:
    """As in YAML."""
    assert list(read_json(text)) == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        pytest.param('{"a": 1,}', 1, "expected a name in double quotes", id="comma at the end"),
        pytest.param('{"a": 1\n"b": 2}', 2, "expected ','", id="comma missing"),
        pytest.param('{\n"a" 1}', 2, "expected ':'", id="colon missing"),
        pytest.param("{'a': 1}", 1, "expected a name in double quotes", id="single quotes"),
        pytest.param('{"a": NaN}', 1, "not valid JSON", id="not a number"),
        pytest.param('{"a": 1e999}', 1, "not a finite number", id="infinite"),
        pytest.param('{"a": 18446744073709551616}', 1, "beyond 64 bits", id="large number"),
        pytest.param('{"a": "\\ud800"}', 1, "broken Unicode", id="half a character"),
        pytest.param('{"a": ', 1, "not valid JSON", id="cut off"),
        pytest.param('{"a": 1}\n{"b": 1}', 2, "text after the end", id="two objects"),
        pytest.param(
            '{"a": 1,\n"a": 2}', 2, r"the key 'a' is written twice \(first on line 1\)", id="key twice"
        ),
        pytest.param("[" * 100_000, 1, "nested deeper than 64 levels", id="open brackets"),
        pytest.param("[" + "1," * 200_001 + "1]", 1, "expands to more than 200,000 values", id="long list"),
        pytest.param('{"a": ' + "9" * 5000 + "}", 1, "not valid JSON", id="endless number"),
    ],
)
def test_refusals_name_line_and_reason(text: str, line: int, message: str) -> None:
    """What is not JSON, or beyond the bounds, is refused where it stands."""
    with pytest.raises(UnreadableText, match=message) as caught:
        list(read_json(text))
    assert caught.value.line == line
    assert caught.value.fix


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 1, "\t"]))
def test_whatever_is_dumped_is_read_back(value: dict[str, Any], indent: int | str | None) -> None:
    """Property: the same values as the standard library gives, however the text is laid out."""
    assert read_one(json.dumps(value, indent=indent)).value == value


@settings(deadline=None)
@given(st.text(alphabet='{}[]",:0e-.\\utrn \n', max_size=40))
def test_what_the_standard_library_refuses_is_refused(text: str) -> None:
    """Property: never more lenient than `json`, and no other exception."""
    try:
        found = [document.value for document in read_json(text)]
    except UnreadableText:
        return
    if text.strip():
        value = json.loads(text)
        assert found == (value if isinstance(value, list) else [value])
