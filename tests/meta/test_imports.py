"""The rules of the house about imports, held in the source and in running processes."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMEWORKS = {"torch", "tensorflow", "keras", "jax", "optax", "flax"}

_spec = importlib.util.spec_from_file_location("imports", Path(__file__).with_name("imports.py"))
imports = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(imports)


def test_every_import_is_allowed():
    assert imports.violations(ROOT) == []


@pytest.mark.parametrize(
    ("path", "line", "name"),
    [
        ("clr_core/schedules/cyclic.py", "import numpy", "numpy"),
        ("clr_core/schedules/_svg.py", "def f():\n    from matplotlib import pyplot", "matplotlib"),
        ("clr_core/numpy_ops.py", "import torch", "torch"),
        ("clr_torch/schedule.py", "import jax.numpy as jnp", "jax"),
        ("clr_jax/schedule.py", "from clr_torch import CyclicLR", "clr_torch"),
        ("clr_jax/ops.py", "import optax", "optax"),
        ("clr_keras/ops.py", "import keras", "keras"),
        ("clr_keras/schedule.py", "import tensorflow as tf", "tensorflow"),
    ],
)
def test_the_rule_can_be_broken(tmp_path, path, line, name):
    for package in imports.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    with (tmp_path / path).open("a") as file:
        file.write(f"\n{line}\n")
    (violation,) = imports.violations(tmp_path)
    assert violation.startswith(path)
    assert violation.endswith(f" imports {name}")


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


@pytest.mark.parametrize(
    ("package", "extra"), [("torch", "torch"), ("keras", "keras"), ("jax", "jax")]
)
def test_a_missing_framework_names_the_extra(package, extra):
    done = _run(HIDE.format(hidden={package}) + f"import clr_{package}")
    assert done.returncode == 1
    assert f"pip install 'cyclical-lr[{extra}]'" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")


@pytest.mark.parametrize("package", ["clr_torch", "clr_keras", "clr_jax"])
def test_the_same_file_names_in_each_adapter(package):
    names = {path.name for path in (ROOT / package).iterdir()}
    assert {"__init__.py", "ops.py", "schedule.py", "py.typed"} <= names
