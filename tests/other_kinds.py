"""Three kinds of schedules that only the tests know: what is true of them is true of any kind."""

import math
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby

import pytest

import clr_core.schedules
from clr_core import CyclicSchedule, one_cycle, python_ops, schedule_from_dict
from clr_core.evaluate import evaluate
from clr_core.schedules import check_keys

KINDS = {
    "test-cosine": "other_kinds:Cosine",
    "test-mean": "other_kinds:Mean",
    "test-ramp": "other_kinds:Ramp",
}


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from `peak` down to `floor`, and then `floor`."""

    peak: float
    floor: float = 0.0
    steps: int = 100
    start_momentum: float | None = None

    def lr(self, step, ops=None):
        if ops is None:
            if type(step) is not int or step < 0:
                return evaluate(self.lr, step)
            step, ops = float(step), python_ops
        part = ops.minimum(ops.divide(step, float(self.steps)), 1.0)
        wave = 0.5 * (1.0 + ops.cos(math.pi * part))
        return ops.rounded(self.floor * (1.0 - wave)) + ops.rounded(self.peak * wave)

    def momentum(self, step, ops=None):
        if self.start_momentum is None:
            return None
        if ops is None:
            if type(step) is not int or step < 0:
                return evaluate(self.momentum, step)
            step, ops = float(step), python_ops
        return ops.clip(ops.divide(step, 1000.0), self.start_momentum, 0.99)

    def to_dict(self, *, strict=True):
        return {"kind": "test-cosine", **vars(self)}

    @classmethod
    def from_dict(cls, document):
        check_keys("A schedule", document, ("kind", *cls.__match_args__), ("peak",))
        return cls(**{name: value for name, value in document.items() if name != "kind"})

    def turns(self, first, last):
        return iter(sorted({first, min(max(self.steps, first), last), last}))

    def levels(self, of="lr"):
        return {"peak": self.peak, "floor": self.floor} if of == "lr" else {}


@dataclass(frozen=True)
class Mean:
    """The mean of other schedules, of whatever kind."""

    parts: tuple

    def _mean(self, name, step, ops):
        values = [getattr(part, name)(step, ops) for part in self.parts]
        return sum(values) / len(values)

    def lr(self, step, ops=None):
        return self._mean("lr", step, ops)

    def momentum(self, step, ops=None):
        if any(part.momentum(0) is None for part in self.parts):
            return None
        return self._mean("momentum", step, ops)

    def to_dict(self, *, strict=True):
        parts = [part.to_dict(strict=strict) for part in self.parts]
        return {"kind": "test-mean", "parts": parts}

    @classmethod
    def from_dict(cls, document):
        return cls(tuple(map(schedule_from_dict, document["parts"])))

    def turns(self, first, last):
        turns = [part.turns(first, last) for part in self.parts]
        return (step for step, _ in groupby(merge(*turns)))

    def levels(self, of="lr"):
        return {}


@dataclass(frozen=True)
class Ramp:
    """A line, whose document has other keys than fields, and of what is optional the least."""

    ends: tuple
    notes: tuple = field(default_factory=tuple)
    total_steps = 60
    cycle_size = None

    def lr(self, step, ops=None):
        if ops is None:
            if type(step) is not int or step < 0:
                return evaluate(self.lr, step)
            step, ops = float(step), python_ops
        part = ops.minimum(ops.divide(step, 60.0), 1.0)
        return ops.rounded(self.ends[0] * (1.0 - part)) + ops.rounded(self.ends[1] * part)

    def momentum(self, step, ops=None):
        return None

    def to_dict(self, *, strict=True):
        return {"kind": "test-ramp", "from": self.ends[0], "to": self.ends[1]}

    @classmethod
    def from_dict(cls, document):
        check_keys("A schedule", document, ("kind", "from", "to"), ("from", "to"))
        return cls((document["from"], document["to"]))

    def turns(self, first, last):
        return iter(sorted({first, min(max(60, first), last), last}))

    def levels(self, of="lr"):
        return {"lowest": min(self.ends), "highest": max(self.ends)} if of == "lr" else {}


@pytest.fixture
def other_kinds(monkeypatch):
    for name, place in KINDS.items():
        monkeypatch.setitem(clr_core.schedules.KINDS, name, place)


# What adapters are driven with: schedules of kinds that they don't know, and of others.
COSINE = Cosine(peak=0.5, floor=0.1, steps=20, start_momentum=0.5)
CYCLIC = CyclicSchedule(
    base_lr=0.1, max_lr=0.5, step_size_up=7, base_momentum=0.6, max_momentum=0.9
)
NESTED = Mean((COSINE, Mean((CYCLIC,))))
ONE_CYCLE = one_cycle(max_lr=0.5, total_steps=20, base_momentum=0.8, max_momentum=0.9)
DRIVEN = {
    "unknown": COSINE,
    "unknown, nested": NESTED,
    "one cycle": ONE_CYCLE,
    "sequence": ONE_CYCLE.then(CYCLIC, at=11),
}
