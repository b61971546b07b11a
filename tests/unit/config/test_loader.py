"""Which files are read, and what becomes of those that cannot be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.loader import load
from gateway.config.plain_data import MAX_FILE_BYTES


def write(folder: Path, name: str, text: str = "type: t\nname: n\n") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def manifest(name: str) -> str:
    return f"type: t\nname: {name}\n"


def problems(path: Path) -> list[str]:
    return [f"{p.file.name}:{p.line}: {p.path}: {p.message}" for p in load(path).problems]


def names(path: Path) -> list[str]:
    loaded = load(path)
    assert loaded.problems == ()
    return [document.name for document in loaded.documents]


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (
            "type: t\nname: a\ntype: t\nname: b\n",
            "Keep one of them, or put a line '---' between two manifests",
        ),
        ("- type: t\n  name: a\n", "Write each item without '- ', and a line '---' between two of them"),
    ],
    ids=["nothing between", "a list"],
)
def test_several_in_a_file_without_a_line_between(tmp_path: Path, text: str, fix: str) -> None:
    """Who has not heard of that line is told of it."""
    [problem] = load(write(tmp_path, "m.yaml", text)).problems
    assert problem.fix == fix


def test_manifests_of_a_folder_in_order(tmp_path: Path) -> None:
    """Suffixes, folders, sorted by name; other files and dotted names are not looked at."""
    for name in ("b.yaml", "a.yml", "c/a.yaml", "d.json"):
        text = '{"type": "t", "name": "d.json"}' if name == "d.json" else manifest(name)
        write(tmp_path, name, text)
    for name in ("note.md", "e.yaml.bak", ".hidden.yaml", ".git/f.yaml", "c/..data/g.yaml"):
        write(tmp_path, name, "not: [a manifest")
    assert names(tmp_path) == ["a.yml", "b.yaml", "c/a.yaml", "d.json"]


def test_each_manifest_has_its_own_text(tmp_path: Path) -> None:
    """With its comments, and nothing of the others in the file; a text in it may have dashes."""
    texts = [
        "# of a\ntype: t\nname: a\n# still a\n",
        "---\n# of b\ntype: t\nname: b\nnote: |\n  ---\n  more\n...\n",
        "--- {type: t, name: c}  # of c\n",
        "---\n# nothing\n",
        "---\ntype: t\nname: d\n",
    ]
    write(tmp_path, "m.yaml", "".join(texts))
    del texts[3]
    assert [document.text for document in load(tmp_path).documents] == texts
    assert [document.text for document in load(write(tmp_path, "d.json", '{"type": "t"}')).documents] == [""]


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\x85", "\u2028", "\u2029"])
def test_lines_end_in_other_ways_too(tmp_path: Path, line_end: str) -> None:
    """As YAML ends them: in a text that was pasted, and around the marks."""
    pasted = "type: t\nname: a\nnote: '" + line_end * 8 + "'\n"
    texts = [
        pasted,
        f"---{line_end}# of b{line_end}type: t{line_end}name: b{line_end}",
        "---\ntype: t\nname: c\n",
    ]
    (tmp_path / "m.yaml").write_bytes("".join(texts).encode())
    assert [document.text for document in load(tmp_path).documents] == texts


def test_a_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    """Named by the operator, it is what they mean."""
    assert names(write(tmp_path, "manifests.conf")) == ["n"]


def test_a_mounted_config_map_is_loaded_once(tmp_path: Path) -> None:
    """Kubernetes mounts `a.yaml -> ..data/a.yaml` and `..data -> ..<time>`; references start at the mount."""
    write(tmp_path, "..2026_11_23/a.yaml", manifest("a"))
    (tmp_path / "..data").symlink_to("..2026_11_23")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    [document] = load(tmp_path).documents
    assert document.file == tmp_path / "a.yaml"


def test_links_are_followed_without_loops(tmp_path: Path) -> None:
    """A linked folder is read, one that leads back is not read again."""
    root = tmp_path / "config"
    write(tmp_path, "elsewhere/x.yaml", manifest("x"))
    write(root, "y.yaml", manifest("y"))
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "linked-too").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert names(root) == ["x", "y"]


def test_a_file_linked_twice_is_read_once(tmp_path: Path) -> None:
    """The same file under two names is one manifest, not the same manifest twice."""
    write(tmp_path, "a.yaml")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    assert names(tmp_path) == ["n"]


def test_several_documents_have_the_lines_of_the_file(tmp_path: Path) -> None:
    """Lines count from the start of the file."""
    loaded = load(write(tmp_path, "m.yaml", manifest("a") + "---\n" + manifest("b")))
    assert [(document.name, document.line, document.line_of(("name",))) for document in loaded.documents] == [
        ("a", 1, 2),
        ("b", 4, 5),
    ]


def test_a_name_is_optional_here(tmp_path: Path) -> None:
    """Some types of TrueFoundry's carry none."""
    assert names(write(tmp_path, "m.yaml", "type: t\n")) == ["default"]


