"""Every Python block in the documents prints what it says, and every link has a target.

A comment before a block, `<!-- runs: torch -->`, says how to run it. The blocks of a document with
the same mark run one after another in one process; other marks have other processes, since torch
and TensorFlow crash in one. The marks run in order of first appearance, in one folder, so that one
can read what another has written.

After `<!-- part of: tests/workers/ddp.py -->`, a block is a part of that file, for what needs
several processes. Its line `# …` stands for lines of the file that it leaves out.
"""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "tests" / "meta" / "run_document.py"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BACKENDS = ("tensorflow", "jax", "torch")
# The processes that run the blocks of each mark: Keras on all of its backends, or on one.
MARKS = {
    "core": ["core"],
    "torch": ["torch"],
    "keras": [f"keras-{backend}" for backend in BACKENDS],
    **{f"keras-{backend}": [f"keras-{backend}"] for backend in BACKENDS},
    "jax": ["jax"],
}
IMPORTS = {"core": [], "torch": ["clr_torch"], "keras": ["clr_keras"], "jax": ["clr_jax"]}
NOT_PYTHON = {"console", "diff", "text", "toml", "yaml"}
MARK = re.compile(r"<!-- (?:runs: ([\w-]+)|part of: ([\w./-]+)) -->\n?")


class NeverRunError(Exception):
    """A block that no test would run."""


def blocks(document, text):
    """The Python blocks of a document under their marks: `{mark: [[line, source], …]}`.

    The mark of a part of a file is its path.
    """
    found, mark = {}, None
    for token in [*MarkdownIt().parse(text), Token("end", "", 0)]:
        is_code = token.type in ("fence", "code_block")
        if is_code and token.info == "python" and mark and (mark in MARKS or "/" in mark):
            found.setdefault(mark, []).append([token.map[0] + 2, token.content])
        elif mark or (is_code and token.info not in NOT_PYTHON):
            line = f":{token.map[0] + 1}" if token.map else ""
            raise NeverRunError(
                f"{document}{line}: must be ```python after <!-- runs: {' | '.join(MARKS)} -->, "
                "or <!-- part of: a file -->, "
                f"or ``` and one of {', '.join(sorted(NOT_PYTHON))}"
            )
        comment = MARK.fullmatch(token.content) if token.type == "html_block" else None
        mark = comment and (comment[1] or comment[2])
    return found


RUNNERS = {}


@pytest.fixture(scope="module", autouse=True)
def _runners_end():
    yield
    for process in RUNNERS.values():
        process.communicate()


