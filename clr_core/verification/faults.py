"""The faults that the log of a run can show, each with its numbers.

`str(fault)` says it in words, as `verify` does; `fault.to_dict()` is plain data.

    >>> fault = Speed(k=4, direction="fast", k_between=(4, 4))
    >>> fault.name, fault.factor
    ('speed', 4)

`since` is always the first logged step that shows the fault; None: the fault was there from the
start. A range such as `n_between` contains every integer that fits the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal


class Fault:
    """One of the classes below."""

    name: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """The fault's name and numbers as plain data, for JSON.

        >>> Shift(n=-1, n_between=(-1, -1)).to_dict()
        {'name': 'shift', 'n': -1, 'n_between': [-1, -1], 'also': [], 'since': None}
        """
        numbers = asdict(self)  # type: ignore[call-overload]
        return {"name": self.name} | {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in numbers.items()
        }


@dataclass(frozen=True)
class Constant(Fault):
    """The rate stayed where it was.

        >>> str(Constant(rate=0.001, level="base_lr"))
        'kept the rate 0.001 (base_lr) from the start'

    Args:
        rate: The rate.
        level: What the schedule calls this rate, such as "base_lr", if it has a name for it.
        since: The first step that shows it.
    """

    name: ClassVar[str] = "constant"
    rate: float
    level: str | None = None
    since: int | None = None

    def __str__(self) -> str:
        level = f" ({self.level})" if self.level else ""
        return f"kept the rate {self.rate:g}{level}{_from(self.since)}"


@dataclass(frozen=True)
class Scale(Fault):
    """The rates were those of the schedule, multiplied by a factor.

        >>> str(Scale(factor=0.5, since=640))
        "used the schedule's rates times 0.5 from step 640 on"

    Args:
        factor: The factor.
        since: The first step that shows it.
    """

    name: ClassVar[str] = "scale"
    factor: float
    since: int | None = None

    def __str__(self) -> str:
        return f"used the schedule's rates times {self.factor:g}{_from(self.since)}"


@dataclass(frozen=True)
class Shift(Fault):
    """The run was some steps ahead of the schedule or behind it.

        >>> str(Shift(n=-100, n_between=(-103, -98)))
        'was 100 steps behind the schedule (-103 to -98 would look the same) from the start'

    Args:
        n: How many steps ahead; below 0: behind. The roundest number of `n_between`.
        n_between: The range that it lies in, ends included.
        also: At most five shifts outside of that range that fit the log, too.
        since: The first step that shows it.
    """

    name: ClassVar[str] = "shift"
    n: int
    n_between: tuple[int, int]
    also: tuple[int, ...] = ()
    since: int | None = None

    def __str__(self) -> str:
        side = "ahead of" if self.n > 0 else "behind"
        others = _or(self.also, self.n_between)
        text = f"was {_steps(abs(self.n))} {side} the schedule{others}{_from(self.since)}"
        if self.since is None and self.n_between[0] <= -1 <= self.n_between[1]:
            text += ", or the log counts from 1 (`first_step=1`)"
        if self.since is None and self.n_between[0] <= 1 <= self.n_between[1]:
            text += ", or the log gives the rate of the next update (`first_step=-1`)"
        return text


@dataclass(frozen=True)
class Held(Fault):
    """The rate stayed where it was for some steps, and went on from there.

        >>> str(Held(step=300, n=50, n_between=(50, 50)))
        'held the rate of step 300 for 50 steps, and was 50 steps behind from there on'

    Args:
        step: The step whose rate it was.
        n: For how many steps. The roundest number of `n_between`.
        n_between: The range that it lies in, ends included.
    """

    name: ClassVar[str] = "held"
    step: int
    n: int
    n_between: tuple[int, int]

    def __str__(self) -> str:
        return (
            f"held the rate of step {self.step} for {_steps(self.n)}"
            f"{_or((), self.n_between)}, and was {_steps(self.n)} behind from there on"
        )


@dataclass(frozen=True)
class WarmUp(Fault):
    """The rate rose in a ramp of its own before the schedule.

        >>> str(WarmUp(n=100, n_between=(100, 100), behind=100))
        'had a warm-up of 100 steps before the schedule, and was 100 steps behind from there on'

    Args:
        n: The steps of the ramp. The roundest number of `n_between`.
        n_between: The range that it lies in, ends included.
        behind: By how many steps the run was behind the schedule afterwards: `n` if the schedule
            began after the ramp, and 0 if the ramp took the place of its first steps.
    """

    name: ClassVar[str] = "warm-up"
    n: int
    n_between: tuple[int, int]
    behind: int

    def __str__(self) -> str:
        later = f"was {_steps(self.behind)} behind" if self.behind else "followed it"
        return (
            f"had a warm-up of {_steps(self.n)}{_or((), self.n_between)} before the schedule, "
            f"and {later} from there on"
        )


@dataclass(frozen=True)
class Restart(Fault):
    """The count of steps went back to 0.

        >>> str(Restart(step=500, step_between=(500, 500)))
        'started the schedule over at step 500'

    Args:
        step: The step at which it was 0 again, the last of `step_between`.
        step_between: The range that it lies in, ends included.
    """

    name: ClassVar[str] = "restart"
    step: int
    step_between: tuple[int, int]

    def __str__(self) -> str:
        return f"started the schedule over at step {self.step}{_or((), self.step_between)}"


@dataclass(frozen=True)
class Speed(Fault):
    """The count of steps ran k times too fast or too slowly.

    Args:
        k: How many times. The roundest number of `k_between`.
        direction: "fast", as if each of k processes stepped the schedule; or "slow", as if it was
            stepped once per epoch, or once for several logged micro-batches.
        k_between: The range that `k` lies in, ends included.
        also: At most five other numbers that fit the log, too.
        offset: By how many steps the log names its steps too early; below 0: too late.
        since: The first step that shows it.
    """

    name: ClassVar[str] = "speed"
    k: int
    direction: Literal["fast", "slow"]
    k_between: tuple[int, int]
    also: tuple[int, ...] = ()
    offset: int = 0
    since: int | None = None

    @property
    def factor(self) -> float:
        """The steps that the schedule took for each update, k or 1 / k."""
        return self.k if self.direction == "fast" else 1 / self.k

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain data, with the factor."""
        return super().to_dict() | {"factor": self.factor}

    def __str__(self) -> str:
        k = self.k
        # Between lines far apart any wave may have had more cycles; that is far-fetched, if true.
        likely = tuple(other for other in self.also if other < FAR_FETCHED * k)
        when = _from(self.since) + _or(likely, self.k_between)
        if self.direction == "fast":
            text = f"ran {k} times too fast{when}"
            if k <= MANY:
                text += (
                    f": each step counted {k} times, as if each of {k} processes stepped the "
                    f"schedule, or it was stepped for each of {k} micro-batches whose gradients "
                    "are accumulated"
                )
            text += f"; or the log counts epochs (`steps_per_epoch={k}`)"
        else:
            text = (
                f"ran {k} times too slowly{when}: it advanced by one step in {k}, "
                "as if it was stepped once per epoch, or once for several logged micro-batches"
            )
        if self.offset:
            text += f" (the log names its steps {'early' if self.offset > 0 else 'late'} by one)"
        return text


