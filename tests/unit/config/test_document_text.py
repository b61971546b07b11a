"""One manifest is replaced, and not a character elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import Document
from gateway.config.document_text import (
    NotChangeable,
    NotReplaceable,
    append_document,
    append_text,
    own_text,
    remove_document,
    replace_document,
    replace_text,
    with_body,
)
from gateway.config.json_text import read_json
from gateway.config.plain_data import PlainDocument
from gateway.config.yaml_text import read_yaml

NEW = {"type": "t", "name": "new", "list": [1, {"a": "b: c"}]}

YAML, JSON = Path("m.yaml"), Path("m.json")


def stored(plain: PlainDocument, file: Path = YAML) -> Document:
    return Document("t", "n", plain.value, file, plain.line)


TEXT = """\
# the file's own words
type: first   # an account
name: a
---
# about the second
type: second
# inside: stays too
name: b
list:
  - x   # and this
  - {y: z}

# after the second

---
type: third
text: |
  kept
  as it is
"""


def test_yaml_around_it_stays() -> None:
    """Comments before and after, the other manifests."""
    changed = replace_document(TEXT, stored(list(read_yaml(TEXT))[1]), NEW)
    before, after = TEXT.partition("type: second")[0], TEXT.partition("- {y: z}")[2]
    assert changed.startswith(before)
    assert changed.endswith(after)
    assert [plain.value for plain in read_yaml(changed)][1] == NEW
    assert "# inside: stays too" in changed


@pytest.mark.parametrize("index", [0, 1, 2])
def test_each_of_several(index: int) -> None:
    """First, middle, last."""
    read = list(read_yaml(TEXT))
    changed = list(read_yaml(replace_document(TEXT, stored(read[index]), NEW)))
    expected = [NEW if number == index else plain.value for number, plain in enumerate(read)]
    assert [plain.value for plain in changed] == expected


@pytest.mark.parametrize(
    "text",
    [
        "{type: a, name: b}",
        "--- {type: a, name: b}\n",
        "{type: a,\n name: b}\n# end\n",
        "type: a\nname: b",
        "type: a\nname:\n",
        "type: a\r\nname: b\r\n# end\r\n",
        "%YAML 1.1\n---\ntype: a\n...\n---\ntype: b\n",
        "type: a\ntext: >\n  folded\n\n\n---\ntype: b\n",
        "type: a\nx: &anchor {y: 1}\nz: *anchor\n---\ntype: b\n",
        "type: a\nx: []\n",
    ],
)
def test_forms_of_yaml(text: str) -> None:
    """Flow, directives, no line end, block text, anchors."""
    read = list(read_yaml(text))
    changed = [plain.value for plain in read_yaml(replace_document(text, stored(read[0]), NEW))]
    assert changed == [NEW, *[plain.value for plain in read[1:]]]
    assert ("# end" in text) == ("# end" in replace_document(text, stored(read[0]), NEW))


def test_json() -> None:
    """A file of one, and of a list."""
    (only,) = read_json('{"type": "a"}')
    assert json.loads(replace_document('{"type": "a"}', stored(only, JSON), NEW)) == NEW
    for text in ('[\n{"type": "a"},\n{"type": "b"}\n]', '[{"type": "a"}, {"type": "b"}]'):
        second = list(read_json(text))[1]
        assert json.loads(replace_document(text, stored(second, JSON), NEW)) == [{"type": "a"}, NEW]


@pytest.mark.parametrize(
    ("text", "is_json"), [("type: a\n", False), ("x: [", False), ('{"type": "a"}', True), ("{", True)]
)
def test_a_file_that_is_another_now(text: str, *, is_json: bool) -> None:
    """Is not guessed at."""
    with pytest.raises(NotReplaceable):
        replace_document(text, Document("t", "n", {}, JSON if is_json else YAML, 7), NEW)


@pytest.mark.parametrize(
    ("text", "is_json", "expected"),
    [
        ("", False, [NEW]),
        ("type: a\n# end\n\n", False, [{"type": "a"}, NEW]),
        ("type: a", False, [{"type": "a"}, NEW]),
        ("type: |+\n  a\n\n\n", False, [{"type": "a\n\n\n"}, NEW]),
        ("", True, [NEW]),
        ('{"type": "a"}', True, [{"type": "a"}, NEW]),
        ('[{"type": "a"}]', True, [{"type": "a"}, NEW]),
    ],
)
def test_append(text: str, *, is_json: bool, expected: list[Any]) -> None:
    """One more at the end."""
    changed = append_document(text, JSON if is_json else YAML, NEW)
    assert [plain.value for plain in (read_json if is_json else read_yaml)(changed)] == expected


@pytest.mark.parametrize(("text", "file"), [("{", JSON), ("a: [", YAML)])
def test_append_to_what_cannot_be_read(text: str, file: Path) -> None:
    """It is left as it is."""
    with pytest.raises(NotReplaceable):
        append_document(text, file, NEW)


def test_what_would_change_another_manifest() -> None:
    """A block text at the end of a file that has no line end there would get one."""
    text = "type: a\n---\ntype: |\n  b"
    with pytest.raises(NotChangeable, match="others in it would change"):
        append_document(text, YAML, NEW)
    with pytest.raises(NotChangeable, match="others in it would change"):
        append_text(text, YAML, "type: new\n")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-_ .", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["type", "name", "x", "headers"]), VALUES, min_size=1))
def test_whatever_is_written_is_read_again(body: dict[str, Any]) -> None:
    """Also text that looks like a number, a date or true."""
    (first, _) = read_yaml("type: a\n---\ntype: b\n")
    changed = replace_document("type: a\n---\ntype: b\n", stored(first), body)
    assert list(yaml.safe_load_all(changed))[1] == {"type": "b"}
    assert next(plain.value for plain in read_yaml(changed)) == body


REGIONS = """\
# head
type: a   # first
---
# second
type: b
...
---  # marker
type: c
# tail
"""


@pytest.mark.parametrize(
    ("at", "own", "rest"),
    [
        (0, "# head\ntype: a   # first\n", REGIONS.partition("---")[1] + REGIONS.partition("---")[2]),
        (1, "# second\ntype: b\n", "# head\ntype: a   # first\n---  # marker\ntype: c\n# tail\n"),
        (2, "type: c\n# tail\n", REGIONS.partition("---  #")[0]),
    ],
)
def test_a_manifest_and_its_comments(at: int, own: str, rest: str) -> None:
    """Are shown, replaced and removed together."""
    document = stored(list(read_yaml(REGIONS))[at])
    assert own_text(REGIONS, document) == own
    replaced = replace_text(REGIONS, document, "# new\ntype: n\n")
    values = [plain.value for plain in read_yaml(REGIONS)]
    values[at] = {"type": "n"}
    assert [plain.value for plain in read_yaml(replaced)] == values
    assert "# new\ntype: n\n" in replaced
    removed = remove_document(REGIONS, document)
    assert [plain.value for plain in read_yaml(removed)] == values[:at] + values[at + 1 :]
    assert removed.replace("...\n", "") == rest.replace("...\n", "")


def test_the_only_one_is_removed() -> None:
    """Nothing is left."""
    assert remove_document("# a\ntype: a\n", stored(next(read_yaml("# a\ntype: a\n")))) == ""


def test_removed_from_json() -> None:
    """The others stay."""
    text = '[{"type": "a"}, {"type": "b"}]'
    plain = next(read_json(text))
    assert json.loads(remove_document(text, stored(plain, JSON))) == [{"type": "b"}]
    assert own_text(text, stored(plain, JSON)) == "type: a\n"
    assert json.loads(replace_text(text, stored(plain, JSON), "type: c\n"))[0] == {"type": "c"}


def test_added_as_text() -> None:
    """With its comments, below the others."""
    assert append_text("", YAML, "---\n# a\ntype: a\n") == "# a\ntype: a\n"
    assert append_text("type: b\n", YAML, "# a\ntype: a") == "type: b\n---\n# a\ntype: a\n"
    assert json.loads(append_text('{"type": "b"}', JSON, "# a\ntype: a")) == [{"type": "b"}, {"type": "a"}]
    for text in ("type: a\n---\ntype: b\n", "a: [", ""):
        with pytest.raises(NotReplaceable):
            append_text("type: b\n", YAML, text)


def test_with_a_body() -> None:
    """A text that cannot be read is replaced."""
    assert with_body("# c\na: 1 # one\n", {"a": 2}) == "# c\na: 2 # one\n"
    assert with_body("a: [", {"a": 2}) == "a: 2\n"
    assert with_body("a:\tb\ns\t\ts: 1\n", {"a": 2}) == "a: 2\n"


def test_lines_that_need_more_than_they_say() -> None:
    """What is shown of a manifest is that manifest: here it ends without a line end, which is not shown."""
    (plain,) = read_yaml("# a\ntype: |\n  b")
    (shown,) = read_yaml(own_text("# a\ntype: |\n  b", stored(plain)))
    assert shown.value == plain.value


def test_what_only_the_loader_reads() -> None:
    """Of two readers the one that knows places takes less: the line is named."""
    text = "type: a\ns\t\ts:\n- x\n"
    (plain,) = read_yaml(text)
    with pytest.raises(NotChangeable, match="in line 2"):
        replace_document(text, stored(plain), NEW)
    with pytest.raises(NotChangeable, match="in line 2"):
        own_text(text, stored(plain))
