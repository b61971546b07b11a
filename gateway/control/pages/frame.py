"""The frame around every page: templates, navigation, and the headers that hold a browser to our own files.

A page is written by the server (Jinja2, which escapes whatever is put into it) and made lively by a small
module of its own. The policy lets it load nothing but our files and ask nobody but us: no inline script, no
style attribute, no other origin, no frame around it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from gateway import __version__
from gateway.control.operator import find_operator
from gateway.control.pages.navigation import NAVIGATION, current_entry
from gateway.control.pages.static_files import StaticFiles

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
THEME_COOKIE: Final = "gateway-theme"
_THEMES: Final = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Crumb:
    """One step of the way to a page; without a path it is only said."""

    title: str
    path: str | None = None


class Frame:
    """Makes pages of templates."""

    def __init__(self, static: StaticFiles, *, replica: str | None = None) -> None:
        """Compile templates as they are asked for.

        Args:
            replica: Whose numbers the pages show; the machine's name by default.
        """
        self._templates = Environment(
            loader=PackageLoader("gateway.control.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(static=static.url, version=__version__)
        self._templates.filters["as_data"] = _as_data
        self._replica = replica or platform.node()

    def page(
        self,
        request: Request,
        template: str,
        title: str,
        *crumbs: Crumb,
        status: int = 200,
        values: Mapping[str, Any] | None = None,
    ) -> Response:
        """The page that *template* makes.

        Args:
            template: A file in `templates/` that extends `frame.html` (or `plain.html`, without navigation).
            title: Of the page, and the last step of the way to it.
            crumbs: The steps before the last.
            values: What the template shows besides.
        """
        theme = request.cookies.get(THEME_COOKIE)
        text = self._templates.get_template(template).render(
            operator=find_operator(request.scope),
            navigation=NAVIGATION,
            current=current_entry(request.url.path),
            title=title,
            crumbs=crumbs,
            replica=self._replica,
            theme=theme if theme in _THEMES else "auto",
            **(values or {}),
        )
        return Response(text, status, HEADERS, "text/html")


def _as_data(value: object) -> str:
    """*value* as JSON for a `data-` attribute; the template escapes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
