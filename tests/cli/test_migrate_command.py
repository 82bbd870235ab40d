"""`clr migrate`: the files that it reads, and errors for those that it can't."""

import json

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


def test_a_folder(folder, data):
    (folder / "models" / ".hidden").mkdir()
    for name in ("models/.hidden/a.py", "models/.b.py", "models/c.txt"):
        (folder / name).write_text((folder / "train.py").read_text())
    found = data("migrate", "models", "train.py")["findings"]
    lines = [(each["file"], each["line"]) for each in found]
    assert lines == [("models/net.py", 4), ("train.py", 2)]


def test_standard_input(folder, data):
    source = (folder / "train.py").read_text()
    (finding,) = data("migrate", "-", stdin=source)["findings"]
    assert (finding["file"], finding["line"]) == ("-", 2)


def test_nothing_found_is_no_error(folder, clr):
    (folder / "empty.py").write_text("")
    done = clr("migrate", "empty.py")
    assert (done.code, done.out, done.err) == (0, "Nothing found.\n", "")


def test_what_cannot_be_read_leaves_the_rest(folder, clr):
    (folder / "old.py").write_text("print 'Python 2'\n")
    done = clr("migrate", "old.py", "train.py", "nothing.py", "--json")
    assert done.code == 2
    assert [each["file"] for each in json.loads(done.out)["findings"]] == ["train.py"]
    first, second = done.err.splitlines()
    assert first.startswith("clr migrate: `old.py` line 1 must be Python 3 to be read")
    assert second == "clr migrate: 'nothing.py': No such file or directory"


def test_nothing_is_run(folder, clr):
    (folder / "hostile.py").write_text(
        "open('was-run', 'w')\n"
        "from torch.optim.lr_scheduler import CyclicLR\n"
        "CyclicLR(open('was-run', 'w'), 0.1, 0.5)\n"
    )
    assert clr("migrate", "hostile.py").code == 0
    assert not (folder / "was-run").exists()


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
