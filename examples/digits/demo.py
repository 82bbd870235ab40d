"""One schedule, three frameworks: train the same network in each, and compare.

Then hand one run from torch to Keras to JAX and back to torch, in the middle of its cycles, and
compare it with an uninterrupted run.

Writes `rates.png`, `losses.png`, `tutorial.png` and `relay.png`. Exits with 0 if every rate equals
the schedule's in every bit and the losses and weights agree, with 1 if not, and with 2 if the demo
couldn't run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import progress
from needed import how_to_install, missing

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {
    # Other devices multiply matrices at other precisions, so the losses are compared on the CPU.
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    # Silences TensorFlow's messages about the processor and oneDNN.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="where the pictures go (default: %(default)s)",
    )
    out = parser.parse_args().out
    if absent := missing():
        names = ", ".join(f"`{package}`" for package in absent)
        print(f"demo: {names} must be installed. {how_to_install(absent)}", file=sys.stderr)
        return 2

    # Not at the top, since these import the packages that were just checked for.
    from relay import LEGS, SCRIPTS, commands
    from report import report

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder)
        try:
            for name, script in SCRIPTS.items():
                run(name, script, ["--leave", name, "--until", str(LEGS[-1][1])], records)
            run("torch's CyclicLR", "tutorial_torch.py", ["--save", "tutorial.npz"], records)
            for name, script, arguments in commands():
                run(name, script, arguments, records)
        except subprocess.CalledProcessError as error:
            script = Path(error.cmd[1]).name
            print(f"demo: {script} ended with status {error.returncode}.", file=sys.stderr)
            return 2
        return report(records, list(SCRIPTS), out)


def run(name: str, script: str, arguments: list[str], folder: Path) -> None:
    """Run `script` in its own process: one that loads both TensorFlow and torch crashes.

    It shows its progress and writes into `folder`.
    """
    progress.loading(name)
    subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        check=True,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
    )


if __name__ == "__main__":
    sys.exit(main())
