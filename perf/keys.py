"""`python -m perf.keys`: what many keys cost: CPU seconds until they are in force, and bytes for each.

Each case in a process of its own, of which the memory is read before and after, without a server around it.
An accepted set is read, checked and compiled as a worker does it. Of the processor alone.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.app.collection import collection_held
from gateway.config import Config, Document, SecretSource, accepted
from gateway.config.check import check_documents
from gateway.identity.compile import compile_identity, compile_rights
from gateway.identity.tokens import Credential, Identity
from gateway.model import Caller

_MODELS: Final = 20
_NO_ACCOUNTS: Final[frozenset[str]] = frozenset()
_SECRETS: Final = SecretSource({"KEY": "x"})


def main() -> None:
    """Run one case, or each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=("load", "held"))
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--keys-of-an-account", type=int, default=1)
    parsed = parser.parse_args()
    if parsed.case is not None:
        run = _load if parsed.case == "load" else _hold
        sys.stdout.write(f"{run(parsed.keys, parsed.keys_of_an_account)}\n")
        return
    for case, keys, each in (
        ("load", 100_000, 1),
        ("load", 100_000, 100),
        ("held", 10**6, 1),
        ("held", 10**6, 100),
    ):
        options = ["--case", case, "--keys", str(keys), "--keys-of-an-account", str(each)]
        subprocess.run([sys.executable, "-m", "perf.keys", *options], check=True)


def _load(keys: int, each: int) -> str:
    """From an accepted set to an `Identity`."""
    made = _checked(list(_documents(keys, each)))
    data, version = accepted.dump(made), made.version
    del made
    gc.collect()
    with collection_held():
        times = [time.process_time()]
        documents = accepted.load(data)
        times.append(time.process_time())
        config = _checked(documents, version)
        times.append(time.process_time())
        identity = _compile(config)
        times.append(time.process_time())
    if not identity.knows("0"):
        raise SystemExit("a key is not known")
    read, check, compiled = (after - before for before, after in itertools.pairwise(times))
    case = f"load {keys:,} keys, {each} of an account"
    return (
        f"{case}: {sum((read, check, compiled)):.2f} s: "
        f"read {read:.2f} s, check {check:.2f} s, compile {compiled:.2f} s"
    )


def _hold(keys: int, each: int) -> str:
    """What the tokens and callers of a snapshot take."""
    gc.collect()
    before = _resident_bytes()
    identity = Identity(_credentials(keys, each))
    gc.collect()
    taken = _resident_bytes() - before
    if not identity.knows("0"):
        raise SystemExit("a key is not known")
    return (
        f"hold {keys:,} keys, {each} of an account: {taken / 1e6:.0f} MB, {taken / keys:.0f} bytes for each"
    )


def _checked(documents: Sequence[Document], version: str | None = None) -> Config:
    checked = check_documents(documents, strict=False, secrets=_SECRETS, version=version)
    if checked.config is None:
        raise SystemExit(str(checked.errors[0]))
    return checked.config


def _compile(config: Config) -> Identity:
    names = [f"{one.name}/{model.name}" for one in config.provider_accounts for model in one.integrations]
    return compile_identity(config, _SECRETS, compile_rights(config, names), is_loopback=False)


def _credentials(keys: int, each: int) -> Iterator[Credential]:
    models = frozenset(f"main/m{number}" for number in range(_MODELS))
    tags: dict[str, str] = {}
    caller = Caller("app", models, _NO_ACCOUNTS, tags=tags)
    for number in range(keys):
        if number % each == 0:
            caller = Caller(f"app-{number}", models, _NO_ACCOUNTS, tags=tags)
        yield Credential(hashlib.sha256(b"%d" % number).digest(), caller, None)


def _documents(keys: int, each: int) -> Iterator[Document]:
    models = [{"name": f"m{number}", "model_id": "gpt", "model_types": ["chat"]} for number in range(_MODELS)]
    auth = {"type": "api-key", "api_key": "env:KEY"}
    kind = "provider-account/openai"
    body = {"type": kind, "name": "main", "auth_data": auth, "integrations": models}
    yield Document(kind, "main", body, Path("main.yaml"), 1)
    for first in range(0, keys, each):
        hashes = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(first, first + each)]
        name = f"app-{first}"
        tokens = [f"sha256:{one}" for one in hashes]
        account = {"type": "virtual-account", "name": name, "tokens": tokens, "models": ["main/*"]}
        yield Document("virtual-account", name, account, Path("callers.yaml"), first + 1)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    main()
