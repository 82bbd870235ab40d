"""`clr migrate`: the files that it reads, and errors for those that it can't."""

import json
import sys
import time

import pytest


def test_a_file(folder, clr, data):
    done = clr("migrate", "train.py")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("train.py:2: ")
    assert "from clr_torch import CyclicLR" in done.out
    (finding,) = data("migrate", "train.py")["findings"]
    assert (finding["file"], finding["line"], finding["to"]) == ("train.py", 2, "torch")
    assert finding["record"]["schedule"]["max_lr"] == 0.006


@pytest.mark.parametrize(("to", "code"), [("keras", "clr_keras"), ("jax", "clr_jax")])
def test_other_frameworks(folder, clr, to, code):
    assert code in clr("migrate", "train.py", "--to", to).out


def test_standard_input(folder, data):
    source = (folder / "train.py").read_text()
    (finding,) = data("migrate", "-", stdin=source)["findings"]
    assert (finding["file"], finding["line"]) == ("-", 2)


def test_nothing_found_is_no_error(folder, clr):
    (folder / "empty.py").write_text("")
    done = clr("migrate", "empty.py")
    assert (done.code, done.out, done.err) == (0, "Nothing found.\n", "")


def test_nothing_is_run(folder, clr):
    (folder / "hostile.py").write_text(
        "open('was-run', 'w')\n"
        "from torch.optim.lr_scheduler import CyclicLR\n"
        "CyclicLR(open('was-run', 'w'), 0.1, 0.5)\n"
    )
    assert clr("migrate", "hostile.py").code == 0
    assert not (folder / "was-run").exists()


def test_diff_prints_what_write_does(folder, clr):
    before = (folder / "train.py").read_text()
    done = clr("migrate", "train.py", "--diff")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "--- a/train.py",
        "+++ b/train.py",
        "@@ -1,2 +1,2 @@",
        "-from torch.optim.lr_scheduler import CyclicLR",
        "+from clr_torch import CyclicLR",
        " scheduler = CyclicLR(optimizer, 0.0015, 0.006, cycle_momentum=False)",
    ]
    assert (folder / "train.py").read_text() == before
    done = clr("migrate", "train.py", "models", "--write")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["train.py:2: rewritten", "models/net.py:4: rewritten"]
    after = before.replace("torch.optim.lr_scheduler", "clr_torch")
    assert (folder / "train.py").read_text() == after
    # A second time there is nothing left.
    assert clr("migrate", "train.py", "models", "--write").out == "Nothing found.\n"
    assert (folder / "train.py").read_text() == after


def test_what_stays_is_said_with_its_place(folder, clr):
    (folder / "mine.py").write_text(
        "from torch.optim.lr_scheduler import CyclicLR\nCyclicLR(o, **cfg)\n"
        "getattr(lr_scheduler, 'CyclicLR')\n"
        "import clr_callback, optax\n"
        "clr_callback.CyclicLR(base_lr=0.001, max_lr=0.006, step_size=2000.)\n"
        "[clr_callback.CyclicLR]\n"
        "optax.cosine_decay_schedule(0.1, 100)\n"
    )
    callback = "bckenstler's CyclicLR is a callback: give the optimizer a schedule yourself."
    phases = "Phases are only printed: put the schedule in its place yourself."
    lines = [
        "mine.py:2: not rewritten: The contents of `**cfg` are unknown here.",
        "mine.py:3: CyclicLR by name, not read: look here",
        f"mine.py:5: not rewritten: {callback}",
        f"mine.py:6: not rewritten: {callback}",
        f"mine.py:7: not rewritten: {phases}",
    ]
    done = clr("migrate", "mine.py", "--diff")
    assert (done.code, done.out, done.err.splitlines()) == (0, "", lines)
    done = clr("migrate", "mine.py", "--write")
    assert (done.code, done.out.splitlines(), done.err) == (0, lines, "")


