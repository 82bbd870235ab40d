"""A schedule as a picture, for notebooks: inline SVG, made without a dependency."""

from __future__ import annotations

from html import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from clr_core.schedules.cyclic import CyclicSchedule

WIDTH, HEIGHT = 480, 160
LEFT, RIGHT, TOP, BOTTOM = 70, 12, 12, 34  # Room for the labels.
CYCLES = 2
POINTS = 400


def picture(schedule: CyclicSchedule) -> str:
    """The rate in the first two cycles, with both boundaries, above the schedule's repr."""
    end = max(1, round(min(CYCLES * schedule.cycle_size, 2.0**53)))
    steps = sorted({round(end * i / POINTS) for i in range(POINTS + 1)} | _turns(schedule, end))
    rates = [schedule.lr(step) for step in steps]
    # A `scale_fn` may leave the band; what isn't finite can't be drawn.
    finite = [rate for rate in rates if rate - rate == 0.0]
    low = min([schedule.base_lr, *finite])
    high = max([schedule.max_lr, *finite])

    def x(step: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / end

    def y(rate: float) -> float:
        height = HEIGHT - TOP - BOTTOM
        return TOP + height * ((high - rate) / (high - low) if high > low else 0.5)

    line = " ".join(
        f"{x(step):.1f},{y(rate):.1f}"
        for step, rate in zip(steps, rates, strict=True)
        if rate - rate == 0.0
    )
    boundaries = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(rate):.1f}" y2="{y(rate):.1f}" '
        'stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="4 3"/>'
        f'<text x="{LEFT - 6}" y="{y(rate) + 4:.1f}" text-anchor="end">{rate:.3g}</text>'
        for rate in dict.fromkeys((schedule.base_lr, schedule.max_lr))
    )
    ticks = "".join(
        f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{step:,}</text>'
        for step, anchor in ((0, "start"), (end // 2, "middle"), (end, "end"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="11" '
        f'fill="currentColor"><title>{escape(repr(schedule))}</title>{boundaries}{ticks}'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">step</text>'
        f'<text x="12" y="{(HEIGHT - BOTTOM + TOP) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {(HEIGHT - BOTTOM + TOP) / 2})">learning rate</text>'
        f'<polyline points="{line}" fill="none" stroke="#0072B2" stroke-width="1.8"/></svg>'
        f"<pre>{escape(repr(schedule))}</pre>"
    )


def _turns(schedule: CyclicSchedule, end: int) -> set[int]:
    """The steps next to each peak and trough, which an even grid would cut off."""
    at = (
        cycle * schedule.cycle_size + part
        for cycle in range(CYCLES)
        for part in (0.0, schedule.step_size_up)
    )
    return {round(step) for step in at if step <= end}
