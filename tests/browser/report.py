#!/usr/bin/env python3
"""Opens reports of `spec report --html` in headless Chromium, offline, at the widths of a desktop and of a
phone, light and dark, and fails where one asks for anything, says an error, is wider than the window, or
leaves text outside a chart.

    tests/browser/report.py PAGE.html … [--shots FOLDER]

Needs Chromium and Python alone. Where there is no Chromium, or where it ends by itself however often it is
started, that is said with its last words and nothing is looked at."""

import argparse
import base64
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"]
STARTS = 3
WIDTHS = {"desktop": 1280, "phone": 390, "small": 360}
SCHEMES = ["light", "dark"]

# What is wrong with the page as it stands, in words.
FAULTS = """(() => {
    const faults = [];
    document.querySelectorAll("details").forEach(own => { own.open = true; });
    const page = document.scrollingElement;
    if (page.scrollWidth > innerWidth)
        faults.push(`the page is ${page.scrollWidth} wide in a window of ${innerWidth}`);
    for (const svg of document.querySelectorAll("svg.chart")) {
        const frame = svg.getBoundingClientRect();
        for (const text of svg.querySelectorAll("text")) {
            const own = text.getBoundingClientRect();
            if (own.left < frame.left - 1 || own.right > frame.right + 1 || own.bottom > frame.bottom + 1)
                faults.push(`text outside its chart: ${text.textContent}`);
            if (own.height < 8) faults.push(`too small to read: ${text.textContent}`);
        }
    }
    if (!document.querySelector("svg.chart")) faults.push("no chart");
    if (!document.querySelector("[data-path]")) faults.push("no figure");
    return faults;
})()"""


class Ended(Exception):
    """Chromium ended by itself."""


class Browser:
    """Chromium, spoken to over a pipe in the words of its DevTools protocol."""

    def __init__(self, program, profile):
        to_read, self.out = os.pipe()
        self.into, to_write = os.pipe()

        def places():
            # Chromium reads from 3 and writes to 4; the ends may have these very numbers.
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 64) for end in (to_read, to_write)]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        flags = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        flags += ["--disable-quic", "--disable-dev-shm-usage", "--no-sandbox", f"--user-data-dir={profile}"]
        self.words = tempfile.TemporaryFile()
        self.process = subprocess.Popen([program, *flags], preexec_fn=places, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=self.words)
        os.close(to_read)
        os.close(to_write)
        self.rest, self.number, self.events = b"", 0, []

    def receive(self):
        while b"\0" not in self.rest:
            more = os.read(self.into, 1 << 20)
            if not more:
                raise Ended(self.last_words())
            self.rest += more
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def last_words(self):
        code = self.process.wait(timeout=30)
        self.words.seek(0)
        lines = self.words.read().decode(errors="replace").strip().splitlines()
        return "\n".join([f"exit status {code}", *lines[-8:]])

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        sent = json.dumps(message).encode() + b"\0"
        try:
            while sent:
                sent = sent[os.write(self.out, sent):]
        except BrokenPipeError:
            raise Ended(self.last_words()) from None
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())


def look(browser, page, width, scheme, shot):
    """Opens a page and gives its faults."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(method, **parameters):
        return browser.call(method, session, **parameters)

    browser.events = []
    for domain in ["Page", "Runtime", "Log", "Network"]:
        call(f"{domain}.enable")
    call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1,
         uploadThroughput=-1)
    is_phone = width < 600
    call("Emulation.setDeviceMetricsOverride", width=width, height=844 if is_phone else 900,
         deviceScaleFactor=2 if is_phone else 1, mobile=is_phone)
    call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    call("Page.navigate", url=page.resolve().as_uri())
    browser.wait("Page.loadEventFired")
    found = call("Runtime.evaluate", expression=FAULTS, returnByValue=True)["result"]
    if "value" not in found:
        sys.exit(f"{page} could not be looked at: {found}")
    faults = list(found["value"])
    if shot:
        picture = call("Page.captureScreenshot", captureBeyondViewport=True)
        shot.write_bytes(base64.b64decode(picture["data"]))
    for event in browser.events:
        method, own = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent" and own["request"]["url"] != page.resolve().as_uri():
            if not own["request"]["url"].startswith("data:"):
                faults.append(f"asks for {own['request']['url']}")
        elif method in ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"]:
            faults.append(f"{method}: {json.dumps(own)[:200]}")
    browser.call("Target.closeTarget", targetId=target)
    return faults


def look_at_all(program, given):
    """Opens every page in every view and gives what is wrong, each with where it is."""
    faults = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        for page in given.pages:
            for name, width in WIDTHS.items():
                for scheme in SCHEMES:
                    shot = given.shots and given.shots / f"{page.stem}-{name}-{scheme}.png"
                    for fault in look(browser, page, width, scheme, shot):
                        faults.append(f"{page}, {name}, {scheme}: {fault}")
        browser.call("Browser.close")
        browser.process.wait(timeout=30)
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=pathlib.Path, metavar="PAGE.html")
    parser.add_argument("--shots", type=pathlib.Path, help="folder for pictures of the pages")
    given = parser.parse_args()
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        print("skipped: no Chromium (apt-get install chromium)")
        return 0
    if given.shots:
        given.shots.mkdir(parents=True, exist_ok=True)
    for _ in range(STARTS):
        try:
            faults = look_at_all(program, given)
            break
        except Ended as ended:
            print(f"Chromium ended by itself: {ended}", file=sys.stderr)
    else:
        print(f"skipped: Chromium ended by itself {STARTS} times")
        return 0
    for fault in faults[:50]:
        print(fault)
    looked = len(given.pages) * len(WIDTHS) * len(SCHEMES)
    print(f"{looked} views of {len(given.pages)} page(s), {len(faults)} fault(s)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
