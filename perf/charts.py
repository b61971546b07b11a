"""Charts as SVG, written by hand: no plotting library for two kinds of picture. Pure.

A chart is a white card, so that it reads the same on a light and on a dark page. Values stand beside their
bars: nobody has to measure with the eye.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
_LABELS: Final = 130
_VALUES: Final = 150
_MARGIN: Final = 24
_GAP: Final = 10
_ROW: Final = 26
# Of a letter in bars' labels and values, with some air: no font is measured here.
_LETTER: Final = 7
_BAR: Final = 16
_INK: Final = "#1f2328"
_FAINT: Final = "#656d76"
_RULE: Final = "#d8dee4"
_SHADES: Final = (1, 0.45, 0.25)
_FONT: Final = "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\""

# Ours stands out, the reference is the darker grey; the rest keep their order.
_KNOWN_COLORS: Final = {
    "gateway": "#0969da",
    "bare stack": "#8c959f",
    "nginx": "#c4cbd2",
    "direct": "#c4cbd2",
}
_WAS: Final = "#ffc1ba"
_DONE: Final = "#0969da"
_COLORS: Final = ("#0969da", "#1a7f37", "#9a6700", "#8250df", "#cf222e", "#bc4c00", "#6e7781")


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of a bar.

    Attributes:
        shade: 0 is the full colour; 1 and 2 are lighter.
    """

    value: float
    shade: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: a label, its stretches, and what stands at its end."""

    label: str
    parts: tuple[Part, ...]
    text: str
    color: str = ""

    @property
    def total(self) -> float:
        """Its length."""
        return sum(max(0.0, part.value) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that are compared with each other, on a scale of their own."""

    title: str
    bars: tuple[Bar, ...]


def color_of(name: str, index: int = 0) -> str:
    """The colour of a contender."""
    return _KNOWN_COLORS.get(name, _COLORS[index % len(_COLORS)])


def bar_chart(title: str, subtitle: str, groups: Sequence[Group], legend: Sequence[str] = ()) -> str:
    """Horizontal bars in groups.

    Args:
        legend: What the shades of a bar mean, the full one first.
    """
    parts: list[str] = []
    y = 78 if legend else 62
    if legend:
        parts.append(_legend(legend))
    bars = [bar for group in groups for bar in group.bars]
    left = _MARGIN + _room(_LABELS, [bar.label for bar in bars])
    span = WIDTH - left - _room(_VALUES, [bar.text for bar in bars]) - _MARGIN
    for group in groups:
        if group.title:
            parts.append(_text(_MARGIN, y + 14, group.title, size=12, weight=600))
            y += 24
        longest = max((bar.total for bar in group.bars), default=0.0) or 1.0
        for bar in group.bars:
            parts += _bar(bar, left, y, span / longest)
            y += _ROW
        y += 12
    return _card(title, subtitle, y + 6, parts)


def _room(usual: int, texts: Sequence[str]) -> int:
    """How wide a column of *texts* beside bars is: none may be cut off at the edge of the card."""
    return max([usual, *(_GAP + _LETTER * len(text) for text in texts)])


def _bar(bar: Bar, left: float, y: float, scale: float) -> list[str]:
    x = left
    parts = [_text(x - _GAP, y + 13, bar.label, size=12, anchor="end")]
    color = bar.color or color_of(bar.label)
    for part in bar.parts:
        width = max(0.0, part.value) * scale
        if width:
            parts.append(_rect(x, y, max(width, 1.0), _BAR, color, part.shade))
        x += width
    parts.append(_text(x + 8, y + 13, bar.text, size=12, weight=600))
    return parts


