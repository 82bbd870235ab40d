"""Mixed precision: `GradScaler` skips an update whose gradients overflowed.

A scheduler can't see that. The loop can: the scale drops then, and only then.
"""

import warnings

import pytest
import torch

import oracle
from clr_torch import CyclicLR

CYCLE = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 3, "step_size_down": 4.5}
CYCLE |= {"mode": "triangular2"}
DICT = {"kind": "cyclic", "scale_fn": None, "max_momentum": None} | CYCLE
BATCHES = 16
# These include the first, two in a row, and the first after the scale has grown.
OVERFLOWS = [set(), {0}, {0, 1, 7}, {4, 5, 6}, {15}]


class Training:
    """A weight whose gradient is -1, or infinite in batches that overflow."""

    def __init__(self, enabled=True, **arguments):
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.optimizer = torch.optim.SGD([self.weight], lr=0.1, **arguments)
        self.scheduler = CyclicLR(self.optimizer, **CYCLE, cycle_momentum=False)
        self.scaler = torch.amp.GradScaler("cpu", growth_interval=3, enabled=enabled)

    def backward(self, overflows):
        self.optimizer.zero_grad()
        loss = self.weight * (-torch.inf if overflows else -1.0)
        self.scaler.scale(loss).backward()

    def update(self):
        """Make an update as documented; return True if it was done."""
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < scale:
            return False
        self.scheduler.step()
        return True


def rate(step):
    return oracle.to_float32(oracle.lr(DICT, step))


def float32(number):
    return torch.tensor(number, dtype=torch.float32).item()


@pytest.mark.parametrize("fused", [False, True], ids=["", "fused"])
@pytest.mark.parametrize("overflows", OVERFLOWS, ids=str)
def test_a_skipped_update_takes_no_step_of_the_curve(overflows, fused):
    training, done = Training(fused=fused), 0
    for batch in range(BATCHES):
        assert float32(training.optimizer.param_groups[0]["lr"]) == rate(done)
        with torch.no_grad():
            training.weight.zero_()  # The update adds the rate that it used.
        training.backward(batch in overflows)
        if training.update():
            assert training.weight.item() == rate(done), batch
            done += 1
        else:
            assert batch in overflows
            assert training.weight.item() == 0.0
    assert training.scheduler.last_epoch == done == BATCHES - len(overflows)


def test_a_disabled_scaler_never_skips():
    # The same loop, with the scaler disabled as scripts do for runs in float32.
    training = Training(enabled=False)
    for batch in range(BATCHES):
        assert float32(training.scheduler.get_last_lr()[0]) == rate(batch)
        training.backward(overflows=False)
        assert training.update()


def test_to_step_with_every_batch_follows_the_batches():
    # The rate of a batch doesn't depend on what was skipped, and part of the curve is never used.
    training = Training()
    used = []
    for batch in range(BATCHES):
        before = training.weight.item()
        training.backward(batch in {4, 5})
        training.scaler.step(training.optimizer)
        training.scaler.update()
        if training.weight.item() != before:
            used.append(float32(training.optimizer.param_groups[0]["lr"]))
        training.scheduler.step()
    assert used == [rate(batch) for batch in range(BATCHES) if batch not in {4, 5}]
    assert training.scheduler.last_epoch == BATCHES


def test_torch_warns_where_the_first_update_is_skipped():
    # With a step for every batch, torch's base class sees the scheduler before the optimizer. The
    # documented loop is silent: in the tests above this warning would be an error.
    training = Training()
    training.backward(overflows=True)
    training.scaler.step(training.optimizer)
    training.scaler.update()
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        training.scheduler.step()


def test_resuming_between_skipped_updates(tmp_path):
    def over(training, batches):
        for batch in batches:
            training.backward(batch in {1, 5, 6})
            training.update()
        return training.weight.item(), training.scaler.get_scale(), training.scheduler.last_epoch

    straight = over(Training(), range(BATCHES))
    parts = ("optimizer", "scheduler", "scaler")
    for stop in range(BATCHES):
        training = Training()
        over(training, range(stop))
        states = {part: getattr(training, part).state_dict() for part in parts}
        torch.save(states | {"weight": training.weight.detach()}, tmp_path / "state.pt")

        states, again = torch.load(tmp_path / "state.pt", weights_only=True), Training()
        with torch.no_grad():
            again.weight.copy_(states["weight"])
        for part in parts:
            getattr(again, part).load_state_dict(states[part])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert over(again, range(stop, BATCHES)) == straight, stop
