"""Each private thing of torch that `clr_torch` needs: a torch without one fails here, by name.

Where a hook must be called, and not only be there, a scheduler of torch's own kind calls it.
"""

import importlib
import sys

import pytest
import torch
from torch.distributed.checkpoint import state_dict as distributed
from torch.optim.lr_scheduler import CyclicLR as Torchs
from torch.optim.lr_scheduler import LRScheduler, SequentialLR

from clr_torch._tensors import BUILDS
from clr_torch.foreign import KEYS, LRS, MOMENTA


class Noting(LRScheduler):
    """Notes what torch calls, and what it has set then."""

    def __init__(self, optimizer):
        self.calls, self.within = [], []
        super().__init__(optimizer)

    def get_lr(self):
        self.within.append(self._get_lr_called_within_step)
        return [0.1]

    def _initial_step(self):
        self.calls.append("initial")
        super()._initial_step()

    def step(self, epoch=None):
        self.calls.append(("step", epoch))
        super().step(epoch)

    if hasattr(LRScheduler, "_update_lr"):

        def _update_lr(self, epoch=None):
            self.calls.append(("update", epoch))
            super()._update_lr(epoch)


def sgd(**options):
    weights = torch.nn.Parameter(torch.ones(2))
    weights.grad = torch.ones(2)
    return torch.optim.SGD([weights], lr=0.1, momentum=0.9, **options)


def noting(steps=1):
    scheduler = Noting(sgd())
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
    return scheduler


def updates(calls):
    """The calls that set a rate: since torch 2.9 `_update_lr` is one of its own."""
    name = "update" if torch.__version__ >= (2, 9) else "step"
    return [call[1] for call in calls if call[0] == name]


def initial_step():
    assert noting(0).calls[:2] == ["initial", ("step", None)]


def initial_step_in_a_sequence():
    one, two = Noting(optimizer := sgd()), Noting(optimizer)
    SequentialLR(optimizer, [one, two], milestones=[1])
    assert [each.calls.count("initial") for each in (one, two)] == [2, 1]


def update_lr():
    assert updates(noting().calls) == [None, None]


def update_lr_in_a_sequence():
    one, two = Noting(optimizer := sgd()), Noting(optimizer)
    sequence = SequentialLR(optimizer, [one, two], milestones=[1])
    optimizer.step()
    sequence.step()
    assert updates(two.calls) == [None, 0]


def step_count():
    assert [noting(steps)._step_count for steps in range(3)] == [1, 2, 3]


def get_lr_called_within_step():
    scheduler = noting()
    scheduler.get_lr()
    assert scheduler.within == [True, True, False]


def last_lr():
    assert noting()._last_lr == [0.1]


def wrapped_by_lr_sched():
    optimizer = sgd()
    assert not hasattr(optimizer.step, "_wrapped_by_lr_sched")
    Noting(optimizer)
    assert optimizer.step._wrapped_by_lr_sched
    wrapped = optimizer.step
    Noting(optimizer)
    assert optimizer.step is wrapped


def opt_called():
    scheduler = noting(0)
    assert not getattr(scheduler.optimizer, "_opt_called", False)
    scheduler.optimizer.step()
    assert scheduler.optimizer._opt_called


def found_inf():
    optimizer = sgd(fused=True)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(torch.ones(1))
    found = []
    optimizer.register_step_post_hook(lambda *_: found.append(optimizer.found_inf.item()))
    scaler.step(optimizer)
    optimizer.param_groups[0]["params"][0].grad.fill_(torch.inf)
    scaler.update()
    scaler.step(optimizer)
    assert found == [0, 1]


def update_of_a_distributed_checkpoint():
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters())
    seen = []

    def note(*_):
        frame, names = sys._getframe(), []
        while frame is not None:
            names.append(frame.f_globals["__name__"])
            frame = frame.f_back
        seen.append(names.index("torch.distributed.checkpoint.state_dict"))
        assert [group["lr"] for group in optimizer.param_groups] == [0.0]

    optimizer.register_step_pre_hook(note)
    distributed.get_optimizer_state_dict(model, optimizer)
    assert [index < 11 for index in seen] == [True]


def dynamo():
    import torch._dynamo

    assert torch._dynamo.__name__ in sys.modules


def callback_of_the_compiler():
    if torch.__version__ >= (2, 8):  # Otherwise each update of `step_with_optimizer` is wrapped.
        assert torch._C._dynamo.eval_frame.get_eval_frame_callback() is None


def parts_of_a_module():
    parts = vars(torch.nn.Linear(1, 1)).keys()
    assert parts >= {"_parameters", "_buffers", "_modules"}


def keys_of_torchs_cyclic_lr():
    state = Torchs(sgd(), 0.1, 0.5).state_dict()
    assert state.keys() >= {*KEYS, *LRS.values(), *MOMENTA.values(), "_scale_fn_custom"}


def keys_of_a_sequence():
    optimizer = sgd()
    sequence = SequentialLR(optimizer, [Noting(optimizer), Noting(optimizer)], milestones=[1])
    assert len(sequence.state_dict()["_schedulers"]) == 2


def names_in_files():
    later = {"_rebuild_device_tensor_from_cpu_tensor"} if torch.__version__ < (2, 6) else set()
    names = [name.rpartition(".") for name in BUILDS if name.startswith("torch.")]
    names.append(("torch.storage", ".", "_load_from_bytes"))
    missing = [
        name for place, _, name in names if not hasattr(importlib.import_module(place), name)
    ]
    assert set(missing) == later


PRIVATE = [
    *(initial_step, initial_step_in_a_sequence, update_lr, update_lr_in_a_sequence, step_count),
    *(get_lr_called_within_step, last_lr, wrapped_by_lr_sched, opt_called, found_inf),
    *(update_of_a_distributed_checkpoint, dynamo, callback_of_the_compiler, parts_of_a_module),
    *(keys_of_torchs_cyclic_lr, keys_of_a_sequence, names_in_files),
]


@pytest.mark.parametrize("look", PRIVATE, ids=lambda look: look.__name__)
def test_torch_has(look):
    look()
