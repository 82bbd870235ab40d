"""A custom `scale_fn`: how it is saved, and how a different one is noticed."""

import functools
import json
import math

import pytest
import torch

from clr_torch import CyclicLR
from integration.torch import training
from integration.torch.training import after, run


def halves(x):
    return 0.5 ** (x - 1)


class Halves:
    __slots__ = ()

    def __call__(self, x):
        return halves(x)

    def method(self, x):
        return halves(x)


CALLABLES = {
    "function": (halves, f"{__name__}.halves"),
    "lambda": (lambda x: halves(x), f"{__name__}.<lambda>"),
    "object": (Halves(), f"{__name__}.Halves"),
    "method": (Halves().method, f"{__name__}.Halves.method"),
    "class": (float, "builtins.float"),
    "builtin": (math.exp, "math.exp"),
    "builtin method": ([1.0, 0.5, 0.25].__getitem__, "None.list.__getitem__"),
    "partial": (functools.partial(math.pow, 0.5), "functools.partial"),
    "cached": (functools.lru_cache(halves), f"{__name__}.halves"),
    "module": (torch.nn.Identity(), "torch.nn.modules.linear.Identity"),
}


def make(scale_fn=None, steps=0):
    return after(CyclicLR(training.make(), 0.125, 0.5, 1, scale_fn=scale_fn), steps)


@pytest.mark.parametrize(("scale_fn", "name"), CALLABLES.values(), ids=CALLABLES)
def test_a_callable_is_noted_by_its_name(scale_fn, name):
    scheduler = make(scale_fn, steps=2)
    state = scheduler.state_dict()
    assert state["schedules"][0]["scale_fn"] == {"callable": name}
    assert json.loads(json.dumps(state)) == state
    again = make(scale_fn)
    again.load_state_dict(state)
    assert again.get_last_lr() == scheduler.get_last_lr()


def test_another_or_none_is_refused():
    # Torch's own class silently keeps the one that it was made with.
    noted = f"scale_fn={{'callable': '{__name__}.halves'}} in place of "
    for other in (None, "0.5 ** (x - 1)", math.exp):
        with pytest.raises(ValueError, match="same parameters") as caught:
            make(other).load_state_dict(make(halves).state_dict())
        assert noted in str(caught.value)
    with pytest.raises(ValueError, match="same parameters") as caught:
        make(halves).load_state_dict(make().state_dict())
    assert "scale_fn=None in place of {'callable': " in str(caught.value)


def test_loading_does_not_touch_the_callable():
    class Decay:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, x):
            return self.factor**x

    decay = Decay(0.5)
    make(decay).load_state_dict(make(Decay(0.25)).state_dict())
    assert vars(decay) == {"factor": 0.5}


def test_an_expression_is_saved_and_gives_the_callables_rates():
    texts, calls = make("0.5 ** (x - 1)"), make(halves)
    assert texts.state_dict()["schedules"][0]["scale_fn"] == "0.5 ** (x - 1.0)"
    assert run(texts, 6) == run(calls, 6)


def test_a_callable_is_given_python_ints():
    seen = []

    def note(x):
        seen.append(x)
        return 1.0

    make(note, steps=2)
    assert {type(x) for x in seen} == {int}
    assert set(seen) == {1, 2}  # Cycles count from 1, as in torch.
