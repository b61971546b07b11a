"""Pages over a control plane that takes its time, on a slow line or a busy host."""

from __future__ import annotations

import pytest

from tests.browser.plane import Plane
from tests.rig.browser import Page
from tests.rig.requires import requires

pytestmark = requires("chromium")

# Pages look a hundred times as often, and each answer takes as long as many looks. Who gives a question up is
# not heard: it has been asked.
_SLOW = """
const [later, often, ask] = [window.setTimeout, window.setInterval, window.fetch];
window.setTimeout = (action, ms) => later(action, ms / 100);
window.setInterval = (action, ms) => often(action, ms / 100);
window.asked = {};
window.most = 0;
const under = {};
window.fetch = async (path, { signal, ...options } = {}) => {
  const what = `${options.method ?? 'GET'} ${path.split('?')[0]}`;
  asked[what] = (asked[what] ?? 0) + 1;
  under[what] = (under[what] ?? 0) + 1;
  most = Math.max(most, under[what]);
  await new Promise((done) => later(done, 300));
  under[what] -= 1;
  return ask(path, options);
};
"""


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/monitor?range=1h", "GET /api/metrics/query"),
        ("/models", "GET /api/manifests"),
        ("/models/targets", "GET /api/targets"),
        ("/access/tokens", "GET /api/tokens"),
        ("/controls/budgets", "GET /api/limits/usage"),
        ("/configuration/history", "GET /api/config/history"),
        (
            "/models/edit?type=provider-account/self-hosted-model&name=lab",
            "POST /api/manifests/editing",
        ),
    ],
    ids=["monitor", "models", "targets", "tokens", "usage", "history", "editor"],
)
async def test_no_question_is_asked_while_it_has_no_answer(
    plane: Plane, page: Page, path: str, asked: str
) -> None:
    """Questions do not pile up, with what a person asks for at the end of them; and answers are shown."""
    await plane.sign_in(page)
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=_SLOW)
    await page.open(plane.origin + path)
    await page.wait(f"asked[{asked!r}] >= 4")
    assert await page.run("most") == 1
    await page.wait(
        "document.querySelector('main .skeleton:not([hidden] *), main [aria-busy=true]') === null"
    )
