"""Manifests are written as an operator would have: checked first, whole, and nothing else touched."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import SecretSource, accepted, check
from gateway.config.manifest_files import (
    ChangedMeanwhile,
    Invalid,
    ManifestFiles,
    NoSuchManifest,
    NotWritable,
)
from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, documents

LIMITS = """\
# what may be asked
type: gateway-rate-limiting-config
name: limits   # ours
rules:
  # the first
  - id: everyone   # all
    when: {}
    limit_to: 10
    unit: requests_per_minute
# the end
"""
KIND = "gateway-rate-limiting-config"
OPENAI = """\
type: provider-account/openai
name: main
auth_data: {type: api-key, api_key: sk-literal-secret}   # to be moved
integrations:
  - {name: gpt, type: integration/model/openai, model_id: gpt-4o, model_types: [chat]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, LIMITS, CALLER))
    return tmp_path


@pytest.fixture
def files(folder: Path) -> ManifestFiles:
    return files_of(folder)


def files_of(path: Path) -> ManifestFiles:
    return ManifestFiles(path, strict=False, secrets=SecretSource({}, None))


def rule(limit_to: int = 5, name: str = "mine") -> dict[str, Any]:
    one = {"id": "everyone", "when": {}, "limit_to": limit_to, "unit": "requests_per_minute"}
    return {"type": KIND, "name": name, "rules": [one]}


def version(path: Path) -> str:
    config = check.check(path, strict=False, secrets=SecretSource({}, None)).config
    assert config is not None
    return config.version


def test_a_changed_value_changes_its_bytes_only(files: ManifestFiles, folder: Path) -> None:
    """Comments, the other manifests, the order."""
    before = (folder / "m.yaml").read_text()
    saved = files.put(KIND, "limits", rule(25, "limits"))
    assert (folder / "m.yaml").read_text() == before.replace("limit_to: 10", "limit_to: 25")
    assert saved.version == version(folder)
    assert saved.shown == files.find(KIND, "limits")


def test_a_new_one_has_a_file_of_its_type(files: ManifestFiles, folder: Path) -> None:
    """Slashes are none in a file's name; the next of the type goes there too."""
    body = {"name": "main", "auth_data": {"type": "api-key", "api_key": "env:K"}, "integrations": []}
    files.put("provider-account/openai", "main", body)
    file = folder / "provider-account-openai.yaml"
    assert files.find("provider-account/openai", "main").file == file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    files.put("provider-account/openai", "other", body | {"name": "other"})
    assert len(files.all("provider-account/openai")) == 2
    assert file.read_text().count("---") == 1


def test_text_with_comments(files: ManifestFiles, folder: Path) -> None:
    """As it was typed, in the place of the manifest's lines."""
    before = (folder / "m.yaml").read_text()
    text = files.text(KIND, "limits")
    assert text == LIMITS
    typed = text.replace("# the first", "# the only").replace("limit_to: 10", "limit_to: 11")
    files.put(KIND, "limits", typed)
    assert (folder / "m.yaml").read_text() == before.replace(LIMITS, typed)
    new = "# new\n" + TEAM + "# below\n"
    files.put("team", "ml", new)
    assert files.text("team", "ml") == new


def test_mode_and_link_stay(folder: Path, files: ManifestFiles) -> None:
    """An operator may have the file elsewhere, and readable for others."""
    real = folder.parent / "elsewhere.yaml"
    (folder / "m.yaml").rename(real)
    real.chmod(0o640)
    (folder / "m.yaml").symlink_to(real)
    files.put(KIND, "limits", rule(7, "limits"))
    assert (folder / "m.yaml").is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert "limit_to: 7" in real.read_text()
    real.unlink()


def test_removing(files: ManifestFiles, folder: Path) -> None:
    """With its comments; a file of nothing else goes too."""
    assert files.remove(KIND, "limits") == version(folder)
    assert (folder / "m.yaml").read_text() == documents(ACCOUNT, CALLER)
    files.put(KIND, "mine", rule())
    files.remove(KIND, "mine")
    assert [path.name for path in folder.iterdir()] == ["m.yaml"]
    with pytest.raises(NoSuchManifest):
        files.remove(KIND, "mine")


