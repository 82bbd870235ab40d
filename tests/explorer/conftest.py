"""The explorer as it was built, in headless Chromium; a request to another host is a failure."""

import json
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "explorer"
SCREENSHOTS = ROOT / "build" / "screenshots"

sys.path.insert(0, str(SITE / "explorer"))  # Its modules run in any Python.
DEFAULT = "kind=cyclic&base_lr=0.001&max_lr=0.006&step_size_up=2000&steps_per_epoch=500"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def url():
    """The address of the page, on a server of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/explorer/"
        server.shutdown()


@pytest.fixture(scope="session")
def chromium():
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, as which it runs in a container.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def elsewhere(requests, url):
    """The requests to other hosts than the page's."""
    home = url.partition("/explorer/")[0]
    return [each for each in requests if not each.startswith((f"{home}/", "data:", "blob:"))]


@pytest.fixture(scope="session")
def opened(chromium, url):
    """Opens the page, at an address, in a context of its own."""
    contexts = []

    def open_page(address="", *, ready=True, prepare=lambda page: None, **options):
        viewport = {"width": 1400, "height": 1000}
        context = chromium.new_context(**{"viewport": viewport} | options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(90_000)
        context.requests, context.errors = [], []
        context.on("request", lambda request: context.requests.append(request.url))
        context.on("weberror", lambda error: context.errors.append(str(error.error)))
        contexts.append(context)
        page = context.new_page()
        prepare(page)
        page.goto(f"{url}#{address}" if address else url)
        if ready:
            page.wait_for_selector("#curves svg")
        return page

    yield open_page
    for context in contexts:
        assert not elsewhere(context.requests, url)
        context.close()


@pytest.fixture(scope="session")
def shared(opened):
    page = opened(ready=False)
    page.wait_for_selector("#loaded li", state="attached")
    page.said = page.text_content("#status"), page.text_content("#loaded")
    page.wait_for_selector("#curves svg")
    return page


@pytest.fixture
def page(shared):
    """The page at its default schedule; one for all tests, since Python takes seconds to start."""
    shared.set_viewport_size({"width": 1400, "height": 1000})
    shared.emulate_media(color_scheme="light")
    if shared.is_visible("#forget"):
        shared.click("#forget")
    visit(shared, "kind=one_cycle&max_lr=1&total_steps=9")  # What stands in the form is left too.
    visit(shared, DEFAULT)
    shared.click("#tab-torch")
    yield shared
    assert not shared.context.errors


def visit(page, address):
    """Follow a link to another schedule, and wait until it is shown."""
    page.evaluate(
        """address => new Promise(done => {
            if (location.hash === `#${address}`) return done();
            addEventListener("hashchange", () => setTimeout(done), { once: true });
            location.hash = address;
        })""",
        address,
    )


def address(schedule, **view):
    """The address of a schedule, not made by the page."""
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in schedule.to_dict().items()
        if value is not None
    }
    return urlencode(texts | view)


def field(page, path):
    """The input of an argument."""
    return page.locator(f'[id="{path}"]')


def handle(page, path):
    """The handle of an argument in the picture."""
    return page.locator(f'[data-id="{path}"]')


def error(page, path):
    """The error beside an argument's input."""
    return page.locator(f'[id="{path} error"]')


def change(page, path, text):
    """Write into a field, and leave it."""
    field(page, path).fill(text)
    field(page, path).blur()


def values(page, steps):
    """The rates and the momenta, if any, of the page's schedule: the browser's own numbers."""
    found = page.evaluate(
        """async ([code, steps]) => {
            const { page, python } = await (await import("./explorer.js")).ready;
            python.globals.set("page", page);
            python.globals.set("steps", python.toPy(steps));
            return python.runPython(code);
        }""",
        [VALUES, list(steps)],
    )
    return [each and list(map(float.fromhex, each)) for each in json.loads(found)]


VALUES = """
import json
schedule = page.schedule
lrs = [schedule.lr(int(step)).hex() for step in steps]
momenta = None
if schedule.momentum(0) is not None:
    momenta = [schedule.momentum(int(step)).hex() for step in steps]
json.dumps([lrs, momenta])
"""
