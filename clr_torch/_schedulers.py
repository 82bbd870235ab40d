"""Read the states of torch's and transformers' schedulers that are made of phases."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from torch.optim import Optimizer, lr_scheduler

from clr_core import Schedule
from clr_core.adapter import integer, number, one_line, received
from clr_core.schedules import originals
from clr_torch._unpickler import mapping
from clr_torch.state import Saved, check_bounded, count, per_group, plain, rates

BASE = {
    *("base_lrs", "last_epoch", "verbose", "_step_count", "_last_lr", "optimizer"),
    *("_get_lr_called_within_step", "_is_initial"),
}
"""What torch's base class has in a state, in any version, and the optimizer."""

MADE_BY: dict[type, tuple[Callable[..., Schedule], tuple[str, ...]]] = {
    lr_scheduler.CosineAnnealingLR: (originals.torch_cosine_annealing, ("T_max", "eta_min")),
    lr_scheduler.CosineAnnealingWarmRestarts: (
        originals.torch_warm_restarts,
        ("T_0", "T_mult", "eta_min"),
    ),
    lr_scheduler.LinearLR: (originals.torch_linear, ("start_factor", "end_factor", "total_iters")),
    lr_scheduler.ConstantLR: (originals.torch_constant, ("factor", "total_iters")),
}
"""The classes whose schedule follows from a rate and these values in the state."""

KEYS: dict[type, set[str]] = {
    lr_scheduler.OneCycleLR: {"total_steps", "_schedule_phases", "cycle_momentum"},
    **{kind: {*names} for kind, (_, names) in MADE_BY.items()},
    lr_scheduler.CosineAnnealingWarmRestarts: {"T_0", "T_i", "T_mult", "eta_min", "T_cur"},
    lr_scheduler.SequentialLR: {"_milestones", "_schedulers"},
    lr_scheduler.LambdaLR: {"lr_lambdas"},
}
"""The classes that are read, and what each has in its state beside."""
OPTIONAL: dict[type, set[str]] = {
    lr_scheduler.OneCycleLR: {"use_beta1", "_anneal_func_type", "anneal_func"},
}
NAMES = ", ".join(each.__name__ for each in KEYS)

LAMBDAS: dict[str, Callable[..., Schedule]] = {
    "_get_linear_schedule_with_warmup_lr_lambda": originals.transformers_linear,
    "_get_cosine_schedule_with_warmup_lr_lambda": originals.transformers_cosine,
    "_get_wsd_scheduler_lambda": originals.transformers_wsd,
}
"""The functions of transformers whose arguments are read."""

OF_A_FUNCTION = (
    ". A LambdaLR is read if transformers made its functions, and from the scheduler itself, as "
    "its state has no functions. Otherwise, write the schedule out: clr_core.Record(schedule, step)"
)
OTHER_RATE = (
    "Something else has set it, or the optimizer had another rate when the scheduler was made."
)
BY_HAND = "Make the record of its arguments: clr_core.Record(schedule, step)"


class Read(NamedTuple):
    """The curve that follows from a state."""

    schedules: list[Schedule]
    ends: tuple[str, float] | None = None
    """The name of a curve that comes back up at its end, and its steps."""
    beyond: bool = False
    """True after the last step of torch's one cycle, which goes beyond its end there."""


def attributes(scheduler: Any) -> dict[str, Any]:
    """The attributes of a scheduler that are read, and its optimizer; all if it isn't read."""
    known = next((each for each in KEYS if isinstance(scheduler, each)), None)
    if known is None:
        return dict(vars(scheduler))
    for name in ("get_lr", "step"):
        if getattr(type(scheduler), name) is not getattr(known, name):
            raise ValueError(
                f"`source` must have the `{name}` of torch's {known.__name__}. "
                f"Received: a {type(scheduler).__name__}, which has its own. {BY_HAND}"
            )
    wanted = BASE | KEYS[known] | OPTIONAL.get(known, set())
    return {name: value for name, value in vars(scheduler).items() if name in wanted}


def kind_of(state: Mapping[str, Any]) -> type | None:
    """The class that wrote a state, if it is read; a state with other keys isn't."""
    keys = set(state)
    for kind, needed in KEYS.items():
        if needed <= keys and keys <= needed | BASE | OPTIONAL.get(kind, set()):
            # Of other functions, nothing can be read.
            readable = kind is not lr_scheduler.LambdaLR or _of_transformers(state)
            # Torch's own don't work inside one another.
            members = _members(state) if kind is lr_scheduler.SequentialLR else []
            inner = all("_schedulers" not in each and kind_of(each) for each in members)
            return kind if readable and inner else None
    return None