def runner(name):
    """A process that has imported what each document of a kind would take seconds to import."""
    if name not in RUNNERS:
        framework, _, backend = name.partition("-")
        RUNNERS[name] = subprocess.Popen(
            [sys.executable, "-P", RUNNER, *IMPORTS[framework]],
            env=os.environ | ({"KERAS_BACKEND": backend} if backend else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    return RUNNERS[name]


def failures(document, parts, folder):
    """The output of each process whose blocks are wrong, by mark and process.

    The processes run in `folder`, away from the source tree.
    """
    failed = {}
    for mark, blocks_of_mark in parts.items():
        if "/" in mark:
            failed |= strange(document, mark, blocks_of_mark)
            continue
        for name in MARKS[mark]:
            request = {"document": document, "blocks": blocks_of_mark, "folder": str(folder)}
            process = runner(name)
            print(json.dumps(request), file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())
            ran = f"{len(blocks_of_mark)} blocks ran\n" in answer["output"]
            if answer["status"] or not ran:
                failed[name] = answer["output"]
    return failed


def strange(document, file, parts):
    """The parts that aren't in the file, by their places in the document."""
    text = "\n" + without_blank_lines((ROOT / file).read_text(encoding="utf-8"))
    failed = {}
    for line, source in parts:
        rest = text
        for piece in re.split(r"^ *# …\n", without_blank_lines(source), flags=re.MULTILINE):
            indented = (textwrap.indent(piece, " " * width) for width in (0, 4, 8))
            found = next((each for each in indented if "\n" + each in rest), None)
            if found is None:
                failed[f"{document}:{line}"] = f"{file} doesn't have, in this order:\n{piece}"
                break
            rest = "\n" + rest.partition("\n" + found)[2]
    return failed


def without_blank_lines(text):
    """The formatter has its own view of them in a document."""
    return re.sub(r"^\n", "", text, flags=re.MULTILINE)


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_blocks_print_what_they_say(path, tmp_path):
    parts = blocks(name_of(path), path.read_text(encoding="utf-8"))
    failed = failures(name_of(path), parts, tmp_path)
    assert not failed, "\n".join(f"{mark}:\n{output}" for mark, output in failed.items())


@pytest.mark.parametrize(
    "text",
    [
        "```python\n1\n```",
        "    1",
        "<!-- runs: mxnet -->\n```python\n1\n```",
        "<!-- runs: torch -->\n```py\n1\n```",
        "<!-- runs: torch -->\n```text\n1\n```",
        "```py\n1\n```",
        "```\n1\n```",
        "~~~python\n1\n~~~",
        "- a list\n  ```python\n  1\n  ```",
        "<!-- runs: torch -->\ntext\n```python\n1\n```",
        "<!-- runs: torch -->",
        "<!-- part of: tests/oracle.py -->\n```text\n1\n```",
    ],
)
def test_a_block_that_would_never_run_is_an_error(text):
    with pytest.raises(NeverRunError):
        blocks("README.md", text)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("print(1)  # -> 2", "prints ['1'], the document says ['2']"),
        ("print(1)", "prints ['1'], the document says []"),
        ("1  # -> 1", "prints [], the document says ['1']"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import warnings\nwarnings.warn('so')", "UserWarning: so"),
    ],
)
def test_a_block_that_prints_something_else_is_an_error(source, complaint, tmp_path):
    output = failures("README.md", {"core": [[8, "pass"], [12, source]]}, tmp_path)["core"]
    assert "README.md:12: " in output
    assert complaint in output


def test_each_mark_runs_with_the_files_of_those_before_it(tmp_path):
    wrote = '<!-- runs: torch -->\n```python\nopen("here.txt", "x").close()\n```\n'
    reads = '<!-- runs: core -->\n```python\nopen("here.txt").close()\n```\n'
    for order, text in {"after": wrote + reads, "before": reads + wrote}.items():
        (tmp_path / order).mkdir()
        failed = failures("README.md", blocks("README.md", text), tmp_path / order)
        assert list(failed) == ([] if order == "after" else ["core"])


@pytest.mark.parametrize(
    ("source", "is_there"),
    [
        ("import signal\n", True),
        ("import signal\n# …\ndef ctrl_c():\n", True),
        ('"""Ctrl-C interrupts', False),  # Part of a line.
        ("def ctrl_c():\n# …\nimport signal\n", False),
        ("import signal\nimport os\n", False),
    ],
)
def test_a_part_of_a_file_is_in_it(source, is_there, tmp_path):
    text = f"<!-- part of: tests/conftest.py -->\n```python\n{source}```\n"
    failed = failures("README.md", blocks("README.md", text), tmp_path)
    assert list(failed) == ([] if is_there else ["README.md:3"])


def anchors(text):
    """The names that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if file.startswith("https://"):
            continue
        there = path.parent / file if file else path
        assert there.exists(), f"{target} in {name_of(path)}"
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), f"{target}"


def refusals():
    """The table of what torch's class accepts and ours doesn't: arguments and outcome."""
    head = "| argument | torch | here |\n| --- | --- | --- |\n"
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    (table,) = [text.split(head)[1] for text in texts if head in text]
    rows = table.partition("\n\n")[0].splitlines()
    return [re.fullmatch(r"\| `(.+?)`.* \| .+ \| `(\w+)`.* \|", row).groups() for row in rows]


TRY_REFUSALS = """
import json, sys, warnings
import numpy as np
import torch
import clr_torch

def outcome(scheduler, arguments, warned):
    momentum = 0 if arguments == "momentum=0" else 0.9
    arguments = eval(f"dict({arguments})", {"nan": float("nan")})
    arguments.pop("momentum", None)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], momentum=momentum)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter(warned)
        try:
            made = scheduler(optimizer, **{"base_lr": 0.0015, "max_lr": 0.006} | arguments)
            for _ in range(5000):
                optimizer.step()
                rates += made.get_last_lr()
                made.step()
        except Exception as error:
            return type(error).__name__
    return np.float32(rates).tolist()

for arguments, says in json.load(sys.stdin):
    torchs = outcome(torch.optim.lr_scheduler.CyclicLR, arguments, "error")
    assert isinstance(torchs, list) or "gamma=1.1" in arguments, f"{arguments}: torch {torchs}"
    ours = outcome(clr_torch.CyclicLR, arguments, "error")
    assert ours == says, f"{arguments}: {ours}, the table says {says}"
    if says.endswith("Warning"):
        ours = outcome(clr_torch.CyclicLR, arguments, "ignore")
        assert ours == torchs, f"{arguments}: not the same rates"
print("all rows tried")
"""


def test_table_of_refusals():
    process = subprocess.run(
        [sys.executable, "-P", "-c", TRY_REFUSALS],
        input=json.dumps(refusals()),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.stdout == "all rows tried\n", process.stderr


def test_pictures_can_be_drawn(tmp_path):
    script = ROOT / "docs" / "pictures" / "make_pictures.py"
    subprocess.run([sys.executable, "-P", str(script), "--out", str(tmp_path)], check=True)
    assert (tmp_path / "modes.png").read_bytes().startswith(b"\x89PNG")
    drawn = (tmp_path / "same-name.svg").read_text("utf-8")
    assert drawn.count("<svg") == 1


def test_contributing_names_every_folder():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    made = {"build", "demo-output", "dist"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    kept = {name for name in folders if not name.startswith(".")} - made
    missing = {name for name in kept if f"`{name}/`" not in text}
    assert not missing
