"""The cost of `cyclic_lr` in a scan, compared with a schedule of optax: writes optax_schedule.md.

Target: at most 1.2 times `optax.cosine_onecycle_schedule`, in each of the three modes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from measuring import interleaved, machine, rounds, table, write

from clr_core import CyclicSchedule
from clr_jax import cyclic_lr

STEPS = 20_000  # Less than a millisecond, so that few runs are interrupted by other processes.
TARGET = 1.2
THEIRS = "optax.cosine_onecycle_schedule"
BAND = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 2000}
SCHEDULES: dict[str, optax.Schedule] = {
    THEIRS: optax.cosine_onecycle_schedule(2 * STEPS, 0.006),
    "triangular": cyclic_lr(CyclicSchedule(**BAND)),
    "triangular2": cyclic_lr(CyclicSchedule(**BAND, mode="triangular2")),
    "exp_range": cyclic_lr(CyclicSchedule(**BAND, mode="exp_range", gamma=0.99994)),
    "triangular, step_size_down=1999.5": cyclic_lr(CyclicSchedule(**BAND, step_size_down=1999.5)),
    "a constant: the scan alone": optax.constant_schedule(0.006),
}
ABOUT = """
The rates of {STEPS:,} steps are computed in one jitted `jax.lax.scan` and added up: the median of
{rounds} rounds, in which all take turns.

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
    works = {name: scan(rate) for name, rate in SCHEDULES.items()}
    times = interleaved(works, calls=1, rounds=rounds())
    rows = [
        [
            f"`{name}`" if name == THEIRS else name,
            f"{seconds / STEPS * 1e9:.1f}",
            f"{seconds / times[THEIRS]:.2f}",
        ]
        for name, seconds in times.items()
    ]
    about = ABOUT.format(STEPS=STEPS, rounds=rounds())
    write(
        __file__,
        "A step of the schedule within a scan",
        [
            *table(["schedule", "ns per step", "ratio"], rows),
            "",
            f"Target: a ratio of at most {TARGET} in the three modes. "
            f"{machine('jax', 'jaxlib', 'optax')}",
            *about.rstrip().split("\n"),
        ],
    )


if __name__ == "__main__":
    main()
