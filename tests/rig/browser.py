"""A real Chromium for tests of pages, driven over its DevTools protocol; no driver program, no package.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from tests.rig.requires import find_chromium
from tests.rig.until import until, until_async

_FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-port=0"),
)
_ANSWER_S: Final = 120.0
KEYS: Final = {
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    " ": ("Space", 32, " "),
    "ArrowDown": ("ArrowDown", 40, ""),
}
"""Of each its code, its number in Windows and what it types."""


class Page:
    """One tab.

    Attributes:
        complaints: Errors of scripts and the browser's own, a blocked resource included.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []

    async def open(self, url: str) -> None:
        """Go to *url* and wait until it has loaded; who asks whether to leave what is typed is told yes."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)
        await self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise.

        Raises:
            AssertionError: It throws.
        """
        result = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true, on this page or on one that it goes on to.

        It may throw until then, as one about an element does that is not there yet.
        """
        thrown: list[AssertionError] = []

        async def is_true() -> Any:
            try:
                return await self.run(condition)
            except AssertionError as error:
                thrown[:] = [error]
                return False

        try:
            await until_async(is_true, condition, timeout_s=_ANSWER_S)
        except AssertionError as error:
            raise error from next(iter(thrown), None)

    async def fill(self, selector: str, text: str) -> None:
        """Write into a field as a person does."""
        field = f"document.querySelector({json.dumps(selector)})"
        await self.run(f"{field}.focus(), {field}.select && {field}.select(), true")
        await self.call("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Click on an element, as soon as it is there to be seen."""
        element = f"document.querySelector({json.dumps(selector)})"
        await self.wait(f"{element} !== null && {element}.checkVisibility()")
        await self.run(f"{element}.click()")

    async def press(self, key: str, *, shift: bool = False, control: bool = False) -> None:
        """Press a key: a name of `KEYS`, or a letter."""
        code, number, text = KEYS[key] if key in KEYS else (f"Key{key.upper()}", ord(key.upper()), "")
        pressed = {
            "key": key,
            "code": code,
            "windowsVirtualKeyCode": number,
            "modifiers": 8 * shift + 2 * control,
        }
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def text(self, selector: str) -> str:
        """The text that an element shows."""
        return str(await self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def look(self, *, width: int = 1000, height: int = 1200, scheme: str = "light") -> None:
        """Set the size of the window, and the reader's choice of light or dark."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.call("Emulation.setEmulatedMedia", features=[feature])

    async def screenshot(self, file: Path) -> None:
        """Keep what is to be seen as PNG."""
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(shot["data"]))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol.

        Raises:
            AssertionError: The browser refuses it.
        """
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(timeout=_ANSWER_S)).data)
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                return dict(message["result"])
            if "method" in message:
                await self._note(message)

    async def _note(self, message: dict[str, Any]) -> None:
        asked = message["params"].get("type") if message["method"] == "Page.javascriptDialogOpening" else None
        if asked == "beforeunload":
            # Its answer comes among the messages, and is left there.
            told = {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            await self._socket.send_json(told)
        elif message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.complaints.append(message["params"]["entry"]["text"])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_ANSWER_S)
    except subprocess.TimeoutExpired:
        # On a machine that is busy elsewhere it may take its time, and nothing here is about that.
        process.kill()
        process.wait()


class Chromium:
    """A browser, which ends with the `with`. Tests share it, as a start takes as long as most of them."""

    def __init__(self) -> None:
        self._origin = ""

    def __enter__(self) -> Self:
        program = find_chromium()
        assert program is not None
        with contextlib.ExitStack() as starting:
            folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            profile = Path(starting.enter_context(folder))
            process = subprocess.Popen(
                [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            starting.callback(_end, process)
            port_file = profile / "DevToolsActivePort"
            until(
                lambda: port_file.exists() and port_file.read_text().strip(), "Chromium listens", timeout_s=60
            )
            self._origin = f"127.0.0.1:{port_file.read_text().splitlines()[0]}"
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @contextlib.asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """A tab without any past: it shares no cookie, storage or cache with another, and ends as a whole."""
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{self._origin}/json/version") as reply:
                address = (await reply.json())["webSocketDebuggerUrl"]
            async with session.ws_connect(address) as socket:
                browser = Page(socket)
                context = (await browser.call("Target.createBrowserContext"))["browserContextId"]
                try:
                    tab = await browser.call(
                        "Target.createTarget", url="about:blank", browserContextId=context
                    )
                    address = f"http://{self._origin}/devtools/page/{tab['targetId']}"
                    async with session.ws_connect(address, max_msg_size=64 * 1024 * 1024) as of_tab:
                        yield Page(of_tab)
                finally:
                    await browser.call("Target.disposeBrowserContext", browserContextId=context)
