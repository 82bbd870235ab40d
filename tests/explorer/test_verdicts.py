"""A log that is dropped on the page gets the verdict of `clr verify`."""

import subprocess
import sys

import pytest

from clr_core import CyclicSchedule
from clr_core.record import Record

from .conftest import SCREENSHOTS, change, field

SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006)
LOGS = {
    "followed": "".join(f"{step},{SCHEDULE.lr(step)!r}\n" for step in range(0, 9000, 50)),
    "deviated": "".join(f"{step},{SCHEDULE.lr(step + 100)!r}\n" for step in range(0, 9000, 50)),
    "undecided": "0,0.001\n",
    "error": "0,high\n",
}


def said_in_a_terminal(tmp_path, name, *flags):
    Record(SCHEDULE).write(tmp_path / "record.json")
    process = subprocess.run(
        [sys.executable, "-P", "-m", "clr_cli", "verify", "record.json", name, *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return (process.stdout or process.stderr.removeprefix("clr verify: ")).strip()


def drop(page, name, text):
    page.evaluate(
        """([name, text]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], name));
            document.body.dispatchEvent(
                new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, text],
    )


@pytest.mark.parametrize("status", LOGS)
def test_a_dropped_log(page, tmp_path, status):
    text = "step,lr\n" + LOGS[status]
    (tmp_path / "log.csv").write_text(text)
    drop(page, "log.csv", text)
    page.wait_for_selector(f"#verdict.{status}")
    assert page.inner_text("#sentence") == said_in_a_terminal(tmp_path, "log.csv")
    assert "clr verify record.json log.csv" in page.inner_text("#command")
    assert (page.locator("#curves .logged").count() == 1) == (status != "error")
    assert (page.locator("#curves .difference").count() == 1) == (status == "deviated")
    if status == "deviated":
        page.screenshot(path=SCREENSHOTS / "log-1400-light.png", full_page=True)


def test_a_file_that_is_chosen_with_options(page, tmp_path):
    (tmp_path / "run.csv").write_text(
        "updates,rate,other_rate\n"
        + "".join(f"{step + 1},{SCHEDULE.lr(step):.6f},0.1\n" for step in range(0, 9000, 50))
    )
    page.set_input_files("#file", tmp_path / "run.csv")
    page.wait_for_selector("#verdict.error")
    assert page.inner_text("#sentence") == said_in_a_terminal(tmp_path, "run.csv")
    assert "--lr-column" in page.inner_text("#sentence")
    change(page, "lr_column", "rate")
    page.wait_for_selector("#verdict.undecided")
    field(page, "first_step").select_option("1")
    page.wait_for_selector("#verdict.followed")
    flags = ["--lr-column=rate", "--first-step=1"]
    assert page.inner_text("#sentence") == said_in_a_terminal(tmp_path, "run.csv", *flags)
    assert page.inner_text("#command").endswith(" ".join(["run.csv", *flags]))

    # A verdict on another schedule is marked.
    change(page, "max_lr", "0.01")
    assert "said of another schedule" in page.inner_text("#command")
    page.click("#again")
    page.wait_for_selector("#verdict.deviated")


def test_a_log_with_a_line_per_epoch(page, tmp_path):
    (tmp_path / "results.csv").write_text(
        "epoch,lr\n" + "".join(f"{epoch},{SCHEDULE.lr(500 * epoch)!r}\n" for epoch in range(24))
    )
    field(page, "per_epoch").check()
    page.set_input_files("#file", tmp_path / "results.csv")
    page.wait_for_selector("#verdict.followed")
    said = said_in_a_terminal(tmp_path, "results.csv", "--steps-per-epoch=500")
    assert page.inner_text("#sentence") == said
    field(page, "per_epoch").uncheck()


def test_a_log_named_with_markup(page):
    drop(page, "<img src=x>.csv", "step,lr\n0,high\n")
    page.wait_for_selector("#verdict.error")
    assert page.inner_text("#sentence").startswith("<img src=x>.csv:2: ")
    assert page.locator("img").count() == 0
