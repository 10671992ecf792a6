"""A real headless Chromium, spoken to over its own debugging pipe: what a page draws, logs and asks the network for."""

import base64
import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOW_TO_INSTALL = "there is no Chromium on PATH; on Debian: apt-get install -y chromium"
#: Seconds for one answer of a machine that is busy.
PATIENCE = 60

#: The browser reads what is asked on its descriptor 3, and answers and tells on its 4.
_WITH_PIPES = 'exec 3<"/dev/fd/$0" 4>"/dev/fd/$1"; shift; exec "$@"'


class Browser:
    """One browser with one page; a context manager.

    Attributes:
        complaints: the console's errors and warnings, exceptions that nobody results, and the browser's own complaints.
        requests: the URLs that were asked for, those of ``data:`` and ``blob:`` left out.
    """

    def __init__(self, profile, width=1360, height=1000):
        asked, self._ask = os.pipe()
        self._answers, answered = os.pipe()
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
        ]
        command = ["sh", "-c", _WITH_PIPES, str(asked), str(answered), CHROMIUM, *options, "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(asked, answered), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(asked)
        os.close(answered)
        self._poll = select.poll()  # unlike select, it takes any file descriptor
        self._poll.register(self._answers, select.POLLIN)
        self._unread, self._number, self._session = b"", 0, None
        self.complaints, self.requests, self._loaded = [], [], False

    def __enter__(self):
        try:
            self._attach()
        except BaseException:
            self._end()
            raise
        return self

    def _attach(self):
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def __exit__(self, *_):
        try:
            self._session = None
            self._call("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._end()

    def _end(self):
        self._process.kill()
        self._process.wait()
        os.close(self._ask)
        os.close(self._answers)

    def open(self, url, until):
        """Open a page, and wait until an expression of JavaScript is true in it."""
        self.complaints, self.requests, self._loaded = [], [], False
        self._call("Page.navigate", url=url)
        deadline = time.monotonic() + PATIENCE
        while not self._loaded:
            self._hear(self._next(deadline))
        self.wait(until)

    def wait(self, until):
        """Wait until an expression of JavaScript is true; a page that complains meanwhile need not be waited for."""
        look = f"({until}) ? done(true) : performance.now() > over ? done(false) : setTimeout(look, 20)"
        watch = f"new Promise((done) => {{ const over = performance.now() + 500, look = () => {look}; look(); }})"
        deadline = time.monotonic() + PATIENCE
        while not self.run(watch):
            assert not self.complaints, self.complaints
            assert time.monotonic() < deadline, until

    def run(self, expression):
        """Return what an expression of JavaScript comes to."""
        done = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def prefer(self, scheme):
        """Let the page see that its reader prefers ``dark`` or ``light``."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def move_to(self, x, y):
        """Move the pointer."""
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, whole=False):
        """Return a PNG of what is to be seen of the page, or of all of it."""
        return base64.b64decode(self._call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def _call(self, method, **parameters):
        self._number += 1
        number = self._number
        asked = {"id": number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._ask, json.dumps(asked).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            told = self._next(deadline)
            if told.get("id") == number:
                assert "error" not in told, (method, told["error"])
                return told["result"]
            self._hear(told)

    def _next(self, deadline):
        while b"\0" not in self._unread:
            left = deadline - time.monotonic()
            assert left > 0, "the browser does not answer"
            assert self._poll.poll(1000 * left), "the browser does not answer"
            read = os.read(self._answers, 1 << 20)
            assert read, "the browser has ended"
            self._unread += read
        told, _, self._unread = self._unread.partition(b"\0")
        return json.loads(told)

    def _hear(self, told):
        match told.get("method"):
            case "Runtime.consoleAPICalled":
                if told["params"]["type"] in ("error", "warning", "assert"):
                    self.complaints.append(
                        [item.get("value", item.get("description")) for item in told["params"]["args"]]
                    )
            case "Runtime.exceptionThrown":
                self.complaints.append(told["params"]["exceptionDetails"])
            case "Log.entryAdded":
                self.complaints.append(told["params"]["entry"])
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                url = told["params"]["request"]["url"]
                if not url.startswith(("data:", "blob:")):
                    self.requests.append(url)
