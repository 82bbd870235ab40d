"""Golden curves, and the check that compares an adapter with them.

    >>> check(lambda schedule, steps: [schedule.lr(step) for step in steps]) > 3000
    True

An oracle in exact rationals, independent of `clr_core`, computed the curves as float32 numbers.
They are the API: changing one is a breaking change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from clr_core._arguments import LARGEST_STEP
from clr_core._float32 import float32 as float32
from clr_core._float32 import same_bits
from clr_core._float32 import ulps_apart as ulps_apart
from clr_core.schedules import schedule_from_dict
from clr_core.schedules.protocol import Schedule

Host = Callable[[Schedule, Sequence[int]], Iterable[float]]
"""The values that a framework gives for a schedule at some steps."""


@dataclass(frozen=True)
class GoldenCurve:
    """A schedule, some steps, and the correct float32 rates and momenta at these."""

    name: str
    schedule: Schedule
    steps: tuple[int, ...]
    lrs: tuple[float, ...]
    momenta: tuple[float, ...] | None


def golden_curves() -> list[GoldenCurve]:
    """All golden curves of this version."""
    text = files("clr_core.conformance").joinpath("golden_curves.json").read_text(encoding="utf-8")
    return [
        GoldenCurve(
            name=curve["name"],
            schedule=schedule_from_dict(curve["schedule"]),
            steps=tuple(curve["steps"]),
            lrs=tuple(map(float.fromhex, curve["lrs"])),
            momenta=curve["momenta"] and tuple(map(float.fromhex, curve["momenta"])),
        )
        for curve in json.loads(text)["curves"]
    ]


def check(rates: Host, momenta: Host | None = None, max_step: int = LARGEST_STEP) -> int:
    """Compare an adapter with every golden curve.

    Args:
        rates: Returns the rates that the adapter's optimizer uses, for a schedule and steps. They
            are rounded to float32 if they aren't float32 already.
        momenta: The same for the momentum; None: the momentum isn't checked.
        max_step: The largest step that the host can count to; larger ones are skipped.

    Returns:
        The number of values compared, all of them equal in every bit.

    Raises:
        AssertionError: Some differ. The message has a line for each, with the schedule.
    """
    compared, complaints = 0, []
    for curve in golden_curves():
        for what, host, expected in (
            ("lr", rates, curve.lrs),
            ("momentum", momenta, curve.momenta),
        ):
            if host is None or expected is None:
                continue
            wanted = {
                step: value
                for step, value in zip(curve.steps, expected, strict=True)
                if step <= max_step
            }
            given = list(host(curve.schedule, list(wanted)))
            compared += len(wanted)
            lines = differences(wanted, given)
            if lines:
                complaints += [f"{what} of {curve.name}, {curve.schedule!r}:", *lines]
    if complaints:
        raise AssertionError("\n".join(["The curves differ.", *complaints]))
    return compared


def differences(expected: dict[int, float], given: Sequence[float]) -> list[str]:
    """A line for each step whose number isn't the expected one, as float32.

    >>> differences({0: 0.5, 7: 1.0}, [0.5, 1.0000001192092896])
    ['  step 7: expected 1.0, got 1.0000001192092896 (1 float32 ulp apart)']
    """
    if len(given) != len(expected):
        return [f"  {len(expected)} numbers were asked for, {len(given)} came"]
    lines = []
    for (step, wanted), number in zip(expected.items(), given, strict=True):
        got = float32(number)
        if not same_bits(got, wanted):
            apart = ulps_apart(got, wanted)
            lines.append(
                f"  step {step}: expected {wanted!r}, got {got!r} "
                f"({apart} float32 ulp{'s' if apart > 1 else ''} apart)"
            )
    return lines
