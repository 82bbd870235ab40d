"""Records as files: read by their suffix, written whole or not at all."""

import errno
import os
import random
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from clr_core import CyclicSchedule
from clr_core.record import Record

pytestmark = pytest.mark.usefixtures("ends")

SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006)
OLD = Record(SCHEDULE, step=1)
NEW = Record([CyclicSchedule(base_lr=0.01, max_lr=0.5, scale_fn="1 / x")] * 9, step=2)

# The tests run with -P: where this process found its packages is where its children look.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
PRELUDE = """
import sys
from clr_core import CyclicSchedule
from clr_core.record import Record
old = Record(CyclicSchedule(base_lr=0.001, max_lr=0.006), step=1)
new = Record([CyclicSchedule(base_lr=0.01, max_lr=0.5, scale_fn="1 / x")] * 9, step=2)
"""
# Says which error there was, as a user of `write` and `read` would catch it.
ATTEMPT = """
try:
    {}
except Exception as error:
    print(type(error).__name__, error)
else:
    print("no error")
"""


def attempt(code, before="", **options):
    done = subprocess.run(
        [sys.executable, "-P", "-c", PRELUDE + before + ATTEMPT.format(code)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def only(folder):
    """The names in a folder: nothing is left behind."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("record", [OLD, NEW, Record(SCHEDULE, step=2**53)], ids=repr)
def test_what_is_written_is_the_json_and_reads_back(tmp_path, record):
    path = tmp_path / "run.json"
    record.write(path)
    assert path.read_bytes() == record.to_json().encode("ascii")
    assert Record.read(path) == Record.read(str(path)) == Record.read(os.fsencode(path)) == record
    assert only(tmp_path) == ["run.json"]


def test_a_name_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for record in (NEW, OLD, NEW):
        record.write("run.json")
        assert Record.read("run.json") == record
    assert only(tmp_path) == ["run.json"]


def test_permissions_stay_and_new_files_have_the_usual_ones(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    for mode in (0o600, 0o640, 0o664, 0o444 if os.geteuid() == 0 else 0o644):
        old.write_text("{}")
        old.chmod(mode)
        OLD.write(old)
        assert stat.S_IMODE(old.stat().st_mode) == mode
    before = os.umask(0o027)
    try:
        OLD.write(new)
    finally:
        os.umask(before)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "runs").mkdir()
    target = tmp_path / "runs" / "3.json"
    link = tmp_path / "latest.json"
    link.symlink_to(Path("runs", "3.json"))
    for record in (OLD, NEW):  # The first time there is no target.
        record.write(link)
        assert link.is_symlink()
        assert Record.read(target) == Record.read(link) == record
    assert only(tmp_path / "runs") == ["3.json"]
    assert only(tmp_path) == ["latest.json", "runs"]


def test_paths_that_are_none():
    for path in (3, None, ["run.json"]):
        for use in (Record.read, OLD.write):
            with pytest.raises(TypeError) as caught:
                use(path)
            assert str(caught.value) == f"`path` must be a path. Received: path={path!r}"


@pytest.mark.parametrize(
    "path", ["", "run", "run.txt", "run.pkl", ".json", "run.json/", "a\0.json"]
)
def test_other_suffixes(path):
    with pytest.raises(ValueError, match=r"^`path` must end in ") as caught:
        Record.read(path)
    assert str(caught.value) == (
        f"`path` must end in .json, .yaml, .yml or .toml. Received: path={path!r}"
    )
    with pytest.raises(ValueError, match=r"^`path` must end in ") as caught:
        OLD.write(path)
    assert str(caught.value) == f"`path` must end in .json. Received: path={path!r}"


FILE_ERRORS = {
    "missing": (FileNotFoundError, errno.ENOENT),
    "folder": (IsADirectoryError, errno.EISDIR),
    "pipe": (OSError, errno.EINVAL),
    "loop": (OSError, errno.ELOOP),
    "device": (OSError, errno.EINVAL),
    "below a file": (NotADirectoryError, errno.ENOTDIR),
    "long": (OSError, errno.ENAMETOOLONG),
}


@pytest.mark.parametrize("kind", FILE_ERRORS)
def test_what_is_no_file_stays_as_it_is(tmp_path, kind):
    path = tmp_path / "run.json"
    if kind == "missing":
        path = tmp_path / "nowhere" / "run.json"
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "below a file":
        path.write_text("{}")
        path = path / "run.json"
    elif kind == "long":
        path = tmp_path / ("x" * 300 + ".json")
    before = {each: os.lstat(each) for each in tmp_path.iterdir()}
    error, number = FILE_ERRORS[kind]
    for use in (Record.read, OLD.write):
        with pytest.raises(error) as caught:
            use(path)
        assert type(caught.value) is error
        assert caught.value.errno == number
        assert caught.value.filename == str(path)
        assert str(path) in str(caught.value)
    after = {each: os.lstat(each) for each in tmp_path.iterdir()}
    assert {each: (s.st_ino, s.st_mode) for each, s in after.items()} == {
        each: (s.st_ino, s.st_mode) for each, s in before.items()
    }


# Root may do anything: a child that was root becomes nobody. It reaches its folder as the current
# one, since those above it belong to root alone.
NOBODY = "import os\nif os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"


@pytest.mark.parametrize(
    ("use", "folder", "file"),
    [
        ("new.write('run.json')", 0o555, 0o644),
        ("new.write('run.json')", 0o777, 0o444),
        ("Record.read('run.json')", 0o755, 0o000),
    ],
)
def test_no_permission(tmp_path, use, folder, file):
    path = tmp_path / "run.json"
    OLD.write(path)
    path.chmod(file)
    tmp_path.chmod(folder)
    try:
        said = attempt(use, before=NOBODY, cwd=tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert said == "PermissionError [Errno 13] Permission denied: 'run.json'"
    path.chmod(0o600)
    assert Record.read(path) == OLD
    assert only(tmp_path) == ["run.json"]


def test_a_file_that_may_not_grow(tmp_path):
    path = tmp_path / "run.json"
    OLD.write(path)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    said = attempt(f"new.write({str(path)!r})", preexec_fn=limit)
    assert said == f"OSError [Errno 27] File too large: {str(path)!r}"
    assert Record.read(path) == OLD
    assert only(tmp_path) == ["run.json"]


@pytest.mark.parametrize("broken", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_whatever_goes_wrong_on_the_way(tmp_path, monkeypatch, broken, error):
    path = tmp_path / "run.json"
    OLD.write(path)

    def fails(*args):
        raise error

    monkeypatch.setattr(os, broken, fails)
    with pytest.raises(type(error)) as caught:
        NEW.write(path)
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert str(caught.value) == f"[Errno 5] Input/output error: {str(path)!r}"
    assert Record.read(path) == OLD
    assert only(tmp_path) == ["run.json"]


def test_killed_while_writing(tmp_path):
    """Whoever reads at any moment, and whatever was going on when it ended: a whole record."""
    path = tmp_path / "run.json"
    OLD.write(path)
    code = (
        "print(flush=True)\nwhile True:\n    new.write(sys.argv[1])\n    old.write(sys.argv[1])\n"
    )
    rng, both = random.Random(7), {OLD, NEW}
    for _ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-P", "-c", PRELUDE + code, path],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
        )
        try:
            writer.stdout.readline()
            changes, last = rng.randrange(2, 9), None
            while changes and writer.poll() is None:
                record = Record.read(path)
                assert record in both
                changes, last = changes - (record != last), record
        finally:
            writer.kill()
            writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        assert Record.read(path) in both


def test_many_writers_at_once(tmp_path):
    path = tmp_path / "run.json"
    code = "for _ in range(30):\n    for each in (old, new): each.write(sys.argv[1])\n"
    command = [sys.executable, "-P", "-c", PRELUDE + code, path]
    writers = [subprocess.Popen(command, env=ENVIRONMENT) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert Record.read(path) == NEW
    assert only(tmp_path) == ["run.json"]


def test_a_record_as_large_as_may_be_read(tmp_path, monkeypatch):
    size = len(NEW.to_json())
    monkeypatch.setattr("clr_core.record.MAX_BYTES", size)
    NEW.write(tmp_path / "run.json")
    assert Record.read(tmp_path / "run.json") == NEW
    monkeypatch.setattr("clr_core.record.MAX_BYTES", size - 1)
    message = f"^A record must have at most {size - 1} bytes as JSON. This one has {size}.$"
    with pytest.raises(ValueError, match=message):
        NEW.write(tmp_path / "large.json")
    assert only(tmp_path) == ["run.json"]