def test_what_others_need_is_not_removed(files: ManifestFiles, folder: Path) -> None:
    """The whole configuration is checked without it."""
    before = (folder / "m.yaml").read_text()
    with pytest.raises(Invalid) as error:
        files.remove("provider-account/self-hosted-model", "lab")
    assert "no provider account" in str(error.value.problems[0])
    assert (folder / "m.yaml").read_text() == before


def test_the_second_of_two_is_told(files: ManifestFiles) -> None:
    """And what is there now."""
    tag = files.find(KIND, "limits").tag
    files.put(KIND, "limits", rule(1, "limits"), tag)
    with pytest.raises(ChangedMeanwhile) as error:
        files.put(KIND, "limits", rule(2, "limits"), tag)
    assert error.value.now == files.find(KIND, "limits")
    with pytest.raises(ChangedMeanwhile):
        files.remove(KIND, "limits", tag)
    with pytest.raises(ChangedMeanwhile):
        files.put(KIND, "limits", rule(2, "limits"), files.tag(None))


def test_programs_see_secrets(files: ManifestFiles) -> None:
    """Pages see masks."""
    [caller] = [one for one in files.documents() if one.type == "virtual-account"]
    assert caller.body["tokens"] != ["***"]
    assert files.find(caller.type, caller.name).body["tokens"] == ["***"]


def test_comments_are_told_of_too(files: ManifestFiles, folder: Path) -> None:
    """Whoever saves over a comment that came meanwhile would take it away without a word."""
    read = files.find(KIND, "limits").tag
    others = [shown.tag for shown in files.all() if shown.type != KIND]
    text = files.text(KIND, "limits")
    files.put(KIND, "limits", text.replace("# the first", "# the first, as Ann asked"), read)
    with pytest.raises(ChangedMeanwhile):
        files.put(KIND, "limits", text.replace("limit_to: 10", "limit_to: 11"), read)
    assert "as Ann asked" in (folder / "m.yaml").read_text()
    assert [shown.tag for shown in files.all() if shown.type != KIND] == others


def test_tags_stay_what_they_are_with_the_same_key(folder: Path) -> None:
    """A page that is open over a restart is not told of a change that nobody made."""

    def tag(key: bytes | None) -> str:
        files = ManifestFiles(folder, strict=False, secrets=SecretSource({}, None), tag_key=key)
        return files.find(KIND, "limits").tag

    assert tag(b"k" * 32) == tag(b"k" * 32)
    assert len({tag(b"k" * 32), tag(b"l" * 32), tag(None), tag(None)}) == 4


