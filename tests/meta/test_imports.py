"""The rules of the house about imports, held in the source and in running processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import imports

ROOT = Path(__file__).parents[2]
FRAMEWORKS = {"torch", "tensorflow", "keras", "jax", "optax", "flax"}


def test_every_import_is_allowed():
    assert imports.violations(ROOT) == []


PLANTED = {
    "a framework in the core": ("clr_core/schedules/cyclic.py", "import numpy", "not allowed"),
    "a framework within a function": (
        "clr_core/schedules/samples.py",
        "def f():\n    from matplotlib import pyplot",
        "not allowed",
    ),
    "another framework": ("clr_torch/schedule.py", "import jax.numpy as jnp", "not allowed"),
    "another adapter": ("clr_jax/schedule.py", "from clr_torch import CyclicLR", "not allowed"),
    "more than an array library": ("clr_jax/ops.py", "import optax", "not allowed"),
    "a backend": ("clr_keras/schedule.py", "import tensorflow as tf", "not allowed"),
    "a file of another room": (
        "clr_core/verification/log.py",
        "from clr_core.schedules._parameters import MODES",
        "private to another room",
    ),
    "a file of the core": (
        "clr_torch/schedule.py",
        "from clr_core import _files",
        "private to another room",
    ),
    "a private name": (
        "clr_keras/schedule.py",
        "from clr_core.record import _plain",
        "private to another room",
    ),
    "up a floor": (
        "clr_core/schedules/samples.py",
        "def f():\n    from clr_core.record import Record",
        "up a floor",
    ),
    "the same floor": (
        "clr_core/verification/log.py",
        "from clr_core.record import Record",
        "up a floor",
    ),
    "unless for type checkers": (
        "clr_core/schedules/cyclic.py",
        "if not TYPE_CHECKING:\n    import torch",
        "not allowed",
    ),
    "else than for type checkers": (
        "clr_core/schedules/cyclic.py",
        "if TYPE_CHECKING:\n    X = 1\nelse:\n    import torch",
        "not allowed",
    ),
    "a framework by its name": (
        "clr_core/schedules/cyclic.py",
        'importlib.import_module("torch")',
        "not allowed",
    ),
    "a file of another room by its name": (
        "clr_torch/schedule.py",
        'import_module("clr_core.record._yaml")',
        "private to another room",
    ),
    "a file of another room in a table": (
        "clr_torch/schedule.py",
        'READERS = {"yaml": "clr_core.record._yaml:from_yaml"}',
        "private to another room",
    ),
    "a private attribute": (
        "clr_torch/schedule.py",
        "from clr_core import record\nrecord._yaml",
        "private to another room",
    ),
    "a private attribute by another name": (
        "clr_torch/schedule.py",
        "import clr_core.record as other\nother._plain(1)",
        "private to another room",
    ),
    "a private attribute by its full name": (
        "clr_torch/schedule.py",
        "import clr_core.record\nclr_core.record._plain(1)",
        "private to another room",
    ),
    "a circle by a name": (
        "clr_core/schedules/samples.py",
        'def f():\n    import_module("clr_core.schedules.cyclic")',
        "imports itself by way of others",
    ),
    "a circle": (
        "clr_core/schedules/samples.py",
        "def f():\n    from clr_core.schedules.cyclic import CyclicSchedule",
        "imports itself by way of others",
    ),
}


@pytest.fixture
def violations(tmp_path):
    """The violations once some lines stand at the end of a file."""

    def of(path, lines):
        for package in imports.PACKAGES:
            shutil.copytree(ROOT / package, tmp_path / package)
        with (tmp_path / path).open("a") as file:
            file.write(f"\n{lines}\n")
        return imports.violations(tmp_path)

    return of


@pytest.mark.parametrize(("path", "lines", "rule"), PLANTED.values(), ids=PLANTED)
def test_each_rule_can_be_broken(violations, path, lines, rule):
    planted = (path, path.replace("/", ".")[:-3])
    found = violations(path, lines)
    assert any(each.startswith(planted) and each.endswith(f": {rule}") for each in found)


@pytest.mark.parametrize(
    "lines",
    [
        "if TYPE_CHECKING:\n    from clr_core.record import Record",
        "if not TYPE_CHECKING:\n    pass\nelse:\n    from clr_core.record import Record",
    ],
)
def test_types_may_be_imported_from_anywhere(violations, lines):
    assert violations("clr_core/schedules/samples.py", lines) == []


def test_a_table_is_left_out_for_its_circle_alone(monkeypatch):
    monkeypatch.setattr(imports, "TABLES", ())
    found = {each.partition(":")[2] for each in imports.violations(ROOT)}
    assert found == {" imports itself by way of others"}


def _run(code, **environment):
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )


# As if they were not installed: not found, and found missing by who asks first.
HIDE = """
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: (
    None if name.partition(".")[0] in {hidden!r} else find_spec(name, *rest)
)
"""
WORK = {
    "clr_torch": (
        {"torch"},
        "import torch, clr_torch\n"
        "optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])\n"
        "rate = clr_torch.CyclicLR.from_schedule(optimizer, schedule).get_last_lr()[0]",
    ),
    "clr_jax": (
        {"jax", "optax"},
        "import optax, clr_jax\n"
        "optimizer = optax.inject_hyperparams(optax.adam)(clr_jax.cyclic_lr(schedule))\n"
        "rate = float(optimizer.init({}).hyperparams['learning_rate'])",
    ),
    **{
        f"clr_keras on {backend}": (
            {"keras", backend},
            "import keras, clr_keras\n"
            "optimizer = keras.optimizers.Adam(clr_keras.CyclicLR(schedule))\n"
            "rate = float(optimizer.learning_rate)",
        )
        for backend in ("tensorflow", "jax", "torch")
    },
}


@pytest.mark.parametrize("adapter", WORK)
def test_an_adapter_works_with_the_other_frameworks_hidden(adapter):
    needed, work = WORK[adapter]
    hidden = FRAMEWORKS - needed
    code = (
        HIDE.format(hidden=hidden)
        + "from clr_core import CyclicSchedule\n"
        + "schedule = CyclicSchedule(base_lr=0.25, max_lr=0.5)\n"
        + work
        + "\nimport json, sys"
        + f"\nprint(json.dumps([rate, sorted(set(sys.modules) & {hidden!r})]))"
    )
    backend = adapter.partition(" on ")[2]
    done = _run(code, **({"KERAS_BACKEND": backend} if backend else {}))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0.25, []]


@pytest.mark.parametrize("package", ["torch", "keras", "jax"])
def test_a_missing_framework_names_the_extra(package):
    done = _run(HIDE.format(hidden={package}) + f"import clr_{package}")
    assert done.returncode == 1
    assert f"pip install 'cyclical-lr[{package}]'" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")


ROLES = {
    "__init__",
    "checkpoint",
    "evaluate",
    "finder",
    "foreign",
    "moments",
    "ops",
    "optimizer",
    "param_groups",
    "record",
    "restore",
    "schedule",
    "state",
}
# The roles that an adapter lacks, and the files that it alone has, each with the reason.
LACKS = {
    "clr_torch": {"optimizer": "torch's optimizers need no wrapper: the scheduler writes to them"},
    "clr_keras": {
        "param_groups": "a Keras optimizer has no groups",
        "state": "the state of a schedule is the optimizer's `iterations`, which Keras saves",
    },
    "clr_jax": {
        "foreign": "there is no older JAX implementation to come from",
        "param_groups": "optax states are trees, which `state` walks",
        "restore": "a training state in JAX is a value: nothing has to be put back",
    },
}
ALONE = {
    "clr_torch": {
        "_lookahead": "a step of torch's scheduler is a look-up",
        "_schedulers": "torch has a dozen other schedulers, whose states name no class",
        "_tensors": "a pickle says where the numbers of a tensor are",
        "_uncompiled": "to import it takes a second, so only a compiled update does",
        "_unpickler": "torch's files are pickles, which run what they name",
        "updates": "Keras and optax count updates themselves",
    },
    "clr_keras": {
        "_keras_internals": "Keras offers no other way to cycle a momentum",
        "_torch_backend": "eager torch computes one step faster in plain Python",
    },
    "clr_jax": {},
}


@pytest.mark.parametrize("package", LACKS)
def test_one_role_one_file_name_in_each_adapter(package):
    names = {path.stem for path in (ROOT / package).iterdir() if path.suffix in ("", ".py")}
    names -= {"__pycache__"}
    assert names == ROLES - set(LACKS[package]) | set(ALONE[package])
    assert (ROOT / package / "py.typed").exists()
