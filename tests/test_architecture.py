"""The design's rules on who may import and do what, read from the source of `gateway/`.

The tables at the top are the design; the rest of the file only checks them.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import LONGEST

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"

# From top to bottom. A name is a module or a package directly under gateway/. It may import what stands on a
# lower line; names on one line are siblings and never import each other. Every module has a place here.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("app", "supervisor", "demo_provider"),
    ("tls_server",),
    ("edge", "control", "http_server"),
    ("bedrock", "gemini"),
    ("pass_through", "realtime"),
    ("passed_body",),
    ("pipeline",),
    ("classifier",),
    ("failover",),
    ("attempt",),
    ("relay",),
    ("snapshot", "responder"),
    ("pings", "overload", "settlement"),
    ("identity", "routing", "limits", "guardrails", "telemetry", "upstream"),
    ("delivery", "tracestore"),
    ("store",),
    ("translate",),
    ("endpoints", "providers", "pricing"),
    ("wire", "config", "settings", "deadline", "server_tls"),
    (
        "model",
        "errors",
        "tasks",
        "long_work",
        "log",
        "process",
        "proxies",
        "redaction",
        "socket_path",
        "file_names",
        "cpus",
        "elastic",
        "tally",
        "sizing",
        "egress",
        "listener",
    ),
    ("tls_files",),
)

# These take bytes, times and a Random as arguments, so that their tests need no double and never wait.
PURE = (
    "model",
    "errors",
    "wire",
    "endpoints",
    "providers",
    "translate",
    "pricing",
    "sizing",
    "telemetry.span_encoding",
)
IMPURE_MODULES = frozenset(
    {
        *(
            "asyncio",
            "concurrent",
            "multiprocessing",
            "selectors",
            "signal",
            "subprocess",
            "threading",
            "uvloop",
        ),
        *("fcntl", "logging", "mmap", "os", "pathlib", "shutil", "sqlite3", "tempfile"),
        *(
            "aiohttp",
            "granian",
            "http.client",
            "http.server",
            "redis",
            "socket",
            "ssl",
            "starlette",
            "urllib.request",
        ),
        *("random", "secrets", "time", "uuid"),
    }
)
IMPURE_CALLS = frozenset({"open", "print", "input", "now", "utcnow", "today"})
# The type of an argument, not a source of randomness.
PURE_NAMES = frozenset({"random.Random"})

# Foreign module -> who may import it.
ONLY_IMPORTERS = {
    "starlette": ("edge", "control", "demo_provider"),
    "aiohttp": ("upstream", "delivery"),
    "granian": ("http_server",),
    "redis": ("store",),
    "sqlite3": ("tracestore",),
}

# A name used anywhere: bare, as an attribute or an import (with a dot: exactly so) -> the modules that may.
ONLY_USERS = {
    "os.environ": ("settings",),
    "os.environb": ("settings",),
    "os.getenv": ("settings",),
    "create_task": ("tasks",),  # names the task, keeps a reference, reports its exception
    "ensure_future": ("tasks",),
    "BaseHTTPMiddleware": (),  # breaks cancellation and buffers streams
}

# Catching these hides bugs; [tool.gateway.boundary] in pyproject.toml lists who may, each with its reason.
WIDE_EXCEPTIONS = frozenset({"Exception", "BaseException"})


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name below `gateway`, its tree, and every node of that."""

    name: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]

    @property
    def part(self) -> str:
        """The module or package directly under gateway/ that it belongs to."""
        return self.name.partition(".")[0]

    def within(self, parts: Iterable[str]) -> bool:
        """Whether it is one of *parts* or lies below one."""
        return any(self.name == part or self.name.startswith(part + ".") for part in parts)


@cache
def _modules() -> tuple[Module, ...]:
    root = ROOT / "gateway"
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        tree = ast.parse(path.read_bytes(), str(path))
        found.append(Module(name, tree, tuple(ast.walk(tree))))
    return tuple(found)


@cache
def _imports(module: Module) -> list[tuple[int, str]]:
    """Line and absolute dotted name of everything imported, wherever in the file it is."""
    found: list[tuple[int, str]] = []
    for node in module.nodes:
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"gateway.{module.name}:{node.lineno}: relative imports hide the layer"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def _is_from(imported: str, package: str) -> bool:
    return imported == package or imported.startswith(package + ".")


def _layer(part: str) -> int | None:
    return next((number for number, line in enumerate(LAYERS) if part in line), None)


def _wrong(found: Iterable[str]) -> None:
    lines = list(found)
    assert not lines, "\n" + "\n".join(lines)


def test_every_module_has_a_layer() -> None:
    """A new module is placed in the map before anything imports it."""
    parts = {module.part for module in _modules() if module.name}
    _wrong(f"gateway.{part}: give it a line in LAYERS" for part in sorted(parts) if _layer(part) is None)


