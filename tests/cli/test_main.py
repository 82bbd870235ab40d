"""Behaviour common to all commands: help, exit codes, one-line errors, pipes and encodings."""

import json
import os
import shlex
import signal
import subprocess
import sys
from shutil import which

import pytest

from clr_cli.main import COMMANDS, import_command

from .conftest import ENVIRONMENT

SIZES = ("--samples", "50000", "--batch-size", "100", "--epochs", "24")
FRAMEWORKS = {"torch", "tensorflow", "keras", "jax", "optax", "numpy", "matplotlib", "plotext"}


@pytest.mark.parametrize("arguments", [["--help"], []], ids=["asked for", "bare"])
def test_help_names_every_command(clr, arguments):
    done = clr(*arguments)
    assert (done.code, done.err) == (0, "")
    for name, line in COMMANDS.items():
        assert f"    {name} " in done.out
        assert line.split()[0] in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_json_and_an_example(clr, command):
    done = clr(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: clr {command} ")
    assert ("--json" in done.out) == (command != "schema")  # Which is JSON by itself.
    assert f"examples:\n  clr {command}" in done.out
    assert done.out.isascii()


def test_help_loads_no_framework_and_little_else():
    code = (
        "import sys; before = set(sys.modules); from clr_cli.main import main; main(['--help'])\n"
        "print(*sorted(set(sys.modules) - before), sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "clr_cli" in loaded
    assert not loaded & (FRAMEWORKS | {"clr_core", "dataclasses", "json", "importlib"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "run.json"],
        ["compare", "run.json", "other.json"],
        ["export", "run.json", "--to", "torch"],
        ["convert", "run.json"],
        ["migrate", "train.py"],
        ["verify", "run.json", "log.csv"],
        ["suggest", *SIZES, "--result", "range.json", "--to", "keras"],
        ["range-test", "show", "range.json"],
        ["schema"],
        ["plot", "--help"],
    ],
    ids=" ".join,
)
def test_what_needs_no_framework_loads_none(folder, arguments):
    code = (
        "import sys; from clr_cli.main import main; main(sys.argv[1:])\n"
        f"print(*({FRAMEWORKS!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_version(clr):
    done = clr("--version")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("clr ")


REFUSED = {
    "shwo": "argument COMMAND: invalid choice: 'shwo' (choose from 'show', 'plot', ",
    "show --base-lr x": "argument --base-lr: must be a number, such as 0.006 or 4*3",
    "show --base-lr '2*x'": "argument --base-lr: must be a number, such as 0.006 or ",
    "show 'a\nb\x1b[2J.json'": r"'a\nb\x1b[2J.json': No such file or directory",
    "show --at '\x1b[2J'": "argument --at: must be an integer from 0 to 9007199254740",
    "compare run.json": "the following arguments are required: B. See clr compare --help",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_errors_take_one_line(folder, refused, arguments):
    assert refused(*shlex.split(arguments)).startswith(REFUSED[arguments])


@pytest.mark.skipif(which("bash") is None, reason="bash isn't installed")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["sh"], {"show"}),
        (["show", "--base"], {"--base-lr", "--base-momentum"}),
        (["show", "--mode", "tri"], set()),
        (["export", "--to", "to"], {"torch"}),
        (["plot", "run"], {"run.json"}),
    ],
)
def test_bash_completes(folder, process, words, completed):
    done = process("--print-completion", "bash")
    assert (done.returncode, done.stderr) == (0, "")
    script = f"""{done.stdout}
COMP_WORDS=(clr {" ".join(words)}); COMP_CWORD={len(words)}; COMP_TYPE=9
_shtab_clr; printf '%s\n' "${{COMPREPLY[@]}}"
"""
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert {each.strip() for each in said.stdout.split()} == completed


def test_another_shell(refused):
    assert refused("--print-completion", "sh").startswith("--print-completion must be one of bash,")


MEANT = {
    "shwo": ". Did you mean show?",
    "convrt": ". Did you mean convert?",
    "show --bse-lr 1": "--bse-lr. Did you mean --base-lr?",
    "show --base_lr 1": "--base_lr. Did you mean --base-lr?",
    "show --base_lr=1": "--base_lr=1. Did you mean --base-lr?",
    "show --step-size 9": "Did you mean --step-size-up or --step-size-down?",
    "plot --stepsize-up 9": "Did you mean --step-size-up?",
    "show --frobnicate": "unrecognized arguments: --frobnicate. See clr show --help",
    "export --to torhc": "Did you mean torch?",
}


@pytest.mark.parametrize("arguments", MEANT)
def test_what_may_have_been_meant(refused, arguments):
    assert MEANT[arguments] in refused(*shlex.split(arguments))


def test_numbers_may_be_written_as_a_product(clr):
    flags = "show --base-lr 0.001 --max-lr 0.006 --cycles {} --step-size-up {} --step-size-down {}"
    written = clr(*flags.format("1*2", "4*(1000-500)", "50000/128").split())
    plain = clr(*flags.format("2", "2000", "390.625").split())
    assert written.code == 0
    assert written.out == plain.out


