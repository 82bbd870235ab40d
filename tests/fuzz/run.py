"""Feeds every reader with broken input, guided by coverage, and writes down what it finds.

    python tests/fuzz/run.py [--minutes 60] [--findings build/fuzz] [record-json …]
    python tests/fuzz/run.py record-json --input build/fuzz/record-json-1f2e3d

Each target has a process of its own and an equal part of the time. A finding is an input that makes
a reader raise anything but a ValueError, a TypeError or an OSError of one bounded line, take more
than some seconds or gigabytes, run something, or return what doesn't survive being written. It is
kept as a file, beside a text with the traceback; the second form runs it again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

TYPE_CHECKING = False
if TYPE_CHECKING:  # The packages are imported once their coverage can be followed.
    from targets import Target

EXPECTED = (ValueError, TypeError, OSError)
LONGEST = 3000  # Characters of a message.
SECONDS, HANGS, MEGABYTES = 5.0, 60, 6000  # For one input; until it is stopped; of a process.
LARGEST = 2**16
# What the readers have no business to do: each raises an event of Python's own audit.
FORBIDDEN = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill"),
    *("subprocess.Popen", "socket.connect", "shutil.rmtree", "os.mkdir", "os.rename"),
)
PACKAGES = ("clr_core", "clr_cli", "clr_torch", "clr_keras", "clr_jax")


class Executed(BaseException):
    """A reader ran something: no handler of a reader catches this."""


def finding(target: Target, content: bytes) -> str | None:
    """What is wrong with how the target takes this content, with its place; None: nothing."""
    start = time.process_time()
    watching.append(True)
    try:
        target.read(content)
    except EXPECTED as error:
        text = str(error)
        if len(text) > LONGEST:
            return f"a message of {len(text)} characters: {text[:200]}"
        if not text.isprintable():
            return f"a message that isn't one visible line: {text!r}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "".join(traceback.format_exception(error))
    finally:
        watching.pop()
    taken = time.process_time() - start
    return f"{taken:.0f} seconds of the processor" if taken > SECONDS else None


watching: list[bool] = []


def _audit(event: str, _: object) -> None:
    if watching and event in FORBIDDEN:
        raise Executed(event)


def fuzz(name: str, seconds: int, folder: Path) -> None:
    """Feed one target for some seconds, in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=list(PACKAGES)):
        from targets import FOLDER, TARGETS

        target = TARGETS[name]()
        corpus = FOLDER / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(target.seeds()):
            (corpus / str(number)).write_bytes(seed)
            found = finding(target, seed)
            if found is not None:
                _keep(name, seed, found, folder)
    places: set[str] = set()

    def once(content: bytes) -> None:
        found = finding(target, content)
        # The last lines of a traceback are the place: another input for it says nothing new.
        place = "" if found is None else "".join(found.splitlines()[-4:-1]) or found[:20]
        if found is not None and place not in places:
            places.add(place)
            _keep(name, content, found, folder)

    warnings.simplefilter("ignore")
    sys.addaudithook(_audit)
    options = {
        "max_total_time": seconds,
        "max_len": LARGEST,
        "timeout": HANGS,
        "rss_limit_mb": MEGABYTES,
        "artifact_prefix": f"{folder}/{name}-",
        "print_final_stats": 1,
        "verbosity": 0,
    }
    flags = [f"-{key}={value}" for key, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], once)
    atheris.Fuzz()


def _keep(name: str, content: bytes, found: str, folder: Path) -> None:
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:8]}"
    path.write_bytes(content)
    path.with_suffix(".txt").write_text(found, errors="backslashreplace")


def _child(name: str, seconds: int, folder: Path) -> str:
    """Run a target in a process of its own; its last words if it ended otherwise than asked."""
    options = ["--seconds", str(seconds), "--findings", str(folder)]
    command = [sys.executable, "-P", __file__, name, *options]
    limit = seconds + 5 * HANGS
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=limit
        )
    except subprocess.TimeoutExpired:
        return f"{name}: not done after {limit} s"
    runs = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    if done.returncode:
        (folder / f"{name}-process.txt").write_text(done.stderr[-5000:])
    return f"{name}: {' '.join(runs) or 'no runs'}, exit code {done.returncode}"


def main() -> int:
    """Run the targets; the exit code is 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--findings", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--input", type=Path, help="only this file, for one target")
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)  # In the child.
    options = parser.parse_args()
    folder = options.findings.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.seconds is not None:
        fuzz(*options.targets, options.seconds, folder)
    from targets import TARGETS

    names = options.targets or list(TARGETS)
    if options.input is not None:
        found = finding(TARGETS[names[0]](), options.input.read_bytes())
        print(found or "nothing is wrong")
        return int(found is not None)
    workers = os.cpu_count() or 1
    seconds = max(1, round(60 * options.minutes * min(workers, len(names)) / len(names)))
    before = set(folder.iterdir())
    with ThreadPoolExecutor(workers) as pool:
        for line in pool.map(lambda name: _child(name, seconds, folder), names):
            print(line, flush=True)
    new = sorted(set(folder.iterdir()) - before)
    print(f"{len(new)} files of findings in {folder}" if new else "no findings")
    return int(bool(new))


if __name__ == "__main__":
    sys.exit(main())
