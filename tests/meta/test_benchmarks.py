"""Each benchmark runs, briefly, and leaves its table unchanged. No time is judged."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = sorted(
    path for path in FOLDER.glob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_runs(script):
    table = script.with_suffix(".md")
    before = table.read_bytes()
    done = subprocess.run(
        [sys.executable, str(script), "--brief"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "| --- |" in done.stdout
    assert table.read_bytes() == before


def test_there_are_benchmarks():
    assert len(SCRIPTS) > 5
