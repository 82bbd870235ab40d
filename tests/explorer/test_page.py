"""What a user does on the page: by pointer, by keyboard alone, on a phone, in the dark."""

import re

import pytest

from .conftest import (
    DEFAULT,
    SCREENSHOTS,
    change,
    elsewhere,
    error,
    field,
    handle,
    visit,
)

MOMENTA = "&base_momentum=0.85&max_momentum=0.95"
PICTURES = {
    "cyclic": f"{DEFAULT}&mode=triangular2{MOMENTA}&step=5000",
    "one-cycle": f"kind=one_cycle&max_lr=0.1&total_steps=9380&steps_per_epoch=469{MOMENTA}",
    "phases": 'kind=piecewise&phases=[{"steps":"500","start":"0","end":"0.001"},'
    '{"steps":"2000","start":"0.001","end":"0.0007"},'
    '{"steps":"1500.5","start":"0.001","end":"1e-06","shape":"cosine"}]',
    "sequence": 'kind=sequence&schedules=[{"kind":"warmup_cosine","max_lr":"0.01","warmup_steps":'
    '"300","total_steps":"3000","end_lr":"0.001"},{"kind":"cyclic","base_lr":"0.001","max_lr":'
    '"0.006","step_size_up":"600","mode":"triangular2"}]&boundaries=["3000"]&steps_per_epoch=391',
    "expression": "base_lr=1e-7&max_lr=3e-6&step_size_up=250&scale_mode=iterations"
    "&scale_fn=exp(-x/900)*cos(x/40)&steps=3000",
}


def points(page, curve):
    path = page.get_attribute(f"#curves .curve.{curve}", "d")
    return [tuple(map(float, each)) for each in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)]


def test_it_says_what_it_loads_and_asks_no_other_host(page, url):
    status, files = page.said
    assert re.match(r"Loading 1\d\.\d MB from this site", status)
    for each in ("MB  Python 3.", "Pyodide", "standard library", "cyclical-lr"):
        assert each in files
    assert not page.is_visible("#loading")
    assert len(page.context.requests) >= 10
    assert not elsewhere(page.context.requests, url)


def refuse(name, **answer):
    """Make a page get an answer, or none, in place of a file."""
    return lambda page: page.route(
        f"**/{name}", lambda route: route.fulfill(**answer) if answer else route.abort()
    )


