"""A training resumes bit for bit, in whatever order its parts are loaded."""

import warnings

import pytest
import torch

from integration.torch.go_on import OPTIMIZERS, UPDATES, Training, optimizer_first, resumed


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bit_for_bit(tmp_path, name):
    straight = Training(name).make().run(0, UPDATES).bits()
    begun = Training(name).make()
    for update in range(0, UPDATES, 3):  # At 3, a momentum is 0.
        path = tmp_path / f"{name}-{update}.pt"
        begun.run(max(update - 3, 0), update).save(path)
        for order, bits in resumed(path):
            assert bits == straight, (order, update)


def test_back_to_an_earlier_step(tmp_path):
    training = Training("sgd").make().run(0, 4)
    training.save(tmp_path / "sgd-4.pt")
    bits = training.run(4, UPDATES).bits()
    for part, state in torch.load(tmp_path / "sgd-4.pt", weights_only=True).items():
        getattr(training, part).load_state_dict(state)
    assert training.run(4, UPDATES).bits() == bits


def test_no_warning_about_the_order_of_steps(tmp_path):
    # Torch's base class counts steps to detect calls in the wrong order.
    Training("sgd").make().run(0, 4).save(tmp_path / "sgd-4.pt")
    training = Training("sgd")
    optimizer_first(training, torch.load(tmp_path / "sgd-4.pt", weights_only=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.run(4, UPDATES)
    assert not caught
    assert training.scheduler._step_count == UPDATES + 1