def line_chart(
    title: str,
    subtitle: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """Lines over a common axis; the vertical one begins at nothing, and each line has two points or more."""
    left, right, top, bottom = _MARGIN + 50, WIDTH - _MARGIN - 150, 74, 330
    points = [point for line in lines.values() for point in line]
    x_top = max((x for x, _ in points), default=1.0) or 1.0
    ticks = nice_ticks(max((y for _, y in points), default=1.0))
    parts: list[str] = [_text(_MARGIN, 66, y_label, size=11, color=_FAINT)]

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * x / x_top, bottom - (bottom - top) * y / ticks[-1]

    for tick in ticks:
        _, y = at(0, tick)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{_RULE}"/>')
        parts.append(_text(left - 8, y + 4, f"{tick:,g}", size=11, anchor="end", color=_FAINT))
    for tick in (x_top / 2, x_top):
        x, _ = at(tick, 0)
        parts.append(_text(x, bottom + 18, f"{tick:,.0f}", size=11, anchor="middle", color=_FAINT))
    parts.append(_text((left + right) / 2, bottom + 36, x_label, size=11, anchor="middle", color=_FAINT))
    ordered = sorted(lines.items(), key=lambda one: -(one[1][-1][1] if one[1] else 0))
    label_ys = _label_heights([at(*line[-1])[1] + 4 for _, line in ordered], bottom + 4)
    for index, ((name, line), label_y) in enumerate(zip(ordered, label_ys, strict=True)):
        color = color_of(name, index)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts.append(_text(right + 10, label_y, name, size=12, weight=600, color=color))
    return _card(title, subtitle, bottom + 52, parts)


def _label_heights(wanted: Sequence[float], lowest: float) -> list[float]:
    """Where names are written so that none is over another, nor below the axis."""
    heights: list[float] = []
    for y in wanted:
        heights.append(max(heights[-1] + 16, y) if heights else y)
    for at in range(len(heights) - 1, -1, -1):
        limit = heights[at + 1] - 16 if at + 1 < len(heights) else lowest
        heights[at] = min(heights[at], limit)
    return heights


@dataclass(frozen=True, slots=True)
class Track:
    """What was so and what was done about it, over time.

    Attributes:
        was: From and to; light, as high as the track.
        done: Likewise; dark, a line in the middle of it.
    """

    label: str
    was: tuple[tuple[float, float], ...]
    done: tuple[tuple[float, float], ...]


def track_chart(
    title: str,
    subtitle: str,
    tracks: Sequence[Track],
    legend: tuple[str, str],
    *,
    length: float,
    x_label: str,
) -> str:
    """Tracks below each other over a common axis.

    Args:
        legend: What is light, and what is dark.
        length: Of the axis, which begins at nothing.
    """
    left, top = _MARGIN + _LABELS, 84
    scale = (WIDTH - _MARGIN - left) / length
    bottom = top + _ROW * len(tracks)
    parts = []
    for x, color, name in zip((_MARGIN, _MARGIN + 240), (_WAS, _DONE), legend, strict=True):
        parts += [_rect(x, 58, 12, 12, color, 0), _text(x + 18, 68, name, size=11, color=_FAINT)]
    for y, track in zip(range(top, bottom, _ROW), tracks, strict=True):
        parts.append(_text(left - 10, y + 13, track.label, size=12, anchor="end"))
        parts.append(f'<line x1="{left}" y1="{y + 8}" x2="{WIDTH - _MARGIN}" y2="{y + 8}" stroke="{_RULE}"/>')
        for bands, color, down, height in ((track.was, _WAS, 0, _BAR), (track.done, _DONE, 5, 6)):
            parts += [
                _rect(
                    left + begin * scale,
                    y + down,
                    max(0.8, (min(end, length) - begin) * scale),
                    height,
                    color,
                    0,
                )
                for begin, end in bands
                if begin < length
            ]
    for tick in nice_ticks(length):
        if tick <= length:
            parts.append(
                _text(left + tick * scale, bottom + 12, f"{tick:,g}", size=11, anchor="middle", color=_FAINT)
            )
    parts.append(_text((left + WIDTH) / 2, bottom + 30, x_label, size=11, anchor="middle", color=_FAINT))
    return _card(title, subtitle, bottom + 44, parts)


def nice_ticks(top: float) -> list[float]:
    """Round numbers from nothing to at least *top*, about five."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    count = math.ceil(top / step - 1e-9)
    return [step * index for index in range(count + 1)]


def _legend(names: Sequence[str]) -> str:
    parts, x = [], float(_MARGIN)
    for shade, name in enumerate(names):
        parts += [_rect(x, 58, 12, 12, _COLORS[0], shade), _text(x + 18, 68, name, size=11, color=_FAINT)]
        x += 34 + 7 * len(name)
    return "".join(parts)


def _rect(x: float, y: float, width: float, height: float, color: str, shade: int) -> str:
    opacity = _SHADES[shade]
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{color}" '
        f'fill-opacity="{opacity}"/>'
    )


def _card(title: str, subtitle: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}" {_FONT}>\n'
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8" fill="#ffffff" '
        f'stroke="{_RULE}"/>\n'
        + "\n".join(
            [
                _text(_MARGIN, 30, title, size=16, weight=700),
                _text(_MARGIN, 48, subtitle, size=12, color=_FAINT),
                *parts,
            ]
        )
        + "\n</svg>\n"
    )


def _text(
    x: float, y: float, text: str, *, size: int, weight: int = 400, anchor: str = "start", color: str = _INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{color}">{escape(text)}</text>'
    )
