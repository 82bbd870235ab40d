"""Broken files of every kind, and full disks: one line, exit code 2, no file harmed."""

import json
import os
import pickle
import resource
import shutil
from importlib import import_module

import pytest

from .conftest import RECORD, said

RECORD_TEXT = RECORD.to_json()
SUGGEST = ("suggest", "--samples", "900", "--batch-size", "9", "--epochs", "24")


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


CONTENTS = {
    "empty": b"",
    "cut": RECORD_TEXT[:200].encode(),
    "zeros": b"\0" * 5000,
    "binary": bytes(range(256)) * 20,
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "pickle": pickle.dumps(Hostile()),
    "deep": b"[" * 200_000,
    "deep mappings": b'{"a":' * 200_000,
    "long": b'{"format": "' + b"x" * 10**6,
    "two": (RECORD_TEXT * 2).encode(),
    "UTF-16": RECORD_TEXT.encode("utf-16"),
    "controls": b'{"format": "\x1b[2J", "\\u001b[2J\\n": "\\u0007"}',
}
# How each command reads a file; `{}` is the broken one.
READ = {
    "show": ("show", "{}.json"),
    "plot": ("plot", "{}.json"),
    "compare": ("compare", "run.json", "{}.json"),
    "compare, first": ("compare", "{}.json", "run.json"),
    "export": ("export", "--to", "csv", "{}.json"),
    "convert": ("convert", "{}.json"),
    "convert, schedule": ("convert", "models", "--schedule", "{}.json"),
    "verify": ("verify", "{}.json", "log.csv"),
    "verify, log": ("verify", "run.json", "{}.json"),
    "range-test show": ("range-test", "show", "{}.json"),
    "suggest": (*SUGGEST, "--result", "{}.json"),
}
READ_ANY = {**READ, "migrate": ("migrate", "{}.json")}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("arguments", READ.values(), ids=READ)
def test_broken_files(folder, refused, arguments, content):
    (folder / "wrong.json").write_bytes(content)
    text = refused(*(each.format("wrong") for each in arguments))
    assert "wrong.json" in text
    assert arguments[-1] == "{}.json" or text.startswith("'wrong.json' must be a record: ")
    assert len(text) < 1000
    assert not (folder / "was-run").exists()


@pytest.mark.parametrize(
    "arguments", [("show",), ("plot",), ("compare", "run.json"), ("export", "--to", "torch")]
)
def test_a_record_cannot_control_a_terminal(folder, clr, arguments):
    hostile = {"base_lr": 0, "max_lr": 1, "scale_fn": "1 / x # \x1b[2J\x9b\n"}
    document = {"format": "cyclical-lr/1", "schedule": hostile}
    (folder / "\x1b[2J.json").write_text(json.dumps(document))
    done = clr(*arguments, "\x1b[2J.json")
    assert done.code == (arguments[0] == "compare")
    assert (done.out + done.err).replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["zeros", "binary", "PNG", "pickle", "deep", "UTF-16"])
def test_no_python(folder, clr, name):
    (folder / "wrong.py").write_bytes(CONTENTS[name])
    done = clr("migrate", "wrong.py")
    assert (done.code, done.out) == (2, "Nothing found.\n")
    assert said(done.err).startswith("`wrong.py`")
    assert not (folder / "was-run").exists()


@pytest.mark.parametrize("arguments", READ_ANY.values(), ids=READ_ANY)
@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "loop", "device", "below", "long"])
def test_no_file(folder, clr, arguments, kind):
    path = folder / "wrong.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    name = {"below": "run.json/wrong", "long": "x" * 300}.get(kind, "wrong")
    done = clr(*(each.format(name) for each in arguments))
    if kind == "folder" and arguments[0] == "migrate":
        assert done.out == "Nothing found.\n"
        return
    assert done.code == 2
    if kind == "folder" and arguments == READ["convert"]:
        assert said(done.err).startswith("An optax state holds no schedule")
        return
    if arguments[0] != "migrate":
        assert done.out == ""
    assert f"{name}.json" in said(done.err)


@pytest.mark.parametrize("arguments", READ_ANY.values(), ids=READ_ANY)
def test_a_gigabyte_takes_no_memory(folder, process, arguments):
    """The process may have half of that."""
    with open("wrong.json", "wb") as file:
        file.write(b"{")
        file.truncate(2**30)  # Sparse: takes no disk space.
    limit = ("prlimit", f"--as={2**29}") if shutil.which("prlimit") else ()
    # OpenBLAS asks for memory for each core, whether or not anything is computed.
    env = {"OPENBLAS_NUM_THREADS": "1"}
    done = process(*(each.format("wrong") for each in arguments), before=limit, env=env)
    assert done.returncode == 2
    assert "wrong.json" in said(done.stderr)
    assert "emory" not in done.stderr


@pytest.mark.skipif(not shutil.which("prlimit"), reason="nothing here limits memory")
@pytest.mark.parametrize("arguments", [("show", "-"), ("migrate", "-")])
def test_standard_input_without_end(process, arguments):
    with open("/dev/zero") as endless:
        done = process(*arguments, before=("prlimit", f"--as={2**29}"), stdin=endless)
    assert done.returncode == 2
    assert said(done.stderr) == "Standard input may have at most 1048576 bytes"


# Root may do anything: a child that was root becomes nobody.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if not os.geteuid() else ()
WRITE = {
    "plot": ("plot", "run.json", "--out", "there.svg"),
    "export": ("export", "run.json", "--to", "csv", "--out", "there.svg"),
    "export npy": ("export", "run.json", "--to", "npy", "--out", "there.svg"),
    "convert": ("convert", "run.json", "--out", "there.json"),
    "verify": ("verify", "run.json", "log.csv", "--plot", "there.svg"),
    "range-test plot": ("range-test", "plot", "range.json", "--out", "there.svg"),
    "suggest": (*SUGGEST, "--max-lr", "0.1", "--out", "there.json"),
    "schema": ("schema", "--out", "there.svg"),
}


@pytest.fixture
def there(folder):
    """The files that are there before a command writes."""
    for name in ("there.svg", "there.json"):
        (folder / name).write_text("what was there")
    before = sorted(folder.iterdir())
    yield folder
    for name in ("there.svg", "there.json"):
        assert (folder / name).read_text() == "what was there"
    assert sorted(folder.iterdir()) == before  # Nothing is left behind.


@pytest.mark.parametrize("arguments", WRITE.values(), ids=WRITE)
def test_a_file_that_may_not_grow(there, process, arguments):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    # Otherwise matplotlib would write its font list under that limit, and truncate it.
    import_module("matplotlib.font_manager")
    done = process(*arguments, preexec_fn=limit)
    assert (done.returncode, done.stdout) == (2, "")
    assert "File too large" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", WRITE.values(), ids=WRITE)
def test_folders_that_are_not_there(there, refused, arguments):
    *others, name = arguments
    assert refused(*others, f"nowhere/{name}") == f"'nowhere/{name}': No such file or directory"


@pytest.mark.parametrize("arguments", [WRITE["export"], WRITE["convert"], WRITE["schema"]])
@pytest.mark.skipif(not os.geteuid() and not shutil.which("setpriv"), reason="root may write all")
def test_no_permission(there, process, arguments):
    there.chmod(0o555)
    # The folders above may be closed to others, so the path is relative.
    try:
        done = process(*arguments, before=NOBODY, cwd=there)
    finally:
        there.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert said(done.stderr) == f"'{arguments[-1]}': Permission denied"
