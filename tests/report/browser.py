"""A real browser for tests: headless Chromium through chromedriver's own HTTP interface, nothing installed for it."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 120  # seconds: a busy machine may be slow, a browser that hangs must still end

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def missing() -> str | None:
    """What a test with a browser lacks here, None where it can run."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(lacking)}: apt-get install chromium chromium-driver" if lacking else None


class Browser:
    """One open page."""

    def __init__(self, address: str, session: str) -> None:
        self._session = f"{address}/session/{session}"

    def open(self, page: Path, *, width: int, dark: bool) -> None:
        """Load a file in a window of this width, as a user with that color scheme sees it."""
        self.logs()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._devtools("Emulation.setEmulatedMedia", {"features": scheme})
        _ask(f"{self._session}/url", {"url": page.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """What a function body of JavaScript returns."""
        return _ask(f"{self._session}/execute/sync", {"script": script, "args": []})

    def logs(self) -> list[str]:
        """Messages of the console since the last call."""
        return [entry["message"] for entry in _ask(f"{self._session}/se/log", {"type": "browser"})]

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        options = {"captureBeyondViewport": whole}
        if whole:
            size = self._devtools("Page.getLayoutMetrics", {})["cssContentSize"]
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        file.write_bytes(b64decode(self._devtools("Page.captureScreenshot", options)["data"]))

    def pdf(self, file: Path) -> None:
        file.write_bytes(b64decode(self._devtools("Page.printToPDF", {"preferCSSPageSize": True})["data"]))

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return _ask(f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block whatever happens in it."""
    port = _free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(shutil.which("chromedriver")), f"--port={port}", "--log-level=OFF"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(address)
            session = _ask(f"{address}/session", {"capabilities": {"alwaysMatch": _capabilities(profile)}})
            try:
                yield Browser(address, session["sessionId"])
            finally:
                _ask(f"{address}/session/{session['sessionId']}", method="DELETE")
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _capabilities(profile: str) -> dict[str, Any]:
    options = {"binary": shutil.which("chromium"), "args": [*_ARGUMENTS, f"--user-data-dir={profile}"]}
    timeouts = {"pageLoad": 1000 * PATIENCE, "script": 1000 * PATIENCE}
    return {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}, "timeouts": timeouts}


def _wait(address: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if _ask(f"{address}/status")["ready"]:
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def _ask(url: str, body: Any = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the driver is on this machine
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["value"]["message"]) from error


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
