"""If torch isn't installed, or lacks what is needed, the error says what to install."""

import subprocess
import sys

import pytest
import torch

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


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            "torch.__version__ = torch.torch_version.TorchVersion('2.3.1+cpu')",
            "`clr_torch` needs torch 2.4 or newer. Received: torch 2.3.1+cpu. "
            "Install it with: pip install 'cyclical-lr[torch]'",
        ),
        (
            "del torch.optim.lr_scheduler.LRScheduler._initial_step",
            "`clr_torch` needs `LRScheduler._initial_step`, which torch has from 2.4 to 2.15. "
            f"Received: torch {torch.__version__}. "
            "Install one of these, or a newer cyclical-lr.",
        ),
        (
            "torch.__version__ = torch.torch_version.TorchVersion('2.16.0')\n"
            "LRScheduler = torch.optim.lr_scheduler.LRScheduler\n"
            "if hasattr(LRScheduler, '_update_lr'): del LRScheduler._update_lr",
            "`clr_torch` needs `LRScheduler._update_lr`, which torch has from 2.9 to 2.15. "
            "Received: torch 2.16.0. Install one of these, or a newer cyclical-lr.",
        ),
    ],
    ids=["too old", "without a hook", "without a later hook"],
)
def test_the_error_names_the_torch_that_has_what_is_needed(changed, message):
    code = f"import torch\n{changed}\nimport clr_torch"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == f"ImportError: {message}"