FAR_FETCHED = 8
MANY = 16  # Processes, or batches in an update; an epoch usually has more updates.


@dataclass(frozen=True)
class Float32Formula(Fault):
    """The rates are off by no more than a formula in float32 is, whose errors grow with the step.

    Args:
        largest_error: The largest difference between a logged rate and the schedule's.
        relative_error: The same as a part of the schedule's rate.
        step: The step of that difference.
    """

    name: ClassVar[str] = "float32 formula"
    largest_error: float
    relative_error: float
    step: int

    def __str__(self) -> str:
        return (
            "computed the rate with a formula in float32, whose errors grow with the step "
            f"(here up to {self.relative_error:.2g} of the rate, at step {self.step})"
        )


@dataclass(frozen=True)
class OtherParameters(Fault):
    """A schedule with other parameters was followed.

        >>> str(OtherParameters({"max_lr": 0.009}, since=640))
        'followed a schedule with max_lr=0.009 from step 640 on'

    Args:
        parameters: The arguments that differ, as one writes them.
        since: The first step that shows it.
    """

    name: ClassVar[str] = "other parameters"
    parameters: Mapping[str, float | str] = field(hash=False)
    since: int | None = None

    def __str__(self) -> str:
        listed = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        since = "" if self.since is None else _from(self.since)
        return f"followed a schedule with {listed}{since}"


@dataclass(frozen=True)
class Original(Fault):
    """The rates were those of another library, for the same nominal arguments.

        >>> str(Original("torch's OneCycleLR", "each phase ends a step before yours", {}))
        "has the rates of torch's OneCycleLR: each phase ends a step before yours"

    Args:
        whose: The library and its schedule.
        difference: How it differs from the schedule.
        schedule: The schedule that the run followed, as plain data.
    """

    name: ClassVar[str] = "original"
    whose: str
    difference: str
    schedule: Mapping[str, Any] = field(hash=False)

    def __str__(self) -> str:
        return f"has the rates of {self.whose}: {self.difference}"


def _steps(n: int) -> str:
    return f"{n} step{'s' if n > 1 else ''}"


def _from(since: int | None) -> str:
    return " from the start" if since is None else f" from step {since} on"


def _or(others: tuple[int, ...], bounds: tuple[int, int]) -> str:
    """What else fits the log, in brackets."""
    parts = []
    if bounds[0] < bounds[1]:
        parts.append(f"{bounds[0]} to {bounds[1]}")
    if others:
        parts.append(f"{', '.join(map(str, others))}{' …' if len(others) == 5 else ''}")
    return f" ({' or '.join(parts)} would look the same)" if parts else ""
