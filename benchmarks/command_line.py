"""What `clr --help` costs beside an empty interpreter: writes benchmarks/command_line.md.

Target: at most 4 times. Both are whole processes, measured in one run, in turns, with compiled byte
code; `clr show` is beside them, which loads the core as well.
"""

import subprocess
import sys
from pathlib import Path

from measuring import interleaved, machine, rounds, table, write

import clr_cli
import clr_core

ROOT = Path(clr_cli.__file__).parents[1]
CODE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.argv[0] = "clr"
from clr_cli.main import main
sys.exit(main())
"""
SHOW = ("show", "--base-lr", "0.0015", "--max-lr", "0.006")
SIDES = {
    "an empty interpreter": ("-c", "pass"),
    "`clr --help`": ("-c", CODE, "--help"),
    "`clr show --help`": ("-c", CODE, "show", "--help"),
    "`clr show`": ("-c", CODE, *SHOW),
}


def process(*arguments):
    # -I: nothing of the user's environment.
    command = [sys.executable, "-I", *arguments]
    return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def main():
    for package in (clr_cli, clr_core):
        folder = Path(package.__file__).parent
        subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=True)
    works = {name: process(*arguments) for name, arguments in SIDES.items()}
    times = interleaved(works, calls=1, rounds=rounds())
    empty = times["an empty interpreter"]
    rows = [[name, f"{time * 1e3:.0f}", f"{time / empty:.2f}"] for name, time in times.items()]
    write(
        __file__,
        "The command line",
        [
            f"Whole processes, median of {rounds()} rounds in which all take turns.",
            machine("cyclical-lr"),
            "",
            *table(["process", "ms", "times the empty one"], rows),
            "",
            "Target: `clr --help` at most 4 times.",
        ],
    )


if __name__ == "__main__":
    main()
