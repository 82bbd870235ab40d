"""`torch_velocity`: Keras's form of the velocity and torch's."""

import numpy as np
import pytest

from clr_core import CyclicSchedule
from integration.keras.cycled import (
    BACKEND,
    GRADIENTS,
    SCHEDULE,
    START,
    UPDATES,
    expected,
    fit,
    model,
    momenta,
    optimizer,
    rates,
)

CLOSE = {"rtol": 0, "atol": UPDATES * 2.0**-24}  # Half a float32 ulp below 2 for each update.


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_two_forms_are_the_same_where_it_does_not(nesterov):
    constant = CyclicSchedule.from_dict(SCHEDULE.to_dict() | {"base_lr": 0.006})
    keras_form, torch_form = (
        fit(model(optimizer("SGD", constant, torch_velocity=each, nesterov=nesterov)))
        for each in (False, True)
    )
    np.testing.assert_allclose(keras_form, torch_form, **CLOSE)


@pytest.mark.skipif(BACKEND != "torch", reason="torch.optim.SGD itself, on that backend")
@pytest.mark.parametrize("nesterov", [False, True])
def test_torchs_form_gives_the_weights_of_torch(nesterov):
    import torch

    weight = torch.tensor(START, requires_grad=True)
    theirs = torch.optim.SGD([weight], lr=1.0, momentum=0.5, nesterov=nesterov)
    for gradient, rate, momentum in zip(GRADIENTS, rates(), momenta(), strict=True):
        theirs.param_groups[0].update(lr=float(rate), momentum=float(momentum))
        weight.grad = torch.tensor(gradient)
        theirs.step()
    ours = fit(model(optimizer("SGD", torch_velocity=True, nesterov=nesterov)))
    np.testing.assert_allclose(ours, weight.detach().numpy(), **CLOSE)


def test_the_reference_tells_the_forms_apart():
    assert abs(expected("SGD") - expected("SGD-torch")).max() > 0.01