def _members(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = state["_schedulers"]
    return [mapping(each) or {} for each in (found if isinstance(found, list | tuple) else ())]


def read(
    state: Mapping[str, Any], optimizers: Sequence[Any]
) -> tuple[Saved, tuple[str, float] | None]:
    """What a state says; and if its curve comes back up, its name and the steps until then.

    The state may belong to any of these optimizers, or of their states.
    """
    check_bounded(state)
    found = _read(state, optimizers, None)
    last_epoch = count(state, "last_epoch", -1)
    last_lr, eps = rates(state, len(found.schedules))
    if any(hasattr(each, "dtype") for each in state["_last_lr"]):
        # A rate that is a tensor is rounded at each step in the classes that go by the last one.
        eps = min(eps * (1.0 + last_epoch), 1e-3)
    return (
        Saved(
            [each.to_dict() for each in found.schedules],
            last_epoch,
            last_epoch + 1,
            last_lr,
            eps,
            applied=not found.beyond,
            hint=OTHER_RATE,
        ),
        found.ends,
    )


def _read(state: Mapping[str, Any], optimizers: Sequence[Any], span: int | None) -> Read:
    """The schedules of a state; of one that is used for `span` steps; None: for ever."""
    kind = kind_of(state)
    if kind is None:
        raise ValueError(
            f"A scheduler must be one of torch's {NAMES} to be read. "
            f"Received the keys: {', '.join(map(str, list(state)[:20]))}"
        )
    if kind is lr_scheduler.SequentialLR:
        return _sequential(state, optimizers)
    lrs = [number("base_lrs", each) for each in per_group(state, "base_lrs")]
    last_epoch = max(count(state, "last_epoch", -1), 0)
    if kind is lr_scheduler.OneCycleLR:
        total = number("total_steps", plain("total_steps", state["total_steps"]))
        return Read(_one_cycle(state, lrs, optimizers), beyond=last_epoch >= total)
    if kind is lr_scheduler.LambdaLR:
        return _lambdas(state, lrs, max(last_epoch, span or 0), span)
    make, names = MADE_BY[kind]
    arguments = {name: plain(name, state[name]) for name in names}
    if kind is lr_scheduler.CosineAnnealingWarmRestarts:
        _check_position(state, last_epoch)
    schedules = [make(lr, **arguments) for lr in lrs]
    if kind is lr_scheduler.CosineAnnealingLR:
        steps = number("T_max", arguments["T_max"])
        return _held(schedules, "torch's CosineAnnealingLR", steps, last_epoch, span)
    return Read(schedules)


def _held(
    schedules: Sequence[Schedule], name: str, steps: float, last_epoch: int, span: int | None
) -> Read:
    """A cosine that comes back up after so many steps, which the schedules hold."""
    if max(last_epoch, span or 0) > steps:
        used = f"it is at step {last_epoch}" if last_epoch > steps else f"it is used for {span}"
        raise ValueError(
            f"{name} must be used for at most {steps:g} steps to be read, since then it comes back "
            f"up. Received: {used}. To come back up: PiecewiseSchedule([down, up], repeat=True), "
            "of two phases"
        )
    return Read([*schedules], (name, steps) if span is None else None)


def _sequential(state: Mapping[str, Any], optimizers: Sequence[Any]) -> Read:
    members, milestones = _members(state), plain("_milestones", state["_milestones"])
    if not isinstance(milestones, list):
        raise ValueError(
            f"`state_dict` must have a list in '_milestones'. {received('_milestones', milestones)}"
        )
    starts = [0, *(integer("milestone", each) for each in milestones)]
    spans = [after - before for before, after in pairwise(starts)]
    if len(starts) != len(members) or min(spans, default=1) <= 0:
        raise ValueError(
            "`milestones` must ascend, with one for each scheduler but the first. "
            f"{received('_milestones', milestones)}"
        )
    last_epoch = count(state, "last_epoch", -1)
    found = [
        _read(each, optimizers, span) for each, span in zip(members, [*spans, None], strict=True)
    ]
    active = bisect_right(starts, last_epoch) - 1
    at = count(members[active], "last_epoch", -1)
    if at != last_epoch - starts[active]:
        raise ValueError(
            f"The scheduler that is in turn must be at step {last_epoch - starts[active]}, counted "
            f"from its milestone. {received('last_epoch', at)}. {BY_HAND}"
        )
    if len({len(each.schedules) for each in found}) > 1:
        raise ValueError("All schedulers must have the same number of parameter groups.")
    try:
        joined = [
            originals.joined(each, starts[1:])
            for each in zip(*(each.schedules for each in found), strict=True)
        ]
    except ValueError as error:
        raise ValueError(f"The schedulers can't follow one another: {one_line(error)}") from None
    return Read(joined, found[-1].ends, found[active].beyond)


def _one_cycle(
    state: Mapping[str, Any], lrs: Sequence[float], optimizers: Sequence[Any]
) -> list[Schedule]:
    phases = plain("_schedule_phases", state["_schedule_phases"])
    cycled = plain("cycle_momentum", state["cycle_momentum"])
    try:
        ends = [number("end_step", each["end_step"]) for each in phases]
        names = [
            [phases[0][f"start_{of}"], *(each[f"end_{of}"] for each in phases)]
            for of in (("lr", "momentum") if cycled else ("lr",))
        ]
    except (IndexError, KeyError, TypeError):
        raise ValueError(
            "`state_dict` must have phases in '_schedule_phases'. "
            f"{received('_schedule_phases', phases)}"
        ) from None
    needed = {"initial_lr", *(name for each in names for name in each)}
    matching = [
        [{name: number(name, plain(name, group[name])) for name in needed} for group in each]
        for each in map(_groups, optimizers)
        if len(each) == len(lrs) and all(needed <= set(group) for group in each)
    ]
    matching = [each for each in matching if [group["initial_lr"] for group in each] == [*lrs]]
    if not matching or any(each != matching[0] for each in matching):
        raise ValueError(
            "The rates of torch's OneCycleLR are in the groups of its optimizer, under "
            f"{', '.join(map(repr, sorted(needed)))}, and not in its state. "
            f"Received: {len(matching) or 'no'} optimizers with 'initial_lr' {[*lrs]!r:.100}. "
            "Pass the optimizer or its state dict: optimizer=…"
        )
    function = state.get("_anneal_func_type", state.get("anneal_func"))
    strategy = getattr(function, "__name__", getattr(function, "name", function))
    schedules: list[Schedule] = []
    for group in matching[0]:
        values = [[group[name] for name in each] for each in names]
        schedules.append(
            originals.torch_phases(
                ends,
                values[0],
                values[1] if cycled else None,
                str(strategy).rpartition("_annealing_")[2],
            )
        )
    return schedules


def _groups(optimizer: Any) -> Sequence[Mapping[str, Any]]:
    """The parameter groups of an optimizer, of its state, or of what stands for it in a file."""
    if isinstance(optimizer, Optimizer):
        return optimizer.param_groups
    groups = (mapping(optimizer) or {}).get("param_groups") or ()
    return [each for each in groups if isinstance(each, Mapping)]


def _check_position(state: Mapping[str, Any], last_epoch: int) -> None:
    """Raise a ValueError unless warm restarts are where `step()` alone leads."""
    at, now, size, growth = (plain(name, state[name]) for name in ("T_cur", "T_i", "T_0", "T_mult"))
    size, growth = integer("T_0", size), integer("T_mult", growth)
    if size < 1 or growth < 1:
        raise ValueError(
            f"`T_0` and `T_mult` must be at least 1. {received('T_0', size, T_mult=growth)}"
        )
    position = last_epoch % size if growth == 1 else last_epoch
    while growth > 1 and position >= size:
        position, size = position - size, size * growth
    if (at, now) != (position, size):
        raise ValueError(
            f"`T_cur` must be {position} of {size} at step {last_epoch}: a call of `step(epoch)`, "
            "or a start at another `last_epoch`, has moved these restarts away from the count of "
            f"steps. {received('T_cur', at, T_i=now)}. Take another schedule from here on, or "
            "another step: clr_core.Record(clr_core.warm_restarts(…), step)"
        )


def _of_transformers(state: Mapping[str, Any]) -> bool:
    functions = state["lr_lambdas"]
    return isinstance(functions, list | tuple) and all(
        isinstance(each, partial) and str(each.func.__module__).startswith("transformers.")
        for each in functions
    )


def _lambdas(state: Mapping[str, Any], lrs: Sequence[float], used: int, span: int | None) -> Read:
    schedules: list[Schedule] = []
    ends = None
    for lr, each in zip(lrs, state["lr_lambdas"], strict=True):
        name = each.func.__name__
        if name not in LAMBDAS or each.args:
            raise ValueError(
                "A function of transformers must be one of its linear, cosine and WSD schedules to "
                f"be read. {received('lr_lambda', name)}. {BY_HAND}"
            )
        try:
            schedules.append(LAMBDAS[name](lr, **each.keywords))
        except TypeError as error:
            raise ValueError(f"{name} has other arguments: {one_line(error)}. {BY_HAND}") from None
        if LAMBDAS[name] is originals.transformers_cosine:
            total = number("num_training_steps", each.keywords["num_training_steps"])
            ends = _held([], "transformers' cosine", total, used, span).ends
    return Read(schedules, ends)
