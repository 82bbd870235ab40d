"""A drop-in for torch's class: the same base class, parameters and defaults."""

from inspect import Parameter, signature

import pytest
from torch.optim.lr_scheduler import CyclicLR as Torchs
from torch.optim.lr_scheduler import LRScheduler

from clr_torch import CyclicLR
from integration.torch.training import make


def test_is_a_scheduler_of_torchs():
    assert issubclass(CyclicLR, LRScheduler)


def test_has_torchs_parameters_in_its_order_with_its_defaults():
    ours, torchs = signature(CyclicLR).parameters, signature(Torchs).parameters
    assert [(name, each.default) for name, each in ours.items()][:13] == [
        # Deprecated since torch 2.2, and gone in 2.8.
        (name, each.default)
        for name, each in torchs.items()
        if name != "verbose"
    ]
    kinds = [each.kind for each in ours.values()]
    assert kinds == [Parameter.POSITIONAL_OR_KEYWORD] * 13 + [Parameter.KEYWORD_ONLY] * 2


def test_takes_all_thirteen_by_position():
    arguments = (0.1, 0.5, 2, 6, "exp_range", 0.5, None, "cycle", True, 0.7, 0.8, 0)
    ours, torchs = make(), make()
    Torchs(torchs, 0.1, 0.5)  # `last_epoch=0` needs the `initial_lr` that this sets.
    scheduler, reference = CyclicLR(ours, *arguments), Torchs(torchs, *arguments)
    for _ in range(9):
        # Up to the last float64 bits; test_beside_torch.py compares the float32 ones.
        assert scheduler.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-15)
        expected = pytest.approx(torchs.param_groups[0]["momentum"], rel=1e-15)
        assert ours.param_groups[0]["momentum"] == expected
        for each in (ours, torchs, scheduler, reference):
            each.step()


def test_starts_at_base_lr_and_max_momentum():
    optimizer = make()
    scheduler = CyclicLR(optimizer, 0.1, 0.5)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"], group["initial_lr"]) == (0.1, 0.9, 0.1)
    assert (scheduler.last_epoch, scheduler.base_lrs) == (0, [0.1])