def test_a_file_that_fails_leaves_the_others(folder, clr):
    """Nor is a file lost: one that can't be rewritten stays as it is."""
    (folder / "a.py").write_text("print 'Python 2'; CyclicLR\n")
    (folder / "b.py").write_bytes(b"# coding: rot13\nCyclicLR")
    (folder / "c.ipynb").write_text("{}")
    before = {name: (folder / name).read_bytes() for name in ("a.py", "b.py", "c.ipynb")}
    done = clr("migrate", *before, "train.py", "nothing.py", "--json")
    assert done.code == 2
    assert [each["file"] for each in json.loads(done.out)["findings"]] == ["train.py"]
    done = clr("migrate", *before, "train.py", "nothing.py", "--write")
    assert (done.code, done.out) == (2, "train.py:2: rewritten\n")
    *lines, last = done.err.splitlines()
    assert lines[0].startswith("clr migrate: `a.py` line 1 must be Python 3 to be read")
    assert last == "clr migrate: 'nothing.py': No such file or directory"
    for name, line in zip(before, lines, strict=True):
        assert line.startswith(f"clr migrate: `{name}` ")
        assert (folder / name).read_bytes() == before[name]


def test_a_folder_of_notebooks_and_configurations(folder, data):
    code = (folder / "train.py").read_text()
    cell = {"cell_type": "code", "source": code}
    (folder / "models" / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
    (folder / "models" / "b.yaml").write_text("_target_: torch.optim.lr_scheduler.CyclicLR\n")
    for name in (".hidden/a.py", ".b.py", "c.txt", "venv/lib/c.py", "venv/pyvenv.cfg"):
        (folder / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "models" / name).write_text(code)
    found = data("migrate", "models", "train.py")["findings"]
    assert [(each["file"], each["cell"], each["line"]) for each in found] == [
        ("models/a.ipynb", 1, 2),
        ("models/b.yaml", None, 1),
        ("models/net.py", None, 4),
        ("train.py", None, 2),
    ]


@pytest.mark.parametrize("to", [("--to", "jax"), ()])
def test_standard_input_is_not_written(refused, folder, to):
    assert refused("migrate", "-", "--write", *to) == (
        "--write needs a file, not standard input. Use --diff"
    )


def test_without_libcst(folder, refused, clr, monkeypatch):
    for name in [each for each in sys.modules if each.startswith("clr_cli.migrate.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "clr_cli.migrate", raising=False)
    monkeypatch.setitem(sys.modules, "libcst", None)
    assert refused("migrate", "train.py") == (
        "This needs libcst. Install it with: pip install 'cyclical-lr[migrate]'"
    )
    assert clr("migrate", "--help").code == 0


HEAVY = {
    "branches": "".join(f"if c: x = x.b{i}\n" for i in range(60)) + "x.CyclicLR(o, 1, 2)\n",
    "a name bound 1,000 times": "def f():\n" + "    x = g(x)\n" * 1000,
    "1,000 calls": "".join(f"s{i} = CyclicLR(o, {i}, 2000)\n" for i in range(1000)),
    "a long text": f"CyclicLR(o, 1, 2, mode='{'a' * 500_000}')\n",
}


@pytest.mark.parametrize("name", HEAVY)
def test_large_files_take_seconds_and_print_little(folder, clr, name):
    (folder / "large.py").write_text(
        f"import torch\nfrom torch.optim.lr_scheduler import CyclicLR\nx = torch\n{HEAVY[name]}"
    )
    start = time.process_time()
    done = clr("migrate", "large.py")
    assert done.code == 0
    assert time.process_time() - start < 15
    assert len(done.out) < 400_000


def test_controls_in_names_and_code_are_spelled_out(folder, clr, data):
    """Neither a file's name nor its content can clear the screen or forge a line."""
    name = "train\x1b[2J.py"
    (folder / name).write_text(
        "from torch.optim.lr_scheduler import CyclicLR\n"
        "CyclicLR(o, 0.1, 0.5, mode='\x1b[2J\x9b')\tif 1 else 0\n"
    )
    printed = clr("migrate", name).out
    assert printed.replace("\n", "").isprintable()
    assert r"train\x1b[2J.py:2: " in printed
    assert r"mode='\x1b[2J\x9b'" in printed
    (finding,) = data("migrate", name)["findings"]
    assert finding["file"] == name
