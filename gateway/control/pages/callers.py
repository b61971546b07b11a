"""Access: the tokens of callers, who they are, what they may call, and whose tokens are taken beside ours."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.pages.controls import Kind, Section, section_pages
from gateway.control.pages.frame import Crumb, Frame

TOKENS: Final = "/access/tokens"
_ABOVE: Final = (Crumb("AI Gateway", "/"), Crumb("Access"))

SECTIONS: Final = (
    Section(
        "/access/callers",
        "Callers",
        "Applications and people who call models, and the teams that people are in.",
        "users",
        "No callers yet",
        "An application calls as a virtual account, a person with a personal access token. What each may "
        "call is written there; tokens are made under Tokens.",
        (
            Kind(
                "virtual-account",
                "Virtual accounts",
                "Applications, each with tokens of its own.",
                "Add an application",
                ("Name", "May call", "Tokens"),
            ),
            Kind(
                "pat",
                "Users",
                "People, with a personal access token.",
                "Add a user",
                ("Name", "User", "May call", "Tokens"),
            ),
            Kind(
                "team",
                "Teams",
                "What a team may call its members may call.",
                "Add a team",
                ("Name", "Members", "May call"),
            ),
        ),
    ),
    Section(
        "/access/permissions",
        "Permissions",
        "Who may call what, beside what is written at each caller: roles, and whom they are given to.",
        "lock",
        "No roles yet",
        "What callers may call is written at each of them. A binding gives several of them the same at once.",
        (
            Kind(
                "role-binding",
                "Bindings",
                "Give callers what they may call.",
                "Bind callers to an account",
                ("Name", "Subjects", "May call"),
            ),
            Kind(
                "role",
                "Roles",
                "Names for permissions. Two are there already: provider-account-access and -manager.",
                "Write a role",
                ("Name", "Applies", "Permissions"),
            ),
        ),
    ),
    Section(
        "/access/identity-providers",
        "Identity providers",
        "Whose signed tokens are taken beside the gateway's own: Entra, Okta, Google, Kubernetes and others.",
        "server",
        "No identity providers yet",
        "Callers show tokens that were made here. With a provider they show what they have from there.",
        (
            Kind(
                "external-identity-provider",
                "Identity providers",
                "Their keys are fetched and kept; the readiness of the gateway says when they are stale.",
                "Take tokens of a provider",
                ("Name", "Issuer", "Audiences", "Unknown"),
            ),
        ),
    ),
)


def caller_pages(frame: Frame) -> list[Route]:
    """The routes of this room."""

    async def tokens(request: Request) -> Response:
        return frame.page(request, "tokens.html", "Tokens", *_ABOVE)

    return [
        Route(TOKENS, tokens, methods=["GET"]),
        *[route for section in SECTIONS for route in section_pages(frame, section, *_ABOVE)],
    ]
