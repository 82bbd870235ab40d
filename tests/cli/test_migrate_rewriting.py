"""Rewriting in place: the program computes what it did, and the rest of the file stays."""

import ast
import os
import stat

import pytest

from clr_cli.migrate import Document, migrate, rewritten

TORCH = "import torch\n"
DIRECT = "from torch.optim.lr_scheduler import CyclicLR\n"
MODULE = "from torch.optim import lr_scheduler\n"
CALL = "s = CyclicLR(o, 1e-3, 6e-3)  # Stays.\n"


def _rewritten(source):
    return rewritten(source, migrate(source, "train.py"))


# Only the module changes, in each import of it.
IMPORTS = {
    "the import": DIRECT + CALL,
    "an alias": "from torch.optim.lr_scheduler import CyclicLR as C\nC(o, 1, 2)",
    "alone in parentheses": (
        "from torch.optim.lr_scheduler import (\n    CyclicLR,  # noqa\n)\n" + CALL
    ),
    "tried": f"try:\n    {DIRECT}except ImportError:\n    CyclicLR = None\n{CALL}",
    "in both branches": f"if a:\n    {DIRECT}else:\n    {DIRECT}{CALL}",
    "a partial": f"from functools import partial\n{DIRECT}make = partial(CyclicLR, max_lr=2)",
    "checked for": f"{DIRECT}{CALL}isinstance(s, CyclicLR)",
}
REWRITTEN = {
    **{
        name: (before, before.replace("torch.optim.lr_scheduler", "clr_torch"))
        for name, before in IMPORTS.items()
    },
    "one of several": (
        "from torch.optim.lr_scheduler import StepLR, CyclicLR, ExponentialLR  # LR\n" + CALL,
        "from torch.optim.lr_scheduler import StepLR, ExponentialLR  # LR\n"
        "from clr_torch import CyclicLR\n" + CALL,
    ),
    "the last of several": (
        "from torch.optim.lr_scheduler import StepLR, CyclicLR\n" + CALL,
        "from torch.optim.lr_scheduler import StepLR\nfrom clr_torch import CyclicLR\n" + CALL,
    ),
    "in parentheses": (
        "from torch.optim.lr_scheduler import (\n    CyclicLR,  # noqa\n    StepLR,\n)\n" + CALL,
        "from torch.optim.lr_scheduler import (\n    StepLR,\n)\n"
        "from clr_torch import CyclicLR  # noqa\n" + CALL,
    ),
    "a module": (
        MODULE + "x = 1; s = lr_scheduler.CyclicLR(o, 1, 2)",
        MODULE + "import clr_torch\nx = 1; s = clr_torch.CyclicLR(o, 1, 2)",
    ),
    "the whole path": (
        "import torch, os  # Both.\n"
        "s = torch.optim.lr_scheduler.CyclicLR(\n    o, 1,  # low\n    2)\n",
        "import torch, os  # Both.\nimport clr_torch\n"
        "s = clr_torch.CyclicLR(\n    o, 1,  # low\n    2)\n",
    ),
    "a name for the module": (
        "import torch.optim.lr_scheduler as L\nS = L\nS.CyclicLR(o, 1, 2)",
        "import torch.optim.lr_scheduler as L\nimport clr_torch\nS = L\n"
        "clr_torch.CyclicLR(o, 1, 2)",
    ),
    "a star": (
        "from torch.optim.lr_scheduler import *\n" + CALL,
        "from torch.optim.lr_scheduler import *\nfrom clr_torch import CyclicLR\n" + CALL,
    ),
    "in a function": (
        "def f(o):\n\tfrom torch.optim import lr_scheduler as l\n\treturn l.CyclicLR(o, 1, 2)\n",
        "def f(o):\n\tfrom torch.optim import lr_scheduler as l\n\timport clr_torch\n"
        "\treturn clr_torch.CyclicLR(o, 1, 2)\n",
    ),
    "in one line": (
        "import torch; torch.optim.lr_scheduler.CyclicLR(o, 1, 2)",
        "import torch; import clr_torch; clr_torch.CyclicLR(o, 1, 2)",
    ),
    "in a branch of one line": (
        "if fast: import torch\ns = torch.optim.lr_scheduler.CyclicLR(o, 1, 2)",
        "if fast: import torch; import clr_torch\ns = clr_torch.CyclicLR(o, 1, 2)",
    ),
    "a registry": (
        TORCH + "ALL = {'cyclic': torch.optim.lr_scheduler.CyclicLR, 'step': 1}\n",
        TORCH + "import clr_torch\nALL = {'cyclic': clr_torch.CyclicLR, 'step': 1}\n",
    ),
    "verbose": (
        DIRECT
        + "CyclicLR(o, 1, 2, verbose=True, mode='triangular2')\nCyclicLR(o, 1, 2, verbose=0)",
        "from clr_torch import CyclicLR\nCyclicLR(o, 1, 2, mode='triangular2')\nCyclicLR(o, 1, 2)",
    ),
    "beside a subclass": (
        DIRECT + CALL + "class Mine(CyclicLR): ...\n",
        DIRECT
        + "import clr_torch\n"
        + CALL.replace("CyclicLR", "clr_torch.CyclicLR")
        + "class Mine(CyclicLR): ...\n",
    ),
    "Addons": (
        "import tensorflow_addons as tfa\n"
        "r = tfa.optimizers.TriangularCyclicalLearningRate(\n    initial_learning_rate=low,  # 1\n"
        "    maximal_learning_rate=(high),\n    step_size=8 * n,\n)\n",
        "import clr_keras\n"
        "r = clr_keras.CyclicLR(\n    base_lr=low,  # 1\n    max_lr=(high),\n"
        "    step_size_up=8 * n,\n)\n",
    ),
    "Addons, used for more": (
        "import tensorflow_addons as tfa\n"
        "o = tfa.optimizers.AdamW(tfa.optimizers.Triangular2CyclicalLearningRate((1), (2), 3))",
        "import tensorflow_addons as tfa\nimport clr_keras\n"
        "o = tfa.optimizers.AdamW(clr_keras.CyclicLR("
        'base_lr=(1), max_lr=(2), step_size_up=3, mode="triangular2"))',
    ),
    "Addons, one of several": (
        "from tensorflow_addons.optimizers import AdamW, ExponentialCyclicalLearningRate as E\n"
        "E(1, 2, 3, gamma=g, name='x')",
        "from tensorflow_addons.optimizers import AdamW\nimport clr_keras\n"
        "clr_keras.CyclicLR(base_lr=1, max_lr=2, step_size_up=3, gamma=g, name='x', "
        'mode="exp_range")',
    ),
    "Addons, a function": (
        "import tensorflow_addons as tfa\n"
        "tfa.optimizers.CyclicalLearningRate(1, 2, 3, lambda x: 1 / x, 'cycle', name='x')",
        "import clr_keras\n"
        "clr_keras.CyclicLR(base_lr=1, max_lr=2, step_size_up=3, scale_fn=\"1 / x\", name='x')",
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("name", REWRITTEN)
def test_only_the_class_and_its_import_change(name, newline):
    before, after = (each.replace("\n", newline) for each in REWRITTEN[name])
    assert _rewritten(before) == after
    ast.parse(after)
    # What was rewritten isn't rewritten again.
    assert _rewritten(after) == after


KEPT = {
    "a position for verbose": (
        DIRECT + "CyclicLR(o, 1, 2, 3, 4, 'triangular', 1., None, 'cycle', True, .8, .9, -1, True)",
        "`verbose` is given by its position.",
    ),
    "an inverted band": (DIRECT + "CyclicLR(o, 2, 1)", "`base_lr` must not be above `max_lr`."),
    "a scale_mode": (
        DIRECT + "CyclicLR(o, 1, 2, scale_fn=f, scale_mode='steps')",
        "`scale_mode='steps'` means 'iterations' there and is refused here.",
    ),
    "two meanings": (
        "if a:\n    from torch.optim import lr_scheduler as l\nelse:\n    import other as l\n"
        "l.CyclicLR(o, 1, 2)",
        "",
    ),
    "not used": (DIRECT, "It is imported and not used here: it may be looked up by its name."),
    "a variable": (
        TORCH + "clr_torch = 1\ntorch.optim.lr_scheduler.CyclicLR(o, 1, 2)",
        "This file has a variable `clr_torch`.",
    ),
    "Addons, named": (
        "import tensorflow_addons as tfa\nx = [tfa.optimizers.CyclicalLearningRate]",
        "It is named here and not called: the parameters have other names.",
    ),
    "Addons, a value that is bound": (
        "import tensorflow_addons as tfa\n"
        "tfa.optimizers.TriangularCyclicalLearningRate(1, high := 2, 3)",
        "Its arguments can't be taken apart.",
    ),
    "a call stays, and so does the import": (
        DIRECT + "CyclicLR(o, 1, 2, verbose=True,  # Lost.\n  mode='triangular2')",
        "A comment in it would be lost.",
    ),
    "Addons, a comment": (
        "import tensorflow_addons as tfa\n"
        "tfa.optimizers.TriangularCyclicalLearningRate(1, 2,\n  scale_mode='cycle',  # A comment.\n"
        "  step_size=3)",
        "A comment in it would be lost.",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_not_rewritten_says_why(name):
    source, why = KEPT[name]
    findings = [each for each in migrate(source, "train.py") if "look" not in each.origin]
    if why:
        (finding,) = findings
        assert finding.kept.startswith(why)
    assert _rewritten(source) == source


def test_another_framework_is_printed_and_not_written():
    (finding,) = migrate(DIRECT + CALL, "train.py", "jax")
    assert finding.edits == ()
    assert finding.kept == "This is for torch, and --to names jax."


@pytest.mark.parametrize(
    ("encoding", "mark", "newline"),
    [("utf-8", b"", "\r"), ("utf-8", b"\xef\xbb\xbf", "\n"), ("latin-1", b"", "\r\n")],
)
def test_a_file_keeps_its_encoding_and_line_ends(tmp_path, encoding, mark, newline):
    cookie = "" if encoding == "utf-8" else f"# -*- coding: {encoding} -*-\n"
    source = f"{cookie}é = 'ü'\f\n{MODULE}s = lr_scheduler.CyclicLR(ö, 1, 2)  # ä"
    path = tmp_path / "train.py"
    path.write_bytes(mark + source.replace("\n", newline).encode(encoding))
    path.chmod(0o640)
    Document(str(path), None).write()
    expected = source.replace(MODULE, f"{MODULE}import clr_torch\n")
    expected = expected.replace("lr_scheduler.CyclicLR", "clr_torch.CyclicLR")
    assert path.read_bytes() == mark + expected.replace("\n", newline).encode(encoding)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there.py").write_text(DIRECT + CALL)
    (tmp_path / "here.py").symlink_to("there.py")
    Document(str(tmp_path / "here.py"), None).write()
    assert os.readlink(tmp_path / "here.py") == "there.py"
    assert "clr_torch" in (tmp_path / "there.py").read_text()


@pytest.mark.parametrize("other", ["other = 1\n", "# A longer one.\n" * 20])
def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path, other):
    path = tmp_path / "train.py"
    path.write_text(DIRECT + CALL)
    document = Document(str(path), None)
    path.write_text(other)
    with pytest.raises(ValueError, match="it has changed since it was read"):
        document.write()
    assert path.read_text() == other


def test_an_encoding_that_has_several_spellings_is_left_alone(tmp_path):
    path = tmp_path / "train.py"
    data = b"# coding: utf-7\n" + (DIRECT + CALL + "a = '").encode() + b"+AGE-'\n"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="utf-7 wouldn't keep it"):
        Document(str(path), None).write()
    assert path.read_bytes() == data


def test_a_read_only_file_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "train.py"
    path.write_text(DIRECT + CALL)
    monkeypatch.setattr(os, "access", lambda *_: False)  # As for a user who isn't root.
    with pytest.raises(PermissionError):
        Document(str(path), None).write()
    assert path.read_text() == DIRECT + CALL
    assert [each.name for each in tmp_path.iterdir()] == ["train.py"]