def test_python_m_is_the_command(folder, process):
    done = process("compare", "run.json", "run.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "The records are equal.\n", "")
    done = process("compare", "run.json", "other.json")
    assert (done.returncode, done.stderr) == (1, "")
    done = process("compare", "run.json", "nothing.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "clr compare: 'nothing.json': No such file or directory\n"


@pytest.mark.parametrize("arguments", [["show", "run.json"], ["--help"]])
def test_nobody_reads_on(folder, process, arguments):
    """Like `clr show run.json | head -1`: no message, and the exit code of other commands."""
    read, write = os.pipe()
    os.close(read)
    # Without a buffer, argparse itself meets the broken pipe, and ignores it.
    env = {"PYTHONUNBUFFERED": ""}
    done = process(*arguments, stdout=write, capture_output=False, stderr=-1, env=env)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full disk to test")
def test_full_disk_where_the_output_goes(folder, process):
    with open("/dev/full", "w") as full:
        done = process("show", "run.json", stdout=full, capture_output=False, stderr=-1)
    assert (done.returncode, done.stderr) == (2, "clr show: [Errno 28] No space left on device\n")


def test_without_any_output(folder, process):
    closed = ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh"]
    assert process("show", "run.json", before=closed).returncode == 0
    assert process("show", "-", before=closed).returncode == 2


def test_interrupted(folder, process):
    """Ctrl-C while it waits for input."""
    started = subprocess.Popen(
        [sys.executable, "-P", "-c", _WAITS],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Background jobs start with this signal ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert started.stdout.readline() == "reading\n"
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out, err) == (130, "", "")


_WAITS = """
import sys
from clr_cli import record_arguments, main
class Waiting:
    def __init__(self, buffer):
        self.buffer = self
        self.inner = buffer
    def read(self, size):
        print("reading", flush=True)
        return self.inner.read(size)
sys.stdin = Waiting(sys.stdin.buffer)
sys.exit(main.main(["show", "-"]))
"""


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_any_encoding_of_the_output(folder, process, encoding):
    code = (folder / "train.py").read_text().replace("optimizer", "optimi\u1e93er")
    (folder / "train.py").write_text(code, encoding="utf-8")
    env = {"PYTHONIOENCODING": encoding}
    for arguments in (["plot", "run.json"], ["migrate", "train.py"], ["show", "\u2020.json"]):
        done = process(*arguments, env=env, text=False)
        assert done.returncode == (2 if "\u2020.json" in arguments else 0), done.stderr
        written = (done.stderr if done.returncode else done.stdout).decode(encoding)
        assert "Traceback" not in written
        if arguments[0] == "migrate":
            assert ("optimi\\u1e93er" if encoding == "ascii" else "optimi\u1e93er") in written


def test_no_colours_nor_controls_in_a_pipe(folder, process):
    for arguments in (["show", "run.json"], ["plot", "groups.json"], ["migrate", "train.py"]):
        done = process(*arguments, env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
        assert done.returncode == 0
        assert done.stdout.replace("\n", "").isprintable()


def test_warnings_take_one_line(folder, process):
    done = process("show", "--base-lr", "1", "--max-lr", "2", "--mode", "exp_range")
    assert done.returncode == 0
    assert done.stderr.startswith("clr show: warning: ")
    assert done.stderr.count("\n") == 1
    assert ".py" not in done.stderr


class Panic(BaseException):
    """As an extension in Rust raises it."""


@pytest.mark.parametrize(
    "error", [KeyError("a\nb"), RecursionError("too deep"), StopIteration(), Panic("x" * 10**6)]
)
@pytest.mark.parametrize("command", ["compare", "verify"])
def test_a_crash_is_not_the_answer_no(folder, refused, monkeypatch, command, error):
    """Exit code 1 means that two schedules differ, or that a run didn't follow its schedule."""

    def crash(options):
        raise error

    monkeypatch.setattr(import_command(command), "run", crash)
    text = refused(command, "run.json", "log.csv")
    assert text.startswith("An error in clr itself, please report it: ")
    assert f"{type(error).__name__}: " in text
    assert ("test_main.py:" in text) == (type(error) is not Panic)  # Too long for the place.
    assert len(text) < 2100


def test_the_traceback_on_request(folder, process):
    done = process("show", "nothing.json", env={"CLR_DEBUG": "1"})
    assert done.returncode == 2
    first, *_, last = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last == "clr show: 'nothing.json': No such file or directory"


def test_options_may_stand_between_the_files(folder, clr):
    there = clr("compare", "run.json", "--json", "other.json")
    assert (there.code, json.loads(there.out)["equal"]) == (1, False)
    assert clr("verify", "run.json", "--json", "log.csv").code == 0
