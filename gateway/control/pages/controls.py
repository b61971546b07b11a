"""AI Gateway > Controls: rate limits, budgets, logging and metadata rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.pages.editor import editor_page
from gateway.control.pages.frame import Crumb, Frame

_ABOVE: Final = (Crumb("AI Gateway", "/"), Crumb("Controls"))
_LIMIT_COLUMNS: Final = ("Rule", "Who", "Models", "Limit", "Each", "Mode")


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of manifest on a page.

    Attributes:
        add: What the button says that makes the first; "" where none is made here.
        columns: Of its table; what they can be is in `static/js/manifests.js`.
        is_single: There may be one such manifest, with many rules.
    """

    type: str
    title: str
    help: str
    add: str
    columns: Sequence[str]
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One page.

    Attributes:
        icon: Of its empty state.
        has_usage: How much of each rule is used is shown beside.
        new_path: Where one chooses a type of what is to be added, "" where each has a button of its own.
    """

    path: str
    title: str
    lead: str
    icon: str
    empty_title: str
    empty_text: str
    types: Sequence[Kind]
    has_usage: bool = False
    new_path: str = ""


SECTIONS: Final = (
    Section(
        "/controls/rate-limits",
        "Rate limits",
        "How many requests and tokens callers may have in a time. Who asks for more is refused with 429.",
        "gauge",
        "No limits yet",
        "Everybody may ask as often as the providers let them. A rule says who may ask for what, how often.",
        (
            Kind(
                "gateway-rate-limiting-config",
                "Rules, the first that matches decides",
                "One list for the whole gateway.",
                "Limit requests of each user",
                _LIMIT_COLUMNS,
                is_single=True,
            ),
            Kind(
                "tenant-rate-limit-config/model",
                "Rules that must all allow a call",
                "Each is a manifest of its own, with several limits and exceptions.",
                "Limit tokens of a model",
                _LIMIT_COLUMNS,
            ),
        ),
        has_usage=True,
    ),
    Section(
        "/controls/budgets",
        "Budgets",
        "How much may be spent in a time, in USD and in tokens, and what is spent of it now.",
        "budget",
        "No budgets yet",
        "Costs are counted and nothing is refused. A budget ends what it is about when it is spent.",
        (
            Kind(
                "tenant-budget-config",
                "Budgets that must all allow a call",
                "Each is a manifest of its own.",
                "Give each user a monthly budget",
                _LIMIT_COLUMNS,
            ),
            Kind(
                "team-budget-config",
                "Budgets of teams",
                "About the calls of a team's members.",
                "Give a team a budget",
                ("Rule", "Team", "Models", "Limit", "Each", "Mode"),
            ),
            Kind(
                "gateway-budget-config",
                "Rules, the first that matches may refuse",
                "One list for the whole gateway.",
                "Write rules",
                _LIMIT_COLUMNS,
                is_single=True,
            ),
        ),
        has_usage=True,
    ),
    Section(
        "/controls/logging",
        "Logging",
        "Whose prompts and replies may be recorded in traces, and what is masked in them.",
        "log",
        "No rules yet",
        "Prompts and replies are not recorded. The global settings turn it on; rules then forbid it for "
        "some, or mask what should not be kept.",
        (
            Kind(
                "gateway-global-settings",
                "Whether prompts and replies are recorded",
                "One setting for the whole gateway, among its global settings.",
                "Record where callers ask for it",
                ("Name", "Prompts and replies"),
                is_single=True,
            ),
            Kind(
                "gateway-logging-config",
                "Rules, all that match hold",
                "One that says no forbids the recording.",
                "Mask email addresses",
                ("Rule", "Who", "Models", "Recorded", "Masked"),
            ),
        ),
    ),
    Section(
        "/controls/metadata",
        "Metadata rules",
        "What metadata the calls of some are given, whatever they write. Limits, routing and traces see it.",
        "tag",
        "No rules yet",
        "Calls have the metadata that callers write. A rule gives those of a team or an application its own.",
        (
            Kind(
                "gateway-metadata-config",
                "Rules, all that match hold",
                "Of a key that two of them give, the first counts.",
                "Write the first rule",
                ("Rule", "Who", "Given"),
                is_single=True,
            ),
        ),
    ),
)


def control_pages(frame: Frame) -> list[Route]:
    """The routes of this room."""
    return [route for section in SECTIONS for route in section_pages(frame, section, *_ABOVE)]


def section_pages(frame: Frame, section: Section, *above: Crumb) -> list[Route]:
    """A page that lists manifests, and its editor."""

    async def show_all(request: Request) -> Response:
        values = {
            "section": asdict(section),
            "lead": section.lead,
            "new": section.new_path,
            "has_usage": section.has_usage,
        }
        return frame.page(request, "manifests.html", section.title, *above, values=values)

    async def edit(request: Request) -> Response:
        here = Crumb(section.title, section.path)
        return editor_page(frame, request, section.path, *above, here)

    return [
        Route(section.path, show_all, methods=["GET"]),
        Route(f"{section.path}/edit", edit, methods=["GET"]),
    ]
