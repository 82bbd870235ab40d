"""What `import clr_core` costs beside `import dataclasses`: writes benchmarks/import_time.md.

Target: at most 1.2 times. Both are measured in one run, interleaved, each in a fresh interpreter
that has compiled byte code; the time is that of the import statement alone.
"""

import statistics
import subprocess
import sys
from pathlib import Path

import measuring

MODULES = ("dataclasses", "clr_core")
CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(module: str) -> float:
    """The time of one import in a new process."""
    done = subprocess.run(
        # -I: nothing of the user's environment.
        [sys.executable, "-I", "-c", CODE.format(module)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main(rounds: int) -> None:
    """Measures, prints and writes the table."""
    import clr_core

    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", Path(clr_core.__file__).parent], check=True
    )
    times: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(rounds):
        for module in MODULES:
            times[module].append(seconds(module))
    medians = {module: statistics.median(values) for module, values in times.items()}
    ratio = medians["clr_core"] / medians["dataclasses"]
    rows = [[f"`{module}`", f"{median * 1e3:.1f}"] for module, median in medians.items()]
    measuring.write(
        __file__,
        f"Import time, median of {rounds}, Python {sys.version.split()[0]}",
        [
            *measuring.table(["import", "ms"], rows),
            "",
            f"Ratio: {ratio:.2f} (target: at most 1.2).",
        ],
    )


if __name__ == "__main__":
    main(measuring.rounds())
