"""Writes the table of docs/versions.md from the reports of `make versions`.

    python tests/versions/table.py [REPORT.xml …] [--page FILE.md]

Each report in `build/versions` becomes the row with its name. A row without a report stays as it
is, and so does its date.
"""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "build" / "versions"
PAGE = ROOT / "docs" / "versions.md"
TABLE = re.compile(r"(?<=<!-- table: versions -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
HEAD = ("`make`", "Python", "with", "passed", "skipped", "without", "date")
# What the tests of an adapter depend on.
SHOWN = {
    "rows.core": ("NumPy", "PyYAML", "matplotlib"),
    "rows.torch": ("torch", "NumPy"),
    "rows.jax": ("JAX", "optax", "NumPy"),
    "rows.keras on tensorflow": ("Keras", "TensorFlow", "NumPy"),
    "rows.keras on jax": ("Keras", "JAX", "NumPy"),
    "rows.keras on torch": ("Keras", "torch", "NumPy"),
}


def row(path: Path) -> tuple[str, ...]:
    """The cells of a report's row.

    Raises:
        ValueError: A test failed. What the page lists has passed.
    """
    (suite,) = ElementTree.parse(path).getroot().iter("testsuite")
    count = {name: int(suite.get(name, 0)) for name in ("tests", "skipped", "failures", "errors")}
    if failed := count["failures"] + count["errors"]:
        raise ValueError(f"{path}: {failed} tests failed")
    told = {each.get("name"): each.get("value") for each in suite.iter("property")}
    return (
        path.stem,
        told["Python"],
        ", ".join(f"{name} {told[name].partition('+')[0]}" for name in SHOWN[told["row"]]),
        str(count["tests"] - count["skipped"]),
        str(count["skipped"]),
        ", ".join(f"{name} ({n})" if n > 1 else name for name, n in sorted(missing(suite).items())),
        suite.get("timestamp", "")[:10],
    )


def missing(suite: ElementTree.Element) -> Counter[str]:
    """The names of what these versions don't have, and how many tests were left out for each."""
    reasons = (each.get("message", "") for each in suite.iter("skipped"))
    return Counter(
        f"`{name}`" for reason in reasons if (name := reason.partition("doesn't have ")[2])
    )


def filled(page: str, reports: list[Path]) -> str:
    """The page with the rows of these reports, and its others."""
    (table,) = TABLE.findall(page)
    lines = re.findall(r"^\| (.*) \|$", table, re.MULTILINE)[2:]
    rows = {cells[0]: cells for cells in (tuple(line.split(" | ")) for line in lines)}
    rows |= {path.stem: row(path) for path in reports}
    made = [HEAD, ("---",) * len(HEAD), *(rows[name] for name in sorted(rows, key=order))]
    lines = [f"| {' | '.join(cells)} |" for cells in made]
    return TABLE.sub("\n" + "\n".join(lines) + "\n\n", page)


def order(name: str) -> list[int | str]:
    """Versions by their numbers: 2.4 comes before 2.10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("reports", nargs="*", type=Path, default=sorted(REPORTS.glob("*.xml")))
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    page = filled(arguments.page.read_text(encoding="utf-8"), arguments.reports)
    arguments.page.write_text(page, encoding="utf-8")
    print(*TABLE.findall(page))


if __name__ == "__main__":
    sys.exit(main())
