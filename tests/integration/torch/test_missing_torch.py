"""If torch isn't installed, the error says what to install."""

import subprocess
import sys

HIDE_TORCH = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def run(code):
    command = [sys.executable, "-P", "-c", HIDE_TORCH + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_error_names_the_extra():
    done = run("""
try:
    import clr_torch
except ImportError as error:
    print(error)
    print(repr(error.__cause__))
""")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "`clr_torch` needs torch. Install it with: pip install 'cyclical-lr[torch]'",
        """ModuleNotFoundError("No module named 'torch'")""",
    ]


def test_the_schedule_works_without():
    done = run("""
from clr_core import CyclicSchedule
print(CyclicSchedule(base_lr=0.125, max_lr=0.5, step_size_up=2).lr(1))
""")
    assert (done.stdout, done.stderr) == ("0.3125\n", "")
