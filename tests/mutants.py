"""Do the tests of the core notice an error? Plants random ones, and prints those that survive.

    python tests/mutants.py [--number 200] [--seed 1] [clr_core/record …]

Cosmic Ray knows what can be changed at a place: a number, an operator, a comparison, a condition,
a loop, a decorator. A place is drawn, then one of its changes; annotations are left to mypy. Each
mutant is a copy of the core and its tests with one change; the checkout stays as it is. It is
killed if a test fails or doesn't end. Only those tests are asked that call the function with the
change, as `recorded.py` has seen, or that work in other processes; the quickest first. If none
calls it, as when a module is imported, all are asked.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("clr_core", "tests", "benchmarks", "pyproject.toml")
ALL = ("clr_core", "tests/conformance", "tests/core")
KILLED = 0.95  # The share that must be; what survives may be the same program in other words.
MEMORY = 8 << 30  # Bytes of address space, so that no mutant takes the machine down.
SECONDS, TIMES = 30, 3  # Tests that take so much longer don't end.
PYTEST = (sys.executable, "-P", "-m", "pytest", "-x", "-q", "--doctest-modules")
PYTEST += ("--row", "rows.core", "--with-numpy")
Tests = dict[str, tuple[float, list[list[Any]]]]  # Of each: its seconds, and what it calls.


@dataclass(frozen=True)
class Mutant:
    """A module of the core, and its source with one change."""

    module: Path
    before: str
    after: str

    @property
    def diff(self) -> str:
        """The change, as a patch."""
        lines = (text.splitlines() for text in (self.before, self.after))
        name = self.module.as_posix()
        return "\n".join(difflib.unified_diff(*lines, name, name, n=1, lineterm=""))

    @property
    def function(self) -> int | None:
        """The first line of the function with the change; None if it is in none."""
        lines = zip(self.before.splitlines(), self.after.splitlines(), strict=False)
        changed = next(number for number, (a, b) in enumerate(lines, start=1) if a != b)
        first_lines = [
            min(each.lineno for each in (node, *node.decorator_list))
            for node in ast.walk(ast.parse(self.before))
            if isinstance(node, ast.FunctionDef) and node.end_lineno >= changed
        ]
        return max((first for first in first_lines if first <= changed), default=None)


def drawn(sources: dict[Path, str], rng: random.Random) -> Iterator[Mutant]:
    """Mutants of `sources` in random order, at most one for each place."""
    places: dict[tuple[Path, object], list[tuple[str, int]]] = {}
    for module, source in sources.items():
        nodes = list(ast_nodes(get_ast(source)))
        for name in operator_names():
            if get_operator(name).arguments():
                continue
            positions = (get_operator(name)().mutation_positions(node) for node in nodes)
            for number, place in enumerate(place for each in positions for place in each):
                places.setdefault((module, place), []).append((name, number))
    for module, place in rng.sample(sorted(places), len(places)):
        name, number = rng.choice(places[module, place])
        # Some changes don't compile, and Cosmic Ray fails at a dotted name among exceptions.
        with suppress(SyntaxError, AttributeError):
            after = mutate_code(sources[module], get_operator(name)(), number)
            if _what_runs(sources[module]) != _what_runs(after):
                yield Mutant(module, sources[module], after)


def _what_runs(source: str) -> str:
    """The program without what no test could notice, or only a slower one."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
            unseen = ("cache", "lru_cache", "overload")
            node.decorator_list = [
                each for each in node.decorator_list if not ast.unparse(each).startswith(unseen)
            ]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.test, node.body = ast.Constant(True), [ast.Pass()]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "zip":
            node.keywords = []  # `strict` finds errors of ours.
    return ast.dump(tree)


def recorded(root: Path) -> Tests:
    """What the tests do if nothing is changed."""
    with tempfile.NamedTemporaryFile() as file:
        command = [*PYTEST, "-p", "recorded", *ALL]
        if subprocess.run(command, cwd=root, env=_environment(root, RECORDED=file.name)).returncode:
            raise SystemExit("The tests fail with nothing changed: make test-core-numpy")
        tests: Tests = json.load(file)
        return tests


def is_killed(mutant: Mutant, original: Path, tests: Tests) -> bool:
    """True if a test fails, or doesn't end."""
    place = [mutant.module.as_posix(), mutant.function]
    called = any(place in calls for _, calls in tests.values())
    asked = {
        name: seconds
        for name, (seconds, calls) in tests.items()
        if place in calls or not calls or not called
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.copytree(original, folder, dirs_exist_ok=True))
        (root / mutant.module).write_text(mutant.after, encoding="utf-8")
        limit = int(SECONDS + TIMES * sum(asked.values()))
        return fails(sorted(asked, key=asked.__getitem__), root, limit)


def fails(tests: list[str], root: Path, limit: int) -> bool:
    """True if `tests` don't pass within `limit` seconds, in the folder `root`.

    Seconds of the processor, since the machine may be busy; ten times as many pass if a mutant
    sleeps.
    """
    process = subprocess.Popen(
        [*PYTEST, *tests],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
        cwd=root,
        env=_environment(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(10 * limit) != 0
    except subprocess.TimeoutExpired:
        return True
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # And what the tests have started.
        process.wait()


def _environment(root: Path, **more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"} | more


def main() -> int:
    """Tries the mutants, a few at a time; 1 if too many survive."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", default=["clr_core"], help="default: clr_core")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Some tests need it.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, original / name)
        return _tried(original, arguments)


def _tried(original: Path, arguments: argparse.Namespace) -> int:
    paths = [original / path for path in arguments.paths]
    found = {each for path in paths for each in ([path] if path.is_file() else path.rglob("*.py"))}
    sources = {each.relative_to(original): each.read_text("utf-8") for each in sorted(found)}
    mutants = drawn(sources, random.Random(arguments.seed))
    chosen = [mutant for mutant, _ in zip(mutants, range(arguments.number), strict=False)]
    start = time.monotonic()
    tests = recorded(original)
    survivors = tried = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {pool.submit(is_killed, mutant, original, tests): mutant for mutant in chosen}
        for job in as_completed(jobs):
            tried += 1
            if not job.result():
                survivors += 1
                print(f"survives:\n{jobs[job].diff}\n", flush=True)
            if tried % 10 == 0:
                print(f"{tried} of {len(jobs)} tried, {survivors} survive", flush=True)
    print(f"{tried - survivors} of {tried} killed in {time.monotonic() - start:.0f} s")
    return 0 if tried and (tried - survivors) / tried >= KILLED else 1


if __name__ == "__main__":
    sys.exit(main())
