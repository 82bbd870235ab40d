"""The cost of our rates in a scan, compared with schedules of optax: writes optax_schedule.md.

Targets: at most 1.2 times `optax.cosine_onecycle_schedule` in each of the three modes of CLR, and
2.2 times for one cycle with cosines; at most 1.2 times `optax.linear_onecycle_schedule` for linear
phases; and 1,000 phases cost at most twice what 3 cost.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from measuring import interleaved, machine, rounds, table, write

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, one_cycle
from clr_jax import cyclic_lr, scheduled_lr

STEPS = 20_000  # Less than a millisecond, so that few runs are interrupted by other processes.
COSINE, LINEAR = "optax.cosine_onecycle_schedule", "optax.linear_onecycle_schedule"
BAND = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 2000}


def phases(shape: str, number: int) -> PiecewiseSchedule:
    """Phases of unequal lengths: 3 with the values of optax's linear one cycle, or more."""
    up = [(0.00024, 0.006), (0.006, 0.00024), (0.00024, 2.4e-8)]
    lengths = [12_000, 22_000, 6_000] if number == 3 else [30 + i % 21 for i in range(number)]
    return PiecewiseSchedule(
        [Phase(steps, *up[index % 3], shape) for index, steps in enumerate(lengths)]
    )


MANY, FEW = "1,000 {} phases", "3 {} phases"
# What each is beside, and the target.
SCHEDULES: dict[str, tuple[optax.Schedule, str, float | None]] = {
    COSINE: (optax.cosine_onecycle_schedule(2 * STEPS, 0.006), COSINE, None),
    LINEAR: (optax.linear_onecycle_schedule(2 * STEPS, 0.006), LINEAR, None),
    "triangular": (cyclic_lr(CyclicSchedule(**BAND)), COSINE, 1.2),
    "triangular2": (cyclic_lr(CyclicSchedule(**BAND, mode="triangular2")), COSINE, 1.2),
    "exp_range": (
        cyclic_lr(CyclicSchedule(**BAND, mode="exp_range", gamma=0.99994)),
        COSINE,
        1.2,
    ),
    "triangular, step_size_down=1999.5": (
        cyclic_lr(CyclicSchedule(**BAND, step_size_down=1999.5)),
        COSINE,
        None,
    ),
    "one cycle": (scheduled_lr(one_cycle(0.006, 2 * STEPS)), COSINE, 2.2),
    "one cycle, linear": (
        scheduled_lr(one_cycle(0.006, 2 * STEPS, shape="linear")),
        LINEAR,
        1.2,
    ),
    FEW.format("linear"): (scheduled_lr(phases("linear", 3)), LINEAR, 1.2),
    MANY.format("linear"): (scheduled_lr(phases("linear", 1000)), FEW.format("linear"), 2),
    FEW.format("cosine"): (scheduled_lr(phases("cosine", 3)), COSINE, 2.2),
    MANY.format("cosine"): (scheduled_lr(phases("cosine", 1000)), FEW.format("cosine"), 2),
    "a constant: the scan alone": (optax.constant_schedule(0.006), COSINE, None),
}
ABOUT = """
The rates of {STEPS:,} steps are computed in one jitted `jax.lax.scan` and added up: the median of
{rounds} rounds, in which all take turns.

*Phases* were slower at first: 1.5 times optax's linear schedule with two, 1.8 times with three, and
with 1,000 twice as slow as with three. The time of a step is here that of its longest chain of
operations, each of which waits for the one before. Three changes, each with the same bits:

- The phase is looked up by the step itself, and not by the step bounded by the end: 1 ns.
- A rate that can't be below float32's normal range, except 0, is converted by XLA; the sums below
  are for others: 1 ns. The schedule says so by its own numbers (`clr_core.adapter.lowest_lr`).
- Of more than 8 phases, a table has the one at the start of each of some buckets of equal width.
  Two steps of a search follow in place of ten: 4 ns.

`where` in place of `minimum` and `clip`, flags of all phases in place of an index, and sizes that
are computed rather than looked up made no difference or were slower.

*exp_range* has the same float64 bits in all hosts, so its `gamma ** step` is the kernel of
`clr_core/kernels.py` and not a library's `pow`. What was tried, measured in one run (minimum of 300
rounds, optax's is 8.7 ns; the last three with the conversion to float32 as it is now):

| `gamma ** step` | ns per step | ratio |
| --- | --- | --- |
| one polynomial of 12 coefficients, by Horner | 22.5 | 2.57 |
| the C library's `pow` | 19.5 | 2.23 |
| the polynomial in Estrin's form | 16.0 | 1.83 |
| ... with a cheaper conversion to float32 | 15.2 | 1.68 |
| a table of roots and 4 coefficients by Horner | 10.7 | 1.18 |
| ... in two short sums (now) | 10.3 | 1.17 |

Horner's form is one chain of 36 operations, each of which waits for the one before: 74 cycles for
110 instructions. Guards against fused operations are one instruction each. The tables have 8 KiB.
What is left above triangular is 6 ns: the product with `gamma`'s logarithm, two conversions to
integers, two loads, and seven guarded products.

*triangular2 and triangular* were 2.1 and 1.2 times optax's at first. Four changes in
`clr_jax/ops.py` and `clr_jax/evaluate.py`, each with the same bits at every step:

- `fmod` by a whole number is the remainder of integers, which is compiled as a product. The C
  library's takes 4 ns, and 9 ns at step 10**9. (It's still what a fractional cycle size uses, as in
  the row with 1999.5.)
- A step is kept from being negative as an integer and not as a float64. The compiler then knows
  that the float64 is whole, and leaves out the guards of its conversion to an integer.
- Numbers below float32's normal range, which XLA would flush to 0, are rounded by a sum and not by
  a conversion to an integer, which checks for NaN and for numbers that are too large. This takes
  1.5 ns less.
- `0.5 ** cycle` is made from the bits of a float32 instead of by a call, which takes 4 ns.

`lax.cond` around that call was as fast here. In a larger program, however, it isn't compiled into
one kernel with the rest.
"""


def scan(rate: optax.Schedule) -> Callable[[], object]:
    """A program that adds up the rates of all steps, compiled and run once."""

    def step(carry, _):
        count, total = carry
        return (count + 1, total + rate(count)), None

    @jax.jit
    def total(count):
        return jax.lax.scan(step, (count, jnp.float32(0)), length=STEPS)[0][1]

    total(0)
    return lambda: total(0).block_until_ready()


def main() -> None:
    """Measures, prints and writes the table."""
    works = {name: scan(rate) for name, (rate, _, _) in SCHEDULES.items()}
    times = interleaved(works, calls=1, rounds=rounds())

    def shown(name: str) -> str:
        return f"`{name}`" if name.startswith("optax") else name

    rows = [
        [
            shown(name),
            f"{times[name] / STEPS * 1e9:.1f}",
            shown(beside),
            f"{times[name] / times[beside]:.2f}",
            "" if target is None else str(target),
        ]
        for name, (_, beside, target) in SCHEDULES.items()
    ]
    about = ABOUT.format(STEPS=STEPS, rounds=rounds())
    write(
        __file__,
        "A step of the schedule within a scan",
        [
            *table(["schedule", "ns per step", "beside", "ratio", "target"], rows),
            "",
            machine("jax", "jaxlib", "optax"),
            *about.rstrip().split("\n"),
        ],
    )


if __name__ == "__main__":
    main()