def test_writers_take_turns(files: ManifestFiles, folder: Path) -> None:
    """Nothing that one of them wrote is lost."""

    def add(name: str) -> None:
        # Another object has no lock in common with the first but the kernel's.
        files_of(folder).put("team", name, {"name": name, "members": []})

    threads = [threading.Thread(target=add, args=(f"n{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files.all("team")) == 8


def test_a_program_edits_what_is_there(files: ManifestFiles) -> None:
    """It sees secrets, and gives them back."""

    def add(body: dict[str, Any]) -> dict[str, Any]:
        return body | {"tokens": [*body["tokens"], "sha256:" + "1" * 64]}

    files.change("virtual-account", "app", add)
    assert files.find("virtual-account", "app").body["tokens"] == ["***", "***"]


def test_a_secret_is_moved_and_hidden(files: ManifestFiles, folder: Path) -> None:
    """What is typed is in a file of mode 0600, and nobody is shown it."""
    saved = files.put("provider-account/openai", "main", OPENAI)
    reference = saved.shown.body["auth_data"]["api_key"]
    secret = folder / reference.removeprefix("file:")
    assert secret.read_text() == "sk-literal-secret\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert "sk-literal" not in (folder / "provider-account-openai.yaml").read_text()
    assert "}   # to be moved" in (folder / "provider-account-openai.yaml").read_text()


def test_of_a_secret_that_will_be_moved_nothing_is_said(files: ManifestFiles, folder: Path) -> None:
    """A check says what saving would say; of one that stays in the manifest it goes on to warn."""
    assert files.judge("provider-account/openai", None, OPENAI).own == ()
    (folder / "o.yaml").write_text(OPENAI)
    shown = OPENAI.replace("sk-literal-secret", "'***'")
    (problem,) = files.judge("provider-account/openai", "main", shown).own
    assert (problem.path, problem.message) == (
        "auth_data.api_key",
        "the secret itself stands in the manifest",
    )


def test_a_secret_that_stands_there_stays(files: ManifestFiles, folder: Path) -> None:
    """The mask comes back for it; the manifest's other bytes stay too."""
    (folder / "o.yaml").write_text(f"# sk-literal-secret was tried\n{OPENAI}")
    shown = files.find("provider-account/openai", "main").body
    assert shown["auth_data"]["api_key"] == "***"
    assert "sk-literal" not in files.text("provider-account/openai", "main")
    files.put("provider-account/openai", "main", dict(shown) | {"description": "d"})
    text = (folder / "o.yaml").read_text()
    assert text == f"# sk-literal-secret was tried\n{OPENAI}description: d\n"
    typed = "# mine\n" + OPENAI.replace("sk-literal-secret", "'***'")
    files.put("provider-account/openai", "main", typed)
    assert (folder / "o.yaml").read_text() == "# mine\n" + OPENAI.replace(
        "sk-literal-secret", "'sk-literal-secret'"
    )


@pytest.mark.parametrize(
    "content",
    [
        {"rules": "none"},
        {"type": "virtual-account", "name": "x"},
        {"name": "limits", "rules": []},
        "a: b: c",
        "- a",
        "",
        "type: x\n---\ntype: y\n",
        {"name": "x", "rules": [], "description": "***"},
    ],
    ids=["field", "type", "clash", "syntax", "list", "empty", "two", "mask"],
)
def test_what_is_wrong_is_not_written(files: ManifestFiles, folder: Path, content: Any) -> None:
    """The same words for a check before it."""
    before = (folder / "m.yaml").read_bytes()
    with pytest.raises(Invalid) as error:
        files.put(KIND, "x", content)
    assert error.value.problems
    own = files.judge(KIND, None, content).own
    assert [str(problem) for problem in error.value.problems] == [str(problem) for problem in own]
    assert [path.name for path in folder.iterdir()] == ["m.yaml"]
    assert (folder / "m.yaml").read_bytes() == before


def test_an_answer_of_their_api_is_told_as_such(files: ManifestFiles) -> None:
    """Who pastes it into a page is not told of a field that is missing."""
    wrapped = f"id: a\ntype: {KIND}\nmanifest: {{type: {KIND}, name: x, rules: []}}\n"
    (problem,) = files.judge(KIND, None, wrapped).own
    assert "an answer of TrueFoundry's API" in problem.message


def test_lines_are_those_of_the_text(files: ManifestFiles) -> None:
    """Not those of the file."""
    wrong = LIMITS.replace("limit_to: 10", "limit_to: ten")
    (problem,) = files.judge(KIND, "limits", wrong).own
    assert (problem.line, problem.path) == (8, "rules.0.limit_to")


def test_a_read_only_folder(files: ManifestFiles, folder: Path) -> None:
    """What Kubernetes mounts is said to be so; a writer that never ends is too."""
    data = folder / "..2026"
    data.mkdir()
    (folder / "m.yaml").rename(data / "m.yaml")
    (folder / "..data").symlink_to("..2026")
    (folder / "m.yaml").symlink_to("..data/m.yaml")
    with pytest.raises(NotWritable, match="ConfigMap"):
        files.put(KIND, "limits", rule(3, "limits"))
    assert files_of(folder / "m.yaml").why_not_writable() is not None
    assert files.why_not_writable() is None


def test_restore(files: ManifestFiles, folder: Path) -> None:
    """What was changed, added and removed since, in one step; comments of what stayed stay."""
    (folder / "extra.yaml").write_text("# mine\ntype: team\nname: ml\nmembers: []\n")
    config = check.check(folder, strict=False, secrets=SecretSource({}, None)).config
    assert config is not None
    then = accepted.load(accepted.dump(config))
    before = (folder / "m.yaml").read_text()
    files.put(KIND, "limits", rule(99, "limits"))
    files.put("team", "new", {"name": "new", "members": []})
    files.remove("team", "ml")
    restored, names = files.restore(then)
    assert restored == config.version == version(folder)
    assert names == [(KIND, "limits"), ("team", "ml"), ("team", "new")]
    assert (folder / "m.yaml").read_text() == before
    assert (folder / "extra.yaml").read_text() == "type: team\nname: ml\nmembers: []\n"
    assert files.restore(then) == (config.version, [])


def test_one_file(tmp_path: Path) -> None:
    """A configuration may be one; new manifests go to its end."""
    file = tmp_path / "all.yaml"
    file.write_text(documents(ACCOUNT, CALLER))
    files = files_of(file)
    files.put(KIND, "mine", rule())
    assert file.read_text().startswith(documents(ACCOUNT, CALLER))
    assert files.all()[0].type == KIND


@given(
    limit=st.integers(1, 10**6),
    comment=st.text("ab #:-'\"{}", max_size=12),
    blanks=st.integers(0, 3),
)
def test_every_other_byte_stays(
    tmp_path_factory: pytest.TempPathFactory, limit: int, comment: str, blanks: int
) -> None:
    """Whatever stands around the number."""
    folder = tmp_path_factory.mktemp("any")
    own = LIMITS.replace("limit_to: 10", f"limit_to:{' ' * (blanks + 1)}10 # {comment}")
    text = documents(ACCOUNT, f"{own}\n{blanks * chr(10)}# {comment}\n", CALLER)
    (folder / "m.yaml").write_text(text)
    files_of(folder).put(KIND, "limits", rule(limit, "limits"))
    expected = text.replace(f"limit_to:{' ' * (blanks + 1)}10 ", f"limit_to:{' ' * (blanks + 1)}{limit} ")
    assert (folder / "m.yaml").read_text() == expected


def test_a_draft_is_the_configuration_with_a_change(files: ManifestFiles, folder: Path) -> None:
    """Checked as a save is, and not written; what has no secret is no error, for the try tells it."""
    before = (folder / "m.yaml").read_text()
    strict = ManifestFiles(folder, strict=True, secrets=SecretSource({}, None))
    config, name = strict.draft(
        "provider-account/openai", None, OPENAI.replace("sk-literal-secret", "env:GONE")
    )
    assert name == "main"
    assert [account.name for account in config.provider_accounts] == ["main", "lab"]
    renamed, name = files.draft("virtual-account", "app", CALLER.replace("name: app", "name: other"))
    assert (name, [one.name for one in renamed.virtual_accounts]) == ("other", ["other"])
    with pytest.raises(Invalid, match="is there already"):
        files.draft("virtual-account", None, CALLER)
    with pytest.raises(Invalid):
        files.draft("provider-account/openai", None, {"name": "main"})
    (folder / "z.yaml").write_text("{")
    with pytest.raises(Invalid):
        files.draft("provider-account/openai", None, OPENAI)
    assert (folder / "m.yaml").read_text() == before


def test_what_is_asked_for_now_and_then_is_not_let_go(files: ManifestFiles) -> None:
    """It was asked for a moment ago; how long that lasts is `LoadedOnce`'s."""
    before = [document.name for document in files.documents()]
    files.let_go_unused()
    assert [document.name for document in files.documents()] == before
