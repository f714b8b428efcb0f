#!/usr/bin/env python3
"""Uses the page of `spec demo` in headless Chromium as people do, at the widths of a desktop and of a phone,
light and dark: every mode once, refusals, and the keyboard; and fails where a mode shows nothing, the console
says an error, the page asks others than its own server, or something is wider than the window.

    tests/browser/demo.py http://127.0.0.1:PORT/ [--shots FOLDER]

Needs Chromium and Python alone; without Chromium it says so and looks at nothing."""

import argparse
import base64
import json
import pathlib
import shutil
import sys
import tempfile
import time

from report import NAMES, SCHEMES, STARTS, WIDTHS, Browser, Ended

MODES = ["speculate", "generate", "explore", "sweep", "compare"]
PATIENCE = 120

# What each mode has to show, as a number of elements at least.
SHOWN = {
    "speculate": {".tokens .accepted, .tokens .correction, .tokens .bonus": 20, ".rounds li": 3,
                  ".cut > span": 20, ".figures dd": 5},
    "generate": {".text": 1, ".hint": 1},
    "explore": {".places button": 15, ".next li": 10, ".places [aria-pressed=true]": 1},
    "sweep": {".card": 5, ".card .text": 9, "tbody tr": 5},
    "compare": {".card": 2, "tbody tr": 8},
}

# What is wrong with the page as it stands, in words.
FAULTS = """(() => {
    const faults = [];
    const page = document.scrollingElement;
    if (page.scrollWidth > innerWidth)
        faults.push(`the page is ${page.scrollWidth} wide in a window of ${innerWidth}`);
    for (const own of document.querySelectorAll("button, input, select, textarea, a, summary")) {
        const box = own.getBoundingClientRect();
        if (box.width && (box.left < -1 || box.right > innerWidth + 1))
            faults.push(`outside the window: ${own.id || own.textContent}`);
        const isNamed = own.labels?.length || own.textContent.trim() || own.getAttribute("aria-label");
        if (box.width && !isNamed) faults.push(`without a name: ${own.outerHTML.slice(0, 60)}`);
    }
    return faults;
})()"""


class View:
    """One window."""

    def __init__(self, browser, address, width, scheme):
        self.browser, self.address = browser, address
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.events = []
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")
        is_phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=844 if is_phone else 900,
                  deviceScaleFactor=2 if is_phone else 1, mobile=is_phone)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=address)
        browser.wait("Page.loadEventFired")
        self.until("document.querySelectorAll('#model option').length > 1")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression):
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            sys.exit(f"`{expression}`: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, expression):
        """Waits for something to hold."""
        end = time.monotonic() + PATIENCE
        while not self.value(expression):
            if time.monotonic() > end:
                sys.exit(f"it never came: {expression}; the page says: {self.value('at(`status`).textContent')}")
            time.sleep(0.05)

    def press(self, key, code):
        for kind in ["rawKeyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def run(self):
        self.value("at('run').click()")
        self.until("!at('run').disabled")
        return self.value("at('status').textContent")

    def shoot(self, path):
        if path:
            picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)
            path.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        """Gives what the console and the network said that they should not."""
        faults = []
        for event in self.browser.events:
            method, own = event.get("method"), event.get("params", {})
            if method == "Network.requestWillBeSent" and not own["request"]["url"].startswith(
                    (self.address, "data:")):
                faults.append(f"asks for {own['request']['url']}")
            elif method in ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"]:
                faults.append(f"{method}: {json.dumps(own)[:300]}")
        self.browser.call("Target.closeTarget", targetId=self.target)
        return faults


def use(view, mode, shot):
    """Runs a mode and gives its faults."""
    view.value(f"at('tab-{mode}').click()")
    said = view.run()
    faults = [] if said.startswith("Done") else [f"it says `{said}`"]
    for selector, least in SHOWN[mode].items():
        count = view.value(f"document.querySelectorAll('#panel-{mode} {selector}').length"
                           if "," not in selector else
                           f"[...document.querySelectorAll('{selector}')].length")
        if count < least:
            faults.append(f"{count} of `{selector}`, at least {least} were expected")
    faults += view.value(FAULTS)
    view.shoot(shot)
    return [f"{mode}: {fault}" for fault in faults]


def use_keys(view):
    """The tabs by the keyboard, and a form sent from the prompt."""
    view.value("at('tab-speculate').click(); at('tab-speculate').focus()")
    faults = []
    for key, code, expected in [("ArrowRight", 39, "generate"), ("End", 35, "compare"),
                                ("ArrowRight", 39, "speculate"), ("ArrowLeft", 37, "compare"),
                                ("Home", 36, "speculate"), ("ArrowRight", 39, "generate")]:
        view.press(key, code)
        found = view.value("document.activeElement.id + ' ' + document.activeElement.ariaSelected")
        if found != f"tab-{expected} true":
            faults.append(f"{key} leads to {found}, not to {expected}")
    return faults


def refuse(view, shot):
    """What the server refuses is said on the page, and text is never markup."""
    faults = []
    view.value("at('tab-generate').click(); at('prompt').value = 'word '.repeat(5000)")
    said = view.run()
    if "context is" not in said or not view.value("at('status').classList.contains('bad')"):
        faults.append(f"a text that is too long: `{said}`")
    view.value("at('prompt').value = 'word '.repeat(20000)")
    said = view.run()
    if "64 KiB" not in said:
        faults.append(f"a request that is too long: `{said}`")
    faults += view.value(FAULTS)
    view.shoot(shot)
    view.value("at('prompt').value = '<b id=bold>bold</b><img src=x onerror=alert(1)>'")
    view.run()
    if view.value("document.querySelectorAll('#bold, main img').length"):
        faults.append("text became markup")
    return faults


def look(browser, address, shots):
    faults = []
    for name, width in WIDTHS.items():
        for scheme in SCHEMES:
            view = View(browser, address, width, scheme)
            place = lambda what: shots and shots / f"demo-{what}-{name}-{scheme}.png"
            found = view.value(FAULTS)
            for mode in MODES:
                found += use(view, mode, place(mode))
            found += use_keys(view)
            view.value("at('more').open = true")
            found += view.value(FAULTS)
            own = view.close()
            # The refusals are answers with a status that the console calls errors.
            other = View(browser, address, width, scheme)
            found += refuse(other, place("refused"))
            own += [fault for fault in other.close() if "Failed to load resource" not in fault]
            faults += [f"{name}, {scheme}: {fault}" for fault in found + own]
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", metavar="http://127.0.0.1:PORT/")
    parser.add_argument("--shots", type=pathlib.Path, help="folder for pictures of the page")
    given = parser.parse_args()
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        print("skipped: no Chromium (apt-get install chromium)")
        return 0
    if given.shots:
        given.shots.mkdir(parents=True, exist_ok=True)
    for _ in range(STARTS):
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
                browser = Browser(program, profile)
                faults = look(browser, given.address, given.shots)
                browser.call("Browser.close")
                browser.process.wait(timeout=30)
            break
        except Ended as ended:
            print(f"Chromium ended by itself: {ended}", file=sys.stderr)
    else:
        print(f"skipped: Chromium ended by itself {STARTS} times")
        return 0
    for fault in faults[:50]:
        print(fault)
    print(f"demo: {len(WIDTHS) * len(SCHEMES)} views, {len(MODES)} modes each, {len(faults)} fault(s)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
