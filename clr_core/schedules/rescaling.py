"""Another number of updates for the same curve: for another batch size or number of workers."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from clr_core._arguments import positive_number, received

if TYPE_CHECKING:
    from clr_core.schedules.cyclic import CyclicSchedule
    from clr_core.schedules.protocol import Schedule


def as_ratio(factor: object) -> Fraction:
    """The factor as a ratio: 1/3 for the float nearest to it, so that steps can be whole.

    >>> as_ratio(1 / 3), as_ratio(0.1)
    (Fraction(1, 3), Fraction(1, 10))
    """
    value = positive_number("factor", factor)
    if isinstance(factor, Fraction):
        return factor
    exact = Fraction(value)
    simple = exact.limit_denominator(10**6)
    return simple if float(simple) == value else exact


def finite(number: Fraction, factor: object) -> float:
    """The number as a float, or an error that names the factor."""
    try:
        return float(number)
    except OverflowError:
        raise ValueError(
            f"`factor` must leave the parameters finite. {received('factor', factor)}"
        ) from None


def all_rescaled(schedules: Sequence[Schedule], factor: object) -> list[Any]:
    """Each schedule rescaled, of whatever kind, or an error if one of them can't be."""
    for schedule in schedules:
        if not callable(getattr(schedule, "rescaled", None)):
            raise TypeError(
                "`schedule` must be of a kind that can be rescaled, by its `rescaled(factor)`. "
                f"{received('schedule', schedule)}"
            )
    return [each.rescaled(factor) for each in schedules]  # type: ignore[attr-defined]


def rescaled(schedule: CyclicSchedule, factor: object) -> Any:
    """The schedule whose step `k * factor` has the rate of step `k` of this one."""
    ratio = as_ratio(factor)
    changes: dict[str, Any] = {
        name: finite(Fraction(getattr(schedule, name)) * ratio, factor)
        for name in ("step_size_up", "step_size_down")
    }
    changes["gamma"] = schedule.gamma ** finite(1 / ratio, factor)
    if schedule.scale_mode == "iterations":
        changes["scale_fn"] = _of_step(schedule.scale_fn, ratio)
    return replace(schedule, **changes)


def _of_step(scale_fn: object, ratio: Fraction) -> str:
    if not isinstance(scale_fn, str):
        raise TypeError(
            "`scale_fn` must be an expression for its step to be rescaled. "
            f"{received('scale_fn', scale_fn)}. Write it as text in `x`."
        )
    return ast.unparse(_Rescaled(ratio).visit(ast.parse(scale_fn, mode="eval")))


class _Rescaled(ast.NodeTransformer):
    """Puts `x / ratio` in the place of `x`."""

    def __init__(self, ratio: Fraction) -> None:
        self.ratio = ratio

    def visit_Name(self, node: ast.Name) -> ast.expr:
        result: ast.expr = node
        if node.id == "x" and self.ratio.denominator != 1:
            result = ast.BinOp(result, ast.Mult(), ast.Constant(float(self.ratio.denominator)))
        if node.id == "x" and self.ratio.numerator != 1:
            result = ast.BinOp(result, ast.Div(), ast.Constant(float(self.ratio.numerator)))
        return result