def test_the_same_type_and_name_twice(tmp_path: Path) -> None:
    """The second is refused, and says where the first is."""
    write(tmp_path, "a.yaml", manifest("x"))
    write(tmp_path, "b.yaml", "# note\n" + manifest("x"))
    write(tmp_path, "c.yaml", "type: u\nname: x\n")
    assert problems(tmp_path) == [f"b.yaml:3: name: t 'x' is already in {tmp_path / 'a.yaml'}:1"]
    assert len(load(tmp_path).documents) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("name: x", "m.yaml:1: type: the manifest has no type", id="no type"),
        pytest.param("name: x\ntype: 3", "m.yaml:2: type: the manifest has no type", id="type is a number"),
        pytest.param(
            "- a\n- b", "m.yaml:1: (file): a manifest is a mapping of fields, this is not one", id="list"
        ),
        pytest.param(
            "\nhello", "m.yaml:2: (file): a manifest is a mapping of fields, this is not one", id="text"
        ),
        pytest.param(
            "type: t\ntype: u", "m.yaml:2: type: the key 'type' is written twice (first on line 1)", id="key"
        ),
        pytest.param(
            "a: [", "m.yaml:1: (syntax): not valid YAML: did not find expected node content", id="syntax"
        ),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, text: str, expected: str) -> None:
    """Each is one error with its line."""
    assert problems(write(tmp_path, "m.yaml", text)) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("id: a\ntype: t\nmanifest: {type: t, name: x}\n", id="one, with its type"),
        pytest.param("id: a\nmanifest: {type: t, name: x}\n", id="one"),
        pytest.param("data: {id: a, manifest: {type: t, name: x}}\n", id="one below data"),
        pytest.param("data: [{manifest: {type: t, name: x}}]\npagination: {total: 1}\n", id="several"),
    ],
)
def test_answers_of_their_api(tmp_path: Path, text: str) -> None:
    """What a tenant was read out with has the manifests within, and is told apart from a slip in one."""
    loaded = load(write(tmp_path, "m.yaml", text))
    assert loaded.documents == ()
    assert [(problem.path, problem.message, problem.fix) for problem in loaded.problems] == [
        (
            "(file)",
            "this is an answer of TrueFoundry's API, which has the manifest within",
            "Write what is below 'manifest' alone; of several each, with a line '---' between two of them",
        )
    ]


@pytest.mark.parametrize("text", ["type: t\nmanifest: {type: u}\n", "type: t\ndata: [{manifest: 3}]\n"])
def test_fields_of_those_names_are_no_answers(tmp_path: Path, text: str) -> None:
    """A type that is not built yet may have them."""
    assert problems(write(tmp_path, "m.yaml", text)) == []


def test_what_stands_before_a_syntax_error_is_read(tmp_path: Path) -> None:
    """So that its own errors are told in the same run."""
    loaded = load(write(tmp_path, "m.yaml", manifest("a") + "---\n'"))
    assert [document.name for document in loaded.documents] == ["a"]
    assert len(loaded.problems) == 1


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "m.yaml")


def too_large(folder: Path) -> None:
    (folder / "m.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))


def not_utf8(folder: Path) -> None:
    (folder / "m.yaml").write_bytes(b"a: 1\nb: \xff\n")


def dangling(folder: Path) -> None:
    (folder / "m.yaml").symlink_to("nowhere.yaml")


def link_to_itself(folder: Path) -> None:
    (folder / "m.yaml").symlink_to("m.yaml")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(fifo, "m.yaml:1: (syntax): not an ordinary file", id="pipe"),
        pytest.param(too_large, "m.yaml:1: (syntax): larger than 4 MiB", id="huge"),
        pytest.param(not_utf8, "m.yaml:2: (syntax): not UTF-8 text", id="not UTF-8"),
        pytest.param(
            dangling, "m.yaml:1: (file): cannot be opened: no such file or directory", id="dangling link"
        ),
        pytest.param(
            link_to_itself,
            "m.yaml:1: (file): cannot be opened: too many levels of symbolic links",
            id="link to itself",
        ),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], None], expected: str) -> None:
    """Each is one error; none blocks or fills the memory."""
    make(tmp_path)
    assert problems(tmp_path) == [expected]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    """The reason is the system's own."""
    write(tmp_path, "m.yaml").chmod(0)
    write(tmp_path, "closed/x.yaml").parent.chmod(0)
    try:
        assert problems(tmp_path) == [
            "closed:1: (file): cannot be listed: permission denied",
            "m.yaml:1: (syntax): cannot be read: permission denied",
        ]
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """One error, no traceback."""
    assert problems(tmp_path / "nowhere") == [
        "nowhere:1: (file): cannot be opened: no such file or directory"
    ]


def test_names_that_cannot_be_told(tmp_path: Path) -> None:
    """Of manifests and folders: the control API, which tells where they are, could not say it in JSON."""
    for name in (b"a\xff.yaml", b"b\xff.md", b"c\xff/d.yaml"):
        write(tmp_path, os.fsdecode(name))
    (tmp_path / os.fsdecode(b"link\xff.yaml")).symlink_to("nowhere")
    assert problems(tmp_path) == [
        r"a\xff.yaml:1: (file): its name is not UTF-8",
        r"c\xff:1: (file): its name is not UTF-8",
        r"link\xff.yaml:1: (file): its name is not UTF-8",
    ]


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    file = tmp_path / "m.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + manifest("a").encode())
    assert names(file) == ["a"]


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrong folder was named: none of it is read."""
    monkeypatch.setattr("gateway.config.loader._MAX_FILES", 2)
    for name in "abc":
        write(tmp_path, f"{name}.yaml", manifest(name))
    assert problems(tmp_path) == [f"{tmp_path.name}:1: (file): more than 2 manifest files"]
