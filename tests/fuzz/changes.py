"""Values like those that are sent, changed at a few places: what bytes alone do not find behind a parser."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

from tests.fuzz.draw import Draw

ODD: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        3,
        10**30,
        1.5,
        float("nan"),
        "",
        " ",
        "x",
        "\x00",
        "ü\u2028",
        "\ud800",
        "x" * 300,
    ),
    *([], {}, [[]], [None], [{}], {"": ""}, [1, "a", {}], {"a": [{"b": None}]}, "[DONE]", "a\n\ndata: b\n\n"),
    *(
        "{}",
        "{",
        '{"a":1}',
        "data:image/png;base64,AA==",
        "https://x.test/a",
        "stop",
        "text",
        "user",
        "error",
    ),
)


def change(at: Any, draw: Draw, others: Sequence[Any], odd: Sequence[Any] = ODD) -> None:
    """One value somewhere below *at* becomes an odd one, one of *others* or of a text, or goes."""
    while isinstance(at, (dict, list)) and at:
        key = draw.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if isinstance(at[key], (dict, list)) and at[key] and draw.number(4):
            at = at[key]
            continue
        match draw.number(4):
            case 0:
                del at[key]
            case 1:
                at[key] = draw.text(32)
            case 2:
                at[key] = copy.deepcopy(draw.choice(others))
            case _:
                at[key] = copy.deepcopy(draw.choice(odd))
        return
