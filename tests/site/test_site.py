"""The built site: every link leads somewhere, nothing is loaded from elsewhere, no name is missing.

`make docs` builds `build/site` and then runs this.
"""

import re
from html.parser import HTMLParser
from importlib import import_module
from inspect import isclass, isfunction
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site"
PAGES = sorted(SITE.rglob("*.html"))
TARGETS = ("href", "src", "poster", "data-src")
PAGE_RELATIONS = {"index", "search", "next", "prev", "author", "copyright", "canonical", "genindex"}


class Page(HTMLParser):
    """The targets of a page's links, what it loads by itself, and the names that links lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.names, self.titles = [], [], set(), 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.names |= {values[key] for key in ("id", "name") if values.get(key)}
        found = [values[key] for key in TARGETS if values.get(key)]
        # A `<link>` is loaded unless it only says where another page is.
        is_link = tag == "a" or (tag == "link" and values.get("rel") in PAGE_RELATIONS)
        (self.links if is_link else self.loaded).extend(found)
        self.titles += tag == "h1"


@pytest.fixture(scope="module")
def pages():
    assert (SITE / "index.html").exists(), "run make docs"
    return {path: Page(path) for path in PAGES}


def test_every_link_leads_somewhere(pages):
    lost = []
    for path, page in pages.items():
        for target in {*page.links, *page.loaded}:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            there = (path.parent / unquote(url.path)).resolve() if url.path else path
            fragment = unquote(url.fragment)
            is_there = there.is_file() and there.is_relative_to(SITE)
            if is_there and fragment and there in pages:
                is_there = fragment in pages[there].names
            if not is_there:
                lost.append(f"{path.relative_to(SITE)}: {target}")
    assert not lost, "\n".join(lost)


def test_links_to_other_hosts_are_well_formed(pages):
    """No network is asked: only their form is checked."""
    outside = {target for page in pages.values() for target in page.links if ":" in target}
    wrong = [each for each in outside if not re.fullmatch(r"https://[\w.-]+\.\w+(/[^\s]*)?", each)]
    assert not wrong
    assert len(outside) > 10


def test_nothing_is_loaded_from_another_host(pages):
    loaded = {target for page in pages.values() for target in page.loaded}
    assert not {each for each in loaded if urlsplit(each).netloc}
    styles = [path.read_text(encoding="utf-8") for path in SITE.rglob("*.css")]
    assert not [
        each for style in styles for each in re.findall(r"url\([\"']?(?:https?:)?//", style)
    ]


def test_each_page_has_one_title(pages):
    titles = {path: page.titles for path, page in pages.items() if path.name != "search.html"}
    assert not {path: count for path, count in titles.items() if count != 1}


def test_the_reference_has_every_public_name(pages, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    entries = set().union(*(page.names for page in pages.values()))
    missing = [
        f"{package}.{name}"
        for package in ("clr_core", "clr_torch", "clr_keras", "clr_jax")
        for name in import_module(package).__all__
        if f"{package}.{name}" not in entries
    ]
    assert not missing, f"add to docs/api: {missing}"


def test_the_reference_has_every_public_module_of_the_core(pages):
    entries = set().union(*(page.names for page in pages.values()))
    missing = []
    for path in sorted((ROOT / "clr_core").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if "._" in module:
            continue
        for name, value in vars(import_module(module)).items():
            is_ours = (isclass(value) or isfunction(value)) and value.__module__ == module
            exported = {f"{module}.{name}", f"clr_core.{name}"} & entries
            if is_ours and value.__doc__ and not name.startswith("_") and not exported:
                missing.append(f"{module}.{name}")
    assert not missing, f"add to docs/api: {missing}"
