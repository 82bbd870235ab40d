"""Runs the tests of the torch adapter on several versions of torch, and prints a table.

    python tests/versions/torch_versions.py [2.4.1 2.15.0 …] [--tests tests/integration/torch …]

Each version gets an environment under `build/torch-versions` (2 GB), with PyPI's build of torch and
stand-ins for its CUDA libraries, and a file with the output of its tests. The wheel must have been
built. A pip that is told to take packages from elsewhere may not find every version:
`PIP_CONFIG_FILE=/dev/null make test-torch-versions` asks PyPI.
"""

import argparse
import subprocess
import sys
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import stand_ins

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "torch-versions"
VERSIONS = ("2.4.1", "2.6.0", "2.8.0", "2.10.0", "2.13.0", "2.15.0")
TESTS = ("tests/conformance", "tests/integration/torch")
# What torch imports, and the tests.
NEEDED = ("filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing-extensions")
NEEDED += ("hypothesis", "libcst", "mpmath", "numpy", "pytest")
PIP = ("-qq", "--disable-pip-version-check", "--constraint", "requirements/constraints.txt")


def environment(version: str) -> Path:
    """The Python of an environment with a version of torch, which is set up if it isn't there."""
    folder, wheel = FOLDER / version, next((ROOT / "build" / "wheel").glob("*.whl"))
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"Setting up torch {version} …", flush=True)
        run(sys.executable, "-m", "venv", "--clear", folder)
        run(python, "-m", "pip", "install", *PIP, *NEEDED)
        run(python, "-m", "pip", "install", *PIP[:2], "--no-deps", f"torch=={version}")
        (site_packages,) = folder.glob("lib/python*/site-packages")
        stand_ins.write(site_packages)
        (folder / "complete").touch()
    run(python, "-m", "pip", "install", *PIP[:2], "--no-deps", "--force-reinstall", wheel)
    return python


def row(version: str, tests: list[str]) -> tuple[str, int]:
    """The line of the table, and how many tests failed."""
    python, report = environment(version), FOLDER / f"{version}.xml"
    report.unlink(missing_ok=True)
    print(f"Testing with torch {version} …", flush=True)
    with (FOLDER / f"{version}.txt").open("w", encoding="utf-8") as output:
        command = [python, "-P", "-m", "pytest", "-q", "-rs", *tests, "--row", "rows.torch"]
        subprocess.run([*command, f"--junit-xml={report}"], cwd=ROOT, stdout=output, check=False)
    (suite,) = ElementTree.parse(report).getroot()
    count = {name: int(suite.get(name)) for name in ("tests", "skipped", "failures", "errors")}
    failed = count["failures"] + count["errors"]
    used = "import platform, numpy, torch; "
    used += "print(torch.__version__, platform.python_version(), numpy.__version__)"
    cells = run(python, "-c", used).split()
    cells += [count["tests"] - count["skipped"] - failed, count["skipped"], failed, date.today()]
    return f"| {' | '.join(map(str, cells))} |", failed


def run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("--tests", nargs="+", default=TESTS)
    arguments = parser.parse_args()
    rows = [row(version, arguments.tests) for version in arguments.versions]
    print("\n| torch | Python | NumPy | passed | skipped | failed | date |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(*(line for line, _ in rows), sep="\n")
    return any(failed for _, failed in rows)


if __name__ == "__main__":
    sys.exit(main())
