"""The schedules that `clr migrate` reads from Python files, without executing them."""

import ast
import json
import math
import sys

import pytest

import migrate_cases as cases
from clr_cli.migrate import Document, as_json, as_text, migrate
from clr_core import CyclicSchedule
from clr_core.record import Record

TORCH = "torch.optim.lr_scheduler.CyclicLR"
ADDONS = "tensorflow_addons.optimizers."
CALLBACK = "bckenstler's CyclicLR"
IMPORTED = "from torch.optim.lr_scheduler import CyclicLR\n"


def _read(source, to=None):
    """The findings that are read, without those that only name or look like something."""
    return [each for each in migrate(source, "train.py", to) if "look here" not in each.origin]


def _one(source, to="torch"):
    (finding,) = _read(source, to)
    return finding


def _about(finding):
    return [each.about for each in finding.warnings]


# Further ones are in test_migrate_rewriting.py, which needs them to be found.
FORMS = {
    "star": (
        "from torch.optim.lr_scheduler import *\nfrom utils import *",
        "CyclicLR(o, 1, 2)",
        TORCH,
    ),
    "alias": ("import torch\nl = torch.optim.lr_scheduler\nC = l.CyclicLR", "C(o, 1, 2)", TORCH),
    "in a method": (
        "import torch\nclass T:\n    torch = None\n    def f(self, o):",
        "        self.s = torch.optim.lr_scheduler.CyclicLR(o, 1, 2)",
        TORCH,
    ),
    "addons, star": (
        "from tensorflow_addons.optimizers import *",
        "CyclicalLearningRate(1, 2, 3, lambda x: 1.)",
        f"{ADDONS}CyclicalLearningRate",
    ),
    "the callback": ("from clr_callback import CyclicLR", "CyclicLR(1, 2)", CALLBACK),
    "the callback, relative": ("from .clr import CyclicLR", "CyclicLR(1, 2)", CALLBACK),
    "the callback, by its arguments": (
        "from my.callbacks import CyclicLR",
        "CyclicLR(base_lr=1, max_lr=2, step_size=3)",
        CALLBACK,
    ),
    "keras-contrib": (
        "from keras_contrib.callbacks import CyclicLR",
        "CyclicLR(1, 2)",
        "keras_contrib.callbacks.CyclicLR",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_import_is_found(form):
    head, call, origin = FORMS[form]
    source = f"# comment\n{head}\n{call}\n"
    finding = _one(source)
    assert finding.origin == origin
    assert finding.line == finding.end_line == len(source.splitlines())
    assert finding.code in call
    assert finding.record["schedule"]["max_lr"] == 2
    # It is rewritten, or says why not.
    assert bool(finding.edits) != bool(finding.kept)


COPY = """\
from keras.callbacks import Callback
class MyCLR(Callback):
    def __init__(self, base_lr=0.01, max_lr=0.02, step_size=5., mode='triangular', gamma=1.,
                 scale_fn=None, scale_mode='cycle'):
        super(MyCLR, self).__init__()
"""
OTHERS = {
    "a function of this name": f"{IMPORTED}def CyclicLR(*args): ...\nCyclicLR(o, 1, 2)",
    "a parameter of this name": f"{IMPORTED}def f(CyclicLR):\n    CyclicLR(o, 1, 2)",
    "bound again in the function": f"{IMPORTED}def f():\n    CyclicLR = g()\n    CyclicLR(o, 1, 2)",
    "a loop's": f"{IMPORTED}for CyclicLR in all_of_them:\n    pass\n".replace("for", "x = 1\nfor"),
    "a comprehension's": f"{IMPORTED}[CyclicLR(o, 1, 2) for CyclicLR in all_of_them]",
    "clr's own": "from clr_torch import CyclicLR\nCyclicLR(o, 1, 2)",
    "clr_keras": "import clr_keras\nclr_keras.CyclicLR(schedule)",
    "an attribute": "self.CyclicLR(o, 1, 2)",
    "bound nowhere": "CyclicLR(o, 1, 2)",
    "another class of torch": "import torch\ntorch.optim.lr_scheduler.StepLR(o, 1)",
    "a callback with gamma and no mode": f"{COPY}MyCLR(gamma=1)".replace("mode='triangular', ", ""),
    "a callback of other names": f"{COPY}MyCLR(low=1)".replace("base_lr", "low"),
    "in a text": "'''from torch.optim.lr_scheduler import CyclicLR; CyclicLR(o, 1, 2)'''",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_things_of_that_name_are_left_alone(name):
    assert [each.line for each in _read(OTHERS[name]) if each.arguments] == []


def test_the_last_meaning_of_a_name_counts():
    source = (
        f"{IMPORTED}CyclicLR(o, 1, 2)\nCyclicLR = 3\nCyclicLR(o, 1, 2)\n{IMPORTED}CyclicLR(o, 3, 4)"
    )
    assert [each.line for each in _read(source)] == [2, 6]


def test_an_ambiguous_name_has_a_caution():
    source = (
        "if fast:\n    from torch.optim.lr_scheduler import CyclicLR\nelse:\n"
        "    from keras_contrib.callbacks import CyclicLR\nCyclicLR(o, 1, 2)"
    )
    finding = _one(source)
    assert finding.origin == TORCH
    assert "origin" in _about(finding)


@pytest.mark.parametrize("name", cases.all_cases())
def test_the_record_is_the_schedule_that_the_call_means(name):
    source, means = cases.all_cases()[name]
    for to in ("torch", "keras", "jax"):
        finding = _one(source, to)
        record = Record.from_dict(finding.record)
        assert record == Record(CyclicSchedule(**means))
        ast.parse(finding.replacement)


@pytest.mark.parametrize(
    ("last_epoch", "step"), [("-1", 0), ("0", 1), ("4", 5), ("N", None), ("-2", None)]
)
def test_the_record_is_at_the_step_of_the_next_update(last_epoch, step):
    source = f"{IMPORTED}CyclicLR(o, 1, 2, last_epoch={last_epoch})"
    record = _one(source).record
    assert (record and record["step"]) == step


@pytest.mark.parametrize(
    "argument", ["args.lr", "lr()", "LR * x", "float('nan')", "1e-3 if a else 2", "LR", "f'{1}'"]
)
def test_what_is_not_a_literal_is_shown_as_it_is(argument):
    source = f"{IMPORTED}CyclicLR(o, base_lr={argument}, max_lr=2)"
    for to in ("torch", "keras", "jax"):
        finding = _one(source, to)
        assert finding.record is None
        assert finding.arguments["base_lr"] == argument
        assert f"base_lr={argument}" in finding.replacement


SCALES = {
    "lambda x: 1 / x": "1 / x",
    "lambda n: 0.5 * (1 + np.sin(n * np.pi / 2.))": "0.5 * (1 + sin(x * pi / 2.0))",
    "lambda n: exp(-n)": "exp(-x)",
    "lambda n: math.pow(0.5, n - 1) * 0.5": "0.5 ** (x - 1) * 0.5",
    "lambda n: pow(0.5, n) + 1 / (1 + abs(n))": "0.5 ** x + 1 / (1 + abs(x))",
    "lambda n: math.e ** -float(max(n, 1))": "e ** (-max(x, 1))",
    "decay": "1 / (1 + x)",
}
UNTRANSLATED = (
    "lambda n: 0.5 if n > 3 else 1",
    "lambda n: np.random.rand() * n",
    "lambda n: my.sin(n)",
    "lambda n, m=2: 1 / n",
    "lambda n: pow(n, 2, 3)",
    "lambda n: 1 / (1 + HALF * n)",
    "lambda n: (0 - 1) ** 0.5 * n",
    "twice",
    "args.scale",
)
SCALE_HEAD = """\
import math
import numpy as np
import my
from math import exp
HALF = 50
def decay(cycle):
    '''A decay.'''
    return 1 / (1 + cycle)
def twice(cycle):
    cycle = cycle + 1
    return cycle
"""


@pytest.mark.parametrize("function", SCALES)
def test_a_scale_fn_in_the_grammar_is_translated(function):
    source = f"{SCALE_HEAD}{IMPORTED}CyclicLR(o, 1, 2, scale_fn={function})"
    finding = _one(source)
    expected = CyclicSchedule(base_lr=1, max_lr=2, scale_fn=SCALES[function], **cases.MOMENTA)
    assert Record.from_dict(finding.record) == Record(expected)
    # The text computes the same as the function.
    namespace = {}
    exec(SCALE_HEAD.replace("import my\n", ""), namespace)
    original = eval(function, namespace)
    for cycle in (1, 2, 5):
        # The peak of this cycle, at which the wave equals the scale.
        peak = expected.lr((2 * cycle - 1) * 2000)
        assert math.isclose(peak - 1, original(cycle), rel_tol=1e-12)


@pytest.mark.parametrize("function", UNTRANSLATED)
def test_another_scale_fn_is_shown_and_not_guessed(function):
    source = f"{SCALE_HEAD}{IMPORTED}CyclicLR(o, 1, 2, scale_fn={function})"
    for to in ("torch", "keras", "jax"):
        finding = _one(source, to)
        assert finding.record is None
        assert f"scale_fn={function}" in finding.replacement
        assert [each.says for each in finding.warnings if each.about == "scale_fn"] == [
            f"`scale_fn={function}` isn't translated. Write it as text in `x`, such as "
            '"1 / 2 ** (x - 1)"; see the grammar in `clr_core.schedules.expression`.'
        ]


@pytest.mark.parametrize(
    "arguments",
    [
        "base_lr=0.006, max_lr=0.001",
        "base_lr=0.001, max_lr='0.006'",
        "base_lr=0.001, max_lr=0.006, step_size_up=[3, 4]",
        "base_lr=0.001, max_lr=0.006, mode='exp_range', gamma=1.1",
        "base_lr=0.001, max_lr=0.006, base_momentum=0.9, max_momentum=0.8",
    ],
)
def test_what_a_schedule_refuses_has_its_sentence(arguments):
    finding = _one(f"{IMPORTED}CyclicLR(o, {arguments})")
    given = {**cases.MOMENTA, **eval(f"dict({arguments})")}
    with pytest.raises((TypeError, ValueError)) as caught:
        CyclicSchedule(**given)
    assert [each.says for each in finding.warnings if each.about == "refused"] == [
        str(caught.value)
    ]
    assert finding.record is None
    assert finding.replacement is None


@pytest.mark.parametrize(
    ("arguments", "about", "kept"),
    [
        ("o", "missing", "`base_lr` is missing."),
        ("o, 1", "missing", "`max_lr` is missing."),
        ("o, 1, 2, **options", "spread", "The contents of `**options` are unknown here."),
        ("o, *boundaries", "spread", "The contents of `*boundaries` are unknown here."),
        ("o, 1, 2, max=3", "unknown_argument", f"{TORCH} has no parameter for `max=3`."),
    ],
)
def test_a_call_that_cannot_be_read_has_no_replacement(arguments, about, kept):
    for to in ("torch", "keras", "jax"):
        finding = _one(f"{IMPORTED}CyclicLR({arguments})", to)
        assert about in _about(finding)
        assert (finding.record, finding.replacement) == (None, None)
        assert (finding.kept, finding.edits) == (kept, ())


@pytest.mark.parametrize("use", ["{'clr': {}}", "isinstance(s, {})", "partial({}, max_lr=2)"])
def test_a_reference_to_a_class_is_found(use):
    finding = _one(IMPORTED + use.replace("{}", "CyclicLR"))
    assert (finding.line, finding.origin, _about(finding)) == (2, TORCH, ["reference"])


@pytest.mark.parametrize("base", ["l.CyclicLR", "tfa.optimizers.CyclicalLearningRate"])
def test_a_derived_class_is_not_read(base):
    head = "import torch.optim.lr_scheduler as l, tensorflow_addons as tfa\n"
    finding = _one(f"{head}class Mine({base}): ...\nMine(1, 2, 3)")
    assert (finding.line, _about(finding), finding.edits) == (2, ["reference"], ())
    assert finding.warnings[0].says == finding.kept == "`Mine` is derived from it."


@pytest.mark.parametrize("call", cases.GROUPS)
def test_groups_are_rewritten_and_not_translated(call):
    source = cases.torch_source(call)
    assert (_one(source).record, len(_one(source).edits)) == (None, 2)
    assert (_one(source, "jax").replacement, _about(_one(source, "jax"))) == (None, ["groups"])
    source = "from keras_contrib.callbacks import CyclicLR\nCyclicLR([1, 2], 3)"
    assert "refused" in _about(_one(source))


def test_a_copy_of_the_callback_in_the_file_has_its_own_defaults():
    finding = _one(f"{COPY}clr = MyCLR(mode='triangular2')")
    expected = CyclicSchedule(base_lr=0.01, max_lr=0.02, step_size_up=5, mode="triangular2")
    assert Record.from_dict(finding.record) == Record(expected)
    assert "origin" in _about(finding)


TORCH_CALL = "CyclicLR(o, 1, 2, cycle_momentum=False)"
CAUTIONS = {
    "nothing": (TORCH_CALL, None, []),
    "torch's, for Keras": (TORCH_CALL, "keras", ["optimizer", "velocity", "per_epoch"]),
    "torch's, for JAX": (TORCH_CALL, "jax", ["optimizer", "per_epoch"]),
    "a momentum": ("CyclicLR(o, 1, 2)", "jax", ["momentum", "per_epoch"]),
    "last_epoch": (
        TORCH_CALL.replace(")", ", last_epoch=4)"),
        "jax",
        ["optimizer", "per_epoch", "last_epoch"],
    ),
    "verbose": (TORCH_CALL.replace(")", ", verbose=True)"), None, ["verbose"]),
    "no gamma": (TORCH_CALL.replace("2,", "2, mode='exp_range',"), None, ["mode"]),
    "another mode": (TORCH_CALL.replace("2,", "2, gamma=0.9,"), None, ["gamma"]),
    "an unknown mode": (TORCH_CALL.replace("2,", "2, mode=m, gamma=0.9,"), None, ["gamma"]),
    "cycle_momentum isn't known": ("CyclicLR(o, 1, 2, cycle_momentum=c)", None, ["momentum"]),
    "the callback": (
        "from keras_contrib.callbacks import CyclicLR\nCyclicLR()",
        None,
        ["optimizer", "callback"],
    ),
    "the callback, for torch": (
        "from clr_callback import CyclicLR\nCyclicLR()",
        "torch",
        ["origin", "optimizer", "callback"],
    ),
}


@pytest.mark.parametrize("name", CAUTIONS)
def test_cautions(name):
    source, to, about = CAUTIONS[name]
    finding = _one(source if "import" in source else IMPORTED + source, to)
    assert _about(finding) == about
    for caution in finding.warnings:
        assert caution.says.endswith("."), caution.says


@pytest.mark.parametrize("scale_mode", ["'iterations'", "args.mode"])
def test_addons_decay_by_another_count_is_not_read(scale_mode):
    call = f"Triangular2CyclicalLearningRate(1, 2, 3, scale_mode={scale_mode})"
    finding = _one(cases.addons_source(call), "keras")
    assert (finding.record, finding.replacement, finding.edits) == (None, None, ())
    assert finding.kept.startswith(f"`scale_mode={scale_mode}` must be 'cycle' for this decay.")


HERE = f"up to {sys.version_info.major}.{sys.version_info.minor}"
PYTHON_3 = f"must be Python 3 to be read, {HERE}"
BAD = {
    "a = (1\nb = 2": f"`train.py` line 1 {PYTHON_3}: '(' was never closed",
    "x = 1\nprint 'a'": f"`train.py` line 2 {PYTHON_3}: Missing parentheses",
    "x = 1\ny = '\0'": "`train.py` ",
    "-" * 200_000 + "1": "`train.py` is nested too deeply to be read",
    "1" + "+1" * 200_000: "`train.py` is nested too deeply to be read",
    "f" + "()" * 50_000: "`train.py` is nested too deeply to be read",
    "(" * 500 + ")" * 500: f"`train.py` line 1 {PYTHON_3}: too many nested",
    "#" * 2**20 + "\n": "`train.py` may have at most 1048576 bytes to be read",
}


@pytest.mark.parametrize("source", BAD, ids=range(len(BAD)))
def test_a_file_that_cannot_be_parsed(source):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its beginning is compared.
        migrate(source, "train.py", "torch")
    assert str(caught.value).startswith(BAD[source])


def test_deep_nesting_is_read_or_refused():
    # Each depth is either read, or refused with the same error.
    for depth in (50, 200, 500, 900, 2000):
        source = f"{IMPORTED}CyclicLR(o, {'-' * depth}1, 2)"
        try:
            said = migrate(source, "train.py", "torch") and ""
        except ValueError as error:
            said = str(error)
        assert said in ("", "`train.py` is nested too deeply to be read"), depth


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a = 1\nb = '\xff'\n", "line 2 must be utf-8 text: "),
        (b"# coding: klingon\n", "line 1 must name an encoding of Python: unknown encoding"),
        (b"# coding: rot13\n", "line 1 must name an encoding of Python: "),
        (b"# coding: hex\nzz", "line 1 must name an encoding of Python: "),
        (b"# coding: zip\nzz", "line 1 must name an encoding of Python: "),
        (b"# coding: undefined\nzz", "line 1 must name an encoding of Python: "),
        (b"# coding: idna\n\xff", " must "),
        (b"# coding: utf-16\n", " must "),
        (b"# coding: latin-1\n" + b"#" * 2**20, "and may have at most 1048576"),
    ],
)
def test_a_file_that_is_not_text(tmp_path, data, says):
    path = tmp_path / "train.py"
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is compared.
        Document(str(path), None)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 500


def test_findings_as_json_and_as_text():
    source = cases.torch_source("optimizer, 0.001, args.lr, 3") + "S.CyclicLR(optimizer, 1, 2)\n"
    findings = migrate(source, "train.py", "keras")
    document = json.loads(as_json(findings))
    assert document["format"] == "clr-migrate/1"
    first, second = document["findings"]
    assert (first["file"], first["line"], first["record"]) == ("train.py", 6, None)
    assert first["arguments"]["max_lr"] == "args.lr"
    assert (second["line"], second["record"]["schedule"]["max_lr"]) == (7, 2)
    assert set(second["warnings"][0]) == {"about", "says"}
    text = as_text(findings)
    assert f"train.py:6: {TORCH}" in text
    assert "  max_lr = args.lr" in text
    assert "  CyclicSchedule(base_lr=1.0, max_lr=2.0, base_momentum=0.8, max_momentum=0.9)" in text
    for finding in findings:
        for line in finding.replacement.splitlines():
            assert line in text
        for caution in finding.warnings:
            assert f"! {caution.about}: {caution.says}" in text


def test_lines_in_any_alphabet():
    # In Python, a form feed or a line separator doesn't end a line.
    finding = _one(f"{IMPORTED}a = 1 # \f\u2028\n'äöü€😀'; CyclicLR(ö, 1, 2)  # ü")
    assert finding.line == 3
    assert finding.code == "CyclicLR(ö, 1, 2)"
    assert finding.arguments["optimizer"] == "ö"
