"""The optimizers on the torch backend: steps over whole lists, and `torch.compile`."""

import keras
import numpy as np
import pytest

from integration.keras.cycled import (
    BACKEND,
    GRADIENTS,
    START,
    UPDATES,
    VARIANTS,
    expected,
    fit,
    model,
    optimizer,
)

pytestmark = pytest.mark.skipif(BACKEND != "torch", reason="the torch backend's own")
CLOSE = {"rtol": 0, "atol": UPDATES * 2.0**-24}


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
def test_torch_compile_retraces_no_step(variant):
    import torch

    graphs = []

    def counted(graph, inputs):
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    made, weight = optimizer(variant), keras.Variable(START)
    made.build([weight])
    compiled = torch.compile(lambda gradient: made.apply([gradient], [weight]), backend=counted)
    after = []
    for gradient in GRADIENTS:
        compiled(torch.tensor(gradient))
        after.append(len(graphs))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected(variant), **CLOSE)
    assert after[0] > 0
    assert after[2:] == after[2:3] * (UPDATES - 2)
    if variant.startswith("SGD"):  # A step of ours, which asks for no number in between.
        assert len([each for each in graphs if "_foreach" in each.code]) == 1


@pytest.mark.parametrize("variant", ["SGD", "Adam", "RMSprop"])
def test_fit_with_jit_compile(variant):
    """For the three ways to take a step; the compiler needs some 10 s each."""
    import torch

    torch.compiler.reset()
    trained = model(optimizer(variant), jit_compile=True)
    np.testing.assert_allclose(fit(trained), expected(variant), **CLOSE)
