"""Cycles that are found without being read: by their names, and by what they compute."""

import ast
import asyncio
import string
from pathlib import Path

import pytest

from clr_cli.migrate import Document, migrate

LOOKS = "looks like a cycle, not read: look here"
DIRECT = "from torch.optim.lr_scheduler import CyclicLR\n"


def _origins(source):
    return [each.origin for each in migrate(source, "train.py")]


HEAD = "import math, torch\nimport numpy as np\nimport tensorflow as tf\nimport jax.numpy as jnp\n"
TRIANGLES = {
    "the paper's": "cycle = np.floor(1 + t / (2 * size))\nx = np.abs(t / size - 2 * cycle + 1)\n"
    "lr = low + (high - low) * np.maximum(0, 1 - x)",
    "math": "c = math.floor(1 + t / (2 * n))\nx = math.fabs(t / n - 2 * c + 1)\n"
    "lr = a + (b - a) * max(0, 1 - x)",
    "int": "c = int(1 + t / (2 * n))\nlr = a + (b - a) * max(0, 1 - abs(t / n - (2 * c - 1)))",
    "TensorFlow": "c = tf.floor(1 + t / (2 * n))\nx = tf.abs(t / n - 2 * c + 1)\n"
    "lr = a + (b - a) * tf.maximum(0., 1 - x)",
    "jax": "lr = a + (b - a) * jnp.minimum(t % (2 * n), 2 * n - t % (2 * n)) / n",
    "a remainder": "x = abs((t / n) % 2 - 1)\nlr = b - (b - a) * x",
    "divmod": "cycle, position = divmod(t, 2 * n)\nlr = a + d * min(position, 2 * n - position)",
    "a condition": "p = t % (2 * n)\nif p < n:\n    lr = a + d * p\nelse:\n    lr = b - d * p",
    "an expression": "p = (t % n) / n\nlr = a + (b - a) * (2 * p if p < 0.5 else 2 * (1 - p))",
    "interp": "lr = np.interp(t % n, [0, n / 2, n], [a, b, a])",
    "sawtooth": "lr = a + (b - a) * scipy.signal.sawtooth(t / n, 0.5)",
    "a list of rates": "lrs = itertools.cycle([low_lr, high_lr])",
    "camel case": "x = abs((t / n) % 2 - 1)\nbaseLR = b - (b - a) * x",
}


@pytest.mark.parametrize("name", TRIANGLES)
def test_a_hand_written_cycle_is_pointed_to(name):
    body = TRIANGLES[name]
    function = "def f(t):\n    " + body.replace("\n", "\n    ")
    method = "class A:\n    def step(self, t):\n        " + body.replace("\n", "\n        ")
    for source in (body, function, method):
        assert LOOKS in _origins(HEAD + source), source


LAMBDAS = {
    "LambdaLR": "LambdaLR(optimizer, lambda t: 1 - abs(t % 20 / 10 - 1))",
    "a list": "LambdaLR(optimizer, lr_lambda=[lambda t: min(t % 9, 9 - t % 9)] * 2)",
    "a name": "lr_lambda = lambda t: max(0, 1 - abs(t / n - 2 * math.floor(1 + t / (2 * n)) + 1))",
    "Keras": "LearningRateScheduler(lambda epoch: 0.1 * abs((epoch % 10) - 5))",
    "a function of no name": "def f(t):\n    return 1 - abs(t % 20 / 10 - 1)\nLambdaLR(o, f)",
    "optax": "def f(t):\n    return jnp.abs(t % 20 - 10)\noptax.sgd(learning_rate=f)",
    "a class": "class CyclicLearningRate(Callback):\n    pass",
    "a function": "def cyclical_lr(size, low, high):\n    return make(size, low, high)",
    "of this name": "from mine import CyclicLR\ns = CyclicLR(o, base_lr=1, max_lr=2)",
    "another package": "s = LinearCyclicalScheduler(optimizer, 'lr', 0.1, 0.5, 100)",
    "braintools": "import braintools\ns = braintools.optim.CyclicLR(1e-3, 1e-2)",
    "paddle": "import paddle\ns = paddle.optimizer.lr.CyclicLR(1e-3, 1e-2, 4)",
    "fastai": "learn.fit(0.1, 3, use_clr=(10, 5))",
}