def test_imports_point_down_the_map() -> None:
    """Nothing imports a higher layer or a sibling; gateway/__init__.py imports nothing of ours."""
    _wrong(_upward_imports())


def _upward_imports() -> Iterator[str]:
    for module in _modules():
        own_layer = _layer(module.part)
        for line, imported in _imports(module):
            if not _is_from(imported, "gateway"):
                continue
            target = imported.split(".")[1] if "." in imported else ""
            target_layer = _layer(target)
            if (
                target == module.part or target_layer is None
            ):  # our own package, or `from gateway import __version__`
                continue
            if own_layer is None or target_layer <= own_layer:
                yield f"gateway.{module.name}:{line}: may not import gateway.{target}"


def test_pure_packages_do_no_io() -> None:
    """Pure packages import no I/O, no clock, no randomness, and call none."""
    _wrong(_impurities())


def _impurities() -> Iterator[str]:
    for module in _modules():
        if not module.within(PURE):
            continue
        for line, imported in _imports(module):
            if imported not in PURE_NAMES and any(_is_from(imported, name) for name in IMPURE_MODULES):
                yield f"gateway.{module.name}:{line}: pure, but imports {imported}"
        for node in module.nodes:
            if isinstance(node, ast.Call) and _name(node.func) in IMPURE_CALLS:
                yield f"gateway.{module.name}:{node.lineno}: pure, but calls {_name(node.func)}()"


@pytest.mark.parametrize("package", ONLY_IMPORTERS)
def test_foreign_packages_stay_where_they_belong(package: str) -> None:
    """A dependency can be replaced by rewriting the one or two packages that know it."""
    allowed = ONLY_IMPORTERS[package]
    _wrong(
        f"gateway.{module.name}:{line}: imports {imported}; only {', '.join(allowed)} may"
        for module in _modules()
        if module.part not in allowed
        for line, imported in _imports(module)
        if _is_from(imported, package)
    )


@pytest.mark.parametrize("name", ONLY_USERS)
def test_dangerous_names_stay_where_they_belong(name: str) -> None:
    """The environment has one door, tasks have one maker."""
    allowed = ONLY_USERS[name]
    _wrong(
        f"gateway.{module.name}:{line}: uses {name}; only {', '.join(allowed) or 'nobody'} may"
        for module in _modules()
        if module.part not in allowed
        for line, used in sorted(_used_names(module))
        if used == name
    )


@cache
def _used_names(module: Module) -> frozenset[tuple[int, str]]:
    used = {
        (node.lineno, name)
        for node in module.nodes
        if isinstance(node, ast.Attribute | ast.Name)
        for name in (_name(node), _dotted(node))
    }
    for line, imported in _imports(module):
        used |= {(line, imported.rpartition(".")[2]), (line, imported)}
    return frozenset(used)


def test_nothing_is_global() -> None:
    """State lives in objects that app builds, never in a module."""
    _wrong(
        f"gateway.{module.name}:{node.lineno}: global statement"
        for module in _modules()
        for node in module.nodes
        if isinstance(node, ast.Global)
    )


def test_what_is_begun_first_is_there() -> None:
    """A file of tests that was renamed would be begun among the last, and a run wait for it."""
    _wrong([f"{name}: no such file of tests" for name in LONGEST if not any(TESTS.rglob(f"{name}.py"))])


def test_wide_excepts_stand_only_at_listed_boundaries() -> None:
    """Who may catch everything is listed with a reason, and the list holds nobody else."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = config["tool"]["gateway"]["boundary"]
    assert all(isinstance(reason, str) and reason for reason in listed.values())
    found = {place for module in _modules() for place in _wide_excepts(module)}
    unlisted = sorted(found - listed.keys())
    unused = sorted(listed.keys() - found)
    _wrong(
        [
            f"{place}: catches everything; narrow it, or list it in [tool.gateway.boundary]"
            for place in unlisted
        ]
        + [f"{place}: listed in [tool.gateway.boundary] but catches nothing wide" for place in unused]
    )


def _wide_excepts(module: Module) -> Iterator[str]:
    def walk(node: ast.AST, path: tuple[str, ...]) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            path = (*path, node.name)
        if _catches_everything(node):
            yield ".".join(path)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, path)

    yield from walk(module.tree, ("gateway", *filter(None, [module.name])))


def _catches_everything(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return node.type is None or _names_wide(node.type)
    return isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(map(_names_wide, node.args))


def _names_wide(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return any(map(_names_wide, node.elts))
    return _name(node) in WIDE_EXCEPTIONS


def _dotted(node: ast.expr) -> str:
    """As it is written; of what a call or the like gave, no name."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
