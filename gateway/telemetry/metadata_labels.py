"""Labels that callers write, or are given: members of the metadata of calls on their metrics.

Which ones, an environment variable says, as TrueFoundry's gateway has it. Their values are the callers', so
each one makes label sets: the bound on those is that of `call_metrics`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Final

import msgspec

from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.secrets_in_spans import SECRET_HEADERS, mask_keys, secrets_of_call

VARIABLE: Final = "LLM_GATEWAY_METADATA_LOGGING_KEYS"
PREFIX: Final = "llm_gateway_metadata_"
MAX_KEYS: Final = 16

_MAX_KEPT: Final = 256
_NO_LABEL_LETTER: Final = re.compile(r"[^A-Za-z0-9_]")
_keys: Final = msgspec.json.Decoder(list[str])


_Key = tuple[Hashable, ...]
"""What decides on the labels: what was written, and whose credentials are masked in it."""


class MetadataLabels:
    """The members that become labels."""

    __slots__ = ("_kept", "_names")

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        """Take the *keys*; what Prometheus does not allow in the name of a label becomes `_`.

        Of two that would then have one name the first stays.
        """
        names: dict[str, str] = {}
        for key in keys:
            names.setdefault(PREFIX + _NO_LABEL_LETTER.sub("_", key), key)
        self._names = tuple(names.items())
        self._kept: dict[_Key, tuple[str, ...]] = {}

    def of(self, trace: CallTrace) -> tuple[str, ...]:
        """`name=value` for each that the caller of a call wrote, masked as on its spans."""
        metadata = trace.notes.metadata
        if not self._names or not metadata:
            return ()
        written = tuple([(name, metadata[key]) for name, key in self._names if metadata.get(key)])
        sent = None if trace.headers is None else trace.headers.raw(SECRET_HEADERS)
        # An application sends the same again and again, and masking costs more than all else of its metrics.
        key = (written, sent, trace.config_version, *[asked.target.name for asked in trace.exchanges])
        labels = self._kept.get(key)
        if labels is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            targets = [asked.target for asked in trace.exchanges]
            hide = secrets_of_call(sent or (), targets, trace.telemetry.known).hide_all
            labels = self._kept[key] = tuple([f"{name}={mask_keys(hide(value))}" for name, value in written])
        return labels


def read_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that the environment names: a JSON list of texts.

    Raises:
        ValueError: It is something else; the message says what is wanted.
    """
    text = environ.get(VARIABLE)
    if not text:
        return ()
    wanted = f'{VARIABLE} must be a JSON list of at most {MAX_KEYS} keys, such as ["team"]'
    try:
        keys = tuple(dict.fromkeys(_keys.decode(text)))
    except (ValueError, RecursionError) as error:
        raise ValueError(wanted) from error
    if len(keys) > MAX_KEYS:
        raise ValueError(wanted)
    return keys