@pytest.mark.parametrize("name", LAMBDAS)
def test_a_cycle_by_another_name_is_pointed_to(name):
    found = migrate(HEAD + LAMBDAS[name], "train.py")
    assert found
    assert all(each.line > 4 and each.record is None for each in found)


NAMES = {
    "getattr": "import torch\ns = getattr(torch.optim.lr_scheduler, 'CyclicLR')(o, 1, 2)",
    "getattr, a variable": "from torch.optim import lr_scheduler as l\ns = getattr(l, name)(o)",
    "vars": "import torch.optim.lr_scheduler as l\ns = vars(l)[name](o)",
    "__dict__": "import torch\ns = torch.optim.lr_scheduler.__dict__[name](o)",
    "import_module": "m = importlib.import_module('torch.optim.lr_scheduler')\ngetattr(m, name)",
    "hydra": "cfg = {'_target_': 'torch.optim.lr_scheduler.CyclicLR', 'base_lr': 1}",
    "hydra, a class": "class C:\n    _target_: str = 'torch.optim.lr_scheduler.CyclicLR'",
    "a path in parts": "s = locate(f'torch.optim.lr_scheduler.{name}')(o)",
    "skorch": "callbacks = [LRScheduler(policy='CyclicLR', base_lr=1)]",
    "mmcv": "lr_config = dict(policy='cyclic', target_ratio=(10, 1e-4))",
    "Keras": "config = {'class_name': 'Addons>TriangularCyclicalLearningRate', 'config': {}}",
    "an entry": "schedules = {'a': 'StepLR', 'b': 'CyclicLR'}",
    "a comparison": "if args.scheduler == 'CyclicLR':\n    s = make(o)",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_built_by_name_is_pointed_to(name):
    found = migrate(NAMES[name], "train.py")
    assert len(found) == 1
    assert found[0].origin.endswith("by name, not read: look here")


def test_a_comparison_beside_a_call_is_no_finding():
    source = f"{DIRECT}if name == 'CyclicLR':\n    s = CyclicLR(o, 1, 2)"
    assert _origins(source) == ["torch.optim.lr_scheduler.CyclicLR"]


CONFIGURATIONS = {
    "a.yaml": "# CyclicLR\nscheduler:\n  _target_: torch.optim.lr_scheduler.CyclicLR\n",
    "b.yml": "\n\nscheduler: !new:speechbrain.nnet.schedulers.CyclicLRScheduler\n",
    "c.json": '{"config":\n {},\n "class_name": "Addons>Triangular2CyclicalLearningRate"}\n',
    "d.toml": "[scheduler]\n\npolicy = 'cyclic'\n",
    "e.ini": "[lr]\n\nmode = triangular2\n",
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_is_pointed_to(tmp_path, name):
    path = tmp_path / name
    path.write_text(CONFIGURATIONS[name])
    (finding,) = Document(str(path), None).findings
    assert (finding.line, finding.cell, finding.edits) == (3, None, ())


ORDINARY = {
    "step decay": "def f(epoch):\n    lr = 0.1 * 0.5 ** (epoch // 30)\n    return max(lr, 1e-5)",
    "a log": "for i in range(9):\n    if i % 10 == 0:\n        print(lr, max(losses))",
    "a format": "print('lr %s' % max(lr, 1))",
    "warm-up": "def lr_lambda(t):\n    return min(1, t / warm)",
    "cosine": "lr = 0.5 * (1 + math.cos(math.pi * t / total))",
    "a remainder of something else": "def f(t):\n    return abs(t % 7 - 3)",
    "a clipped index": "def f(rates, i):\n    return rates[min(i, len(rates) - 1)]",
    "a cache": "from functools import lru_cache\n@lru_cache\ndef f(t):\n    return min(t % 9, 3)",
    "ours": "import clr_jax\nlr = clr_jax.cyclic_lr(schedule)",
    "ours for torch": "from clr_torch import CyclicLR\ns = CyclicLR(o, 1, 2)",
}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_rate_is_no_finding(name):
    assert migrate(ORDINARY[name], "train.py") == []


def test_python_without_schedules_has_no_findings():
    folder = Path(asyncio.__file__).parent
    paths = [*folder.glob("*.py"), Path(ast.__file__), Path(string.__file__)]
    assert len(paths) > 20
    for path in paths:
        assert migrate(path.read_text(), str(path)) == []
