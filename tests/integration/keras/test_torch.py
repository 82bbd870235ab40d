"""Features of torch alone: `torch.compile`, and steps over whole lists."""

import keras
import numpy as np
import pytest
import torch

from clr_core import CyclicSchedule
from clr_keras import CyclicLR
from integration.keras.cycled import (
    CLOSE,
    GRADIENTS,
    START,
    VARIANTS,
    expected,
    fit,
    model,
    optimizer,
)
from integration.keras.rates import BAND, SCHEDULES, UPDATES, assert_same, at


def compiled(function, **options):
    """The function, and a list of the graphs that are made of it."""
    graphs = []

    def counted(graph, inputs):
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    return torch.compile(function, backend=counted, **options), graphs


def by_function(x):
    return 1.0 / x


ALL = SCHEDULES | {"by_function": CyclicSchedule(**BAND, scale_fn=by_function)}


@pytest.mark.parametrize("accumulation", [1, 3], ids=["each", "of_3"])
@pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
def test_compiles_to_one_graph_for_all_steps(schedule, accumulation):
    step = keras.Variable(0, dtype="int", trainable=False)
    rate = CyclicLR(schedule, accumulation)
    compiled_rate, graphs = compiled(lambda: rate(step), fullgraph=True)
    given = []
    for number in range(UPDATES):
        step.assign(number)
        given.append(compiled_rate().numpy())
    assert len(graphs) == 1
    assert_same(given, at(schedule, np.arange(UPDATES) // accumulation))


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_step_is_taken_weight_by_weight(variant, monkeypatch):
    made = optimizer(variant)

    def slow(*arguments):
        raise AssertionError("update_step was called")

    monkeypatch.setattr(type(made), "update_step", slow)
    pair = [keras.Variable(START), keras.Variable(np.ones((2, 3), "float32"))]
    for gradient in GRADIENTS:
        made.apply([keras.ops.convert_to_tensor(gradient), keras.ops.ones((2, 3))], pair)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(pair[0]), expected(variant), **CLOSE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_step_is_compiled_again(variant):
    made, weight = optimizer(variant), keras.Variable(START)
    made.build([weight])
    step, graphs = compiled(lambda gradient: made.apply([gradient], [weight]))
    after = []
    for gradient in GRADIENTS:
        step(torch.tensor(gradient))
        after.append(len(graphs))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected(variant), **CLOSE)
    assert after[0] > 0
    assert after[2:] == after[2:3] * (len(GRADIENTS) - 2)
    if variant.startswith("SGD"):  # A step of ours, which asks for no number in between.
        assert len([each for each in graphs if "_foreach" in each.code]) == 1


@pytest.mark.parametrize("variant", ["SGD", "Adam", "RMSprop"])
def test_fit_with_jit_compile(variant):
    """For the three ways to take a step; the compiler needs some 10 s each."""
    torch.compiler.reset()
    trained = model(optimizer(variant), jit_compile=True)
    np.testing.assert_allclose(fit(trained), expected(variant), **CLOSE)
