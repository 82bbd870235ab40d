"""Runs the tests of the torch adapter on several versions of torch.

    python tests/versions/torch_versions.py [2.4.1 2.15.0 …] [--tests tests/integration/torch …]

Each version gets an environment under `build/torch-versions` (2 GB), with PyPI's build of torch and
stand-ins for its CUDA libraries, a file with the output of its tests, and a report for `table.py`.
The wheel must have been built. A pip that is told to take packages from elsewhere may not find
every version: `PIP_CONFIG_FILE=/dev/null make test-torch-versions` asks PyPI.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import stand_ins
from table import REPORTS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "torch-versions"
VERSIONS = ("2.4.1", "2.6.0", "2.8.0", "2.10.0", "2.15.0")  # `make test-torch` has 2.13.
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


def passes(version: str, tests: list[str]) -> bool:
    """True if the tests pass. The report for `table.py` is written in any case."""
    python, report = environment(version), REPORTS / f"test-torch-versions {version}.xml"
    print(f"Testing with torch {version} …", flush=True)
    command = [python, "-P", "-m", "pytest", "-q", "-rs", *tests, "--row", "rows.torch"]
    with (FOLDER / f"{version}.txt").open("w", encoding="utf-8") as output:
        done = subprocess.run([*command, f"--junit-xml={report}"], cwd=ROOT, stdout=output)
    print(Path(output.name).read_text(encoding="utf-8").splitlines()[-1])
    return done.returncode == 0


def run(*command: str | Path) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("--tests", nargs="+", default=TESTS)
    arguments = parser.parse_args()
    passed = [passes(version, arguments.tests) for version in arguments.versions]
    return not all(passed)


if __name__ == "__main__":
    sys.exit(main())
