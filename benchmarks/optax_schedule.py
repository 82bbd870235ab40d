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

*exp_range misses the target.* Its machine code is the loop of triangular, which calls nothing, and
one call of the C library's `pow` for `gamma ** step`. optax's has two calls of `cosf`, which is
float32. Two alternatives were tried on this machine:

- `exp(step * log(gamma))`, which XLA inlines: 1.5 times optax's, which misses the target too, and
  20 float64 ulps off by the time that a rate has decayed to 4e-11.
- The powers in three tables of 1,024 float64 numbers, looked up by the digits of the step: 0.8
  times optax's. The two products round, so that the float64 differs from that of other hosts (by
  1 ulp as measured, by at most 2.5). Tables of twice the precision would avoid this. Either adds
  24 or 48 KiB to each program, and arithmetic to an adapter that has none, to save
  {over:.0f} ns of a training step of 40,000 or more.

*triangular2 and triangular* were 2.1 and 1.2 times optax's at first. Three changes in
`clr_jax/ops.py` and `clr_jax/evaluate.py`, each with the same bits at every step:

- `fmod` by a whole number is the remainder of integers, which is compiled as a product. The C
  library's takes 4 ns, and 9 ns at step 10**9. (It's still what a fractional cycle size uses, as in
  the row with 1999.5.)
- A step is kept from being negative as an integer and not as a float64. The compiler then knows
  that the float64 is whole, and leaves out the guards of its conversion to an integer.
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
    about = ABOUT.format(
        STEPS=STEPS,
        rounds=rounds(),
        over=(times["exp_range"] - TARGET * times[THEIRS]) / STEPS * 1e9,
    )
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