def test_a_request_elsewhere_would_be_seen_and_is_blocked(opened, page, url):
    ask = "fetch('http://127.0.0.2:9/').then(() => 'answered', () => 'refused')"
    free = opened(ready=False, bypass_csp=True, prepare=refuse("explorer.js"))
    assert free.evaluate(ask) == "refused"  # Nobody listens there.
    assert elsewhere(free.context.requests, url) == ["http://127.0.0.2:9/"]
    free.context.requests.clear()
    assert page.evaluate(ask) == "refused"
    assert "127.0.0.2" not in "".join(page.context.requests)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            lambda page: page.add_init_script("delete globalThis.WebAssembly"),
            "this browser has no WebAssembly",
        ),
        (refuse("explorer.json", status=404), "explorer.json can't be loaded (404"),
        (refuse("*.wasm"), "pyodide.asm.wasm can't be loaded (Failed to fetch)"),
        (refuse("*.zip"), "python_stdlib.zip can't be loaded (Failed to fetch)"),
    ],
    ids=["no WebAssembly", "no list of files", "no Python", "no standard library"],
)
def test_it_says_plainly_why_it_cannot_start(opened, prepare, said):
    page = opened(ready=False, prepare=prepare)
    page.wait_for_selector("#status.problem")
    text = page.inner_text("#status")
    assert text.startswith("The explorer can't start: ")
    assert said in text
    assert "pip install cyclical-lr" in text


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", PICTURES)
def test_pictures(page, name, width, theme):
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 1000})
    visit(page, PICTURES[name])
    assert not page.is_visible("#unread")
    page.wait_for_function("document.querySelector('#curves svg').clientWidth <= innerWidth")
    page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{theme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.evaluate(
        "(({ width, height }) => [width.baseVal.value, height.baseVal.value])"
        "(document.querySelector('#curves svg'))"
    )
    names = ["lr", "momentum"] if "momentum" in PICTURES[name] else ["lr"]
    for curve in names:
        drawn = points(page, curve)
        assert len(drawn) > 90
        assert all(60 < x < box[0] and 0 < y < box[1] for x, y in drawn)
        assert len({y for _, y in drawn}) > 20
    titles = page.locator("#curves .title").all_text_contents()
    assert {"step (updates)", "learning rate", *names[1:]} <= set(titles)
    assert any(each.startswith("epoch (of ") for each in titles) == ("epoch" in PICTURES[name])
    # No label on top of another one, and none cut off.
    boxes = page.evaluate(
        "[...document.querySelectorAll('#curves .tick, #curves .title')]"
        ".map(each => (({ x, y, right, bottom }) => [x, y, right, bottom])"
        "(each.getBoundingClientRect()))"
    )
    left, right = page.evaluate(
        "(({ left, right }) => [left, right])(document.querySelector('#picture')"
        ".getBoundingClientRect())"
    )
    for i, (x, y, r, b) in enumerate(boxes):
        assert left - 1 <= x
        assert r <= right + 1
        for x2, y2, r2, b2 in boxes[:i]:
            assert r <= x2 or r2 <= x or b <= y2 + 1 or b2 <= y + 1


def test_text_has_contrast(page):
    """4.5 to 1 for text, 3 to 1 for curves and the borders of fields, in both themes."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        # The browser turns any color into numbers on a canvas.
        colors = page.evaluate(
            """() => {
                const canvas = new OffscreenCanvas(1, 1).getContext("2d");
                const probe = document.body.appendChild(document.createElement("i"));
                const found = {};
                for (const name of ["text", "muted", "page", "raised", "field", "blue", "green",
                                    "vermillion", "focus"]) {
                    probe.style.color = `var(--${name})`;
                    canvas.fillStyle = getComputedStyle(probe).color;
                    canvas.fillRect(0, 0, 1, 1);
                    found[name] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
                }
                probe.remove();
                return found;
            }"""
        )
        for name in ("text", "muted", "vermillion", "blue"):
            for ground in ("page", "raised"):
                assert contrast(colors[name], colors[ground]) >= 4.5, (theme, name, ground)
        for name in ("field", "green", "focus"):
            assert contrast(colors[name], colors["page"]) >= 3.0, (theme, name)


def contrast(one, other):
    def light(color):
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_dragging(page):
    box = handle(page, "max_lr").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    ticks = page.locator("#curves .tick").all_text_contents()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 40, steps=4)
    page.wait_for_function("document.getElementById('max_lr').value !== '0.006'")
    assert page.locator("#curves .tick").all_text_contents() == ticks  # The axes stay meanwhile.
    page.mouse.up()
    lr = float(field(page, "max_lr").input_value())
    assert 0.004 < lr < 0.006
    assert len(field(page, "max_lr").input_value()) <= 7  # A round number.
    assert f"max_lr={lr!r}&" in page.evaluate("location.hash")
    assert f"max_lr={lr!r}" in page.inner_text("#code")
    assert field(page, "base_lr").input_value() == "0.001"

    box = handle(page, "step_size_up").bounding_box()
    page.mouse.move(box["x"] + 12, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + 112, box["y"] + 12, steps=4)
    page.mouse.up()
    page.wait_for_function("document.getElementById('step_size_up').value !== '2000'")
    assert float(field(page, "step_size_up").input_value()) > 2500


def test_the_keyboard_alone(page):
    """Tab reaches everything that can be used, and shows where it is."""
    page.evaluate("document.activeElement.blur()")
    reached, unmarked = set(), []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "(each => [each.dataset.id ? 'handle ' + each.dataset.id : each.id,"
            " getComputedStyle(each).outlineStyle])(document.activeElement)"
        )
        reached.add(name)
        if name and outline == "none":
            unmarked.append(name)
    wanted = {"handle max_lr", "handle base_lr", "handle step_size_up", "handle step_size_down"}
    wanted |= {"handle view.step", "kind", "base_lr", "max_lr", "mode", "scale_fn", "copy", "link"}
    wanted |= {"view.steps_per_epoch", "view.step", "tab-torch", "code", "file", "first_step"}
    assert wanted <= reached
    assert not unmarked
    # Every control has a name.
    assert not page.evaluate(
        "[...document.querySelectorAll('input, select, button, [role=slider], [role=tab]')]"
        ".filter(each => !each.labels?.length && !each.ariaLabel && !each.textContent.trim())"
        ".map(each => each.id)"
    )


def test_arrow_keys_move_a_handle(page):
    slider = handle(page, "max_lr")
    slider.focus()
    for key, value in (("ArrowUp", 0.0061), ("PageDown", 0.0051), ("ArrowLeft", 0.005)):
        page.keyboard.press(key)
        assert float(field(page, "max_lr").input_value()) == pytest.approx(value, rel=0.02)
        assert float(slider.get_attribute("aria-valuenow")) == float(
            field(page, "max_lr").input_value()
        )
    assert slider.get_attribute("role") == "slider"
    assert slider.get_attribute("aria-orientation") == "vertical"
    assert slider.get_attribute("aria-label") == "max_lr"
    low, high = (float(slider.get_attribute(f"aria-value{each}")) for each in ("min", "max"))
    assert low <= float(slider.get_attribute("aria-valuenow")) <= high
    assert slider.evaluate("each => each === document.activeElement")

    # What the library refuses isn't taken.
    page.keyboard.press("Home")
    assert "`base_lr` must not be above `max_lr`. Received: " in error(page, "base_lr").inner_text()
    assert float(field(page, "max_lr").input_value()) == pytest.approx(0.005, rel=0.02)
    assert not page.is_visible("#stale")

    handle(page, "step_size_down").focus()
    page.keyboard.press("ArrowRight")
    assert field(page, "step_size_down").input_value() == "2200"
    assert not error(page, "base_lr").is_visible()


def test_a_bad_field_leaves_the_last_good_curve(page):
    before = page.get_attribute("#curves .curve", "d"), page.inner_text("#code")
    change(page, "step_size_up", "0")
    said = "`step_size_up` must be positive. Received: step_size_up=0.0"
    assert error(page, "step_size_up").inner_text() == said
    assert field(page, "step_size_up").get_attribute("aria-invalid") == "true"
    assert page.is_visible("#stale")
    assert (page.get_attribute("#curves .curve", "d"), page.inner_text("#code")) == before
    assert page.evaluate("location.hash") == f"#{DEFAULT}"
    change(page, "max_lr", "")
    change(page, "step_size_up", "4*250")
    assert error(page, "max_lr").inner_text() == "`max_lr` must be given."
    change(page, "max_lr", "0.01")
    assert not page.is_visible("#stale")
    assert "max_lr=0.01&step_size_up=4*250&" in page.evaluate("location.hash")
    assert "step_size_up=1000.0" in page.inner_text("#code")


def test_a_warning_is_shown(page):
    field(page, "mode").select_option("exp_range")
    assert "'exp_range' with gamma=1 is 'triangular'" in page.inner_text("#notes")
    change(page, "gamma", "0.9995")
    assert not page.is_visible("#notes")


def test_kinds_and_rows_by_keyboard(page):
    field(page, "kind").focus()
    for kind in ("one_cycle", "piecewise", "sequence"):
        field(page, "kind").select_option(kind)
        assert field(page, "kind").evaluate("each => each === document.activeElement")
    add = page.get_by_role("button", name="Add a phase")
    add.focus()
    page.keyboard.press("Enter")
    assert add.evaluate("each => each === document.activeElement")
    assert field(page, "schedules.0.phases.2.steps").is_visible()
    change(page, "schedules.0.phases.2.end", "-1")
    said = error(page, "schedules.0.phases.2.end").inner_text()
    assert said == "`end` must not be negative. Received: end=-1.0"
    change(page, "schedules.0.phases.2.end", "0.5")
    handle(page, "schedules.0.phases.0.steps").focus()
    page.keyboard.press("ArrowRight")
    assert "boundary 1" in page.locator("#handles [role=slider]").evaluate_all(
        "all => all.map(each => each.ariaLabel)"
    )


MARKUP = "</script><img src=x onerror=\"document.title='owned'\">"


@pytest.mark.parametrize(
    "text",
    [
        f"base_lr=0&max_lr=1&scale_fn={MARKUP}",
        f"base_lr={MARKUP}&max_lr=1",
        f"kind={MARKUP}",
        f"base_lr=0&max_lr=1&{MARKUP.replace('=', '')}=1",
        f"base_lr=0&max_lr=1&steps_per_epoch={MARKUP}",
        "base_lr=0&max_lr=1&scale_fn=__import__('js').alert(1)",
        'kind=piecewise&phases=[{"steps":1,"start":0,"end":1,"<img src=x>":1}]',
    ],
)
def test_an_address_with_markup_is_text(page, text):
    visit(page, text)
    assert page.is_visible("#unread")
    assert page.locator("img, main script").count() == 0
    assert page.title() == "Explorer · cyclical-lr"
    assert page.get_attribute("#curves .curve", "d")


def test_a_field_with_markup_is_text(page):
    for path, good in (("scale_fn", ""), ("base_lr", "0.001"), ("view.step", "")):
        change(page, path, MARKUP)
        assert "onerror" in error(page, path).inner_text()
        change(page, path, good)
    assert page.locator("img, main script").count() == 0


def test_a_malformed_link_opens_the_default(opened):
    page = opened("base_lr=abc&max_lr=1")
    assert "`base_lr` must be a number" in page.inner_text("#unread")
    assert "CyclicSchedule(base_lr=0.001, max_lr=0.006)" in page.inner_text("#name")
    change(page, "max_lr", "0.01")
    assert not page.is_visible("#unread")
    assert page.evaluate("location.hash") == f"#{DEFAULT}".replace("0.006", "0.01")
