"""The core by itself: writes benchmarks/core.md.

- `schedule.lr(step)` of an int, beside the triangular schedule of `lrsched`: at most 1.3.
- The same at step 10**12, beside step 1: at most 1.5; also of one cycle, and of one that repeats.
- Of 1,000 phases, beside 3: at most 2.
- The 1,343,000 rates of torch's tutorial as an array, beside stepping torch's class: 1/100.
"""

import time

import measuring
import numpy as np
import torch
from lrsched import triangular
from torch.optim.lr_scheduler import CyclicLR

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, one_cycle

SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=2000)
ONE_CYCLE = one_cycle(0.006, 12_000)
REPEATED = PiecewiseSchedule(ONE_CYCLE.phases, repeat=True)
THREE, MANY = (
    PiecewiseSchedule(
        [
            Phase(12_000 / number, 0.001, 0.006, ("cosine", "linear")[index % 2])
            for index in range(number)
        ]
    )
    for number in (3, 1000)
)
TUTORIAL_STEPS = 1_343_000


def of_an_int() -> list[list[str]]:
    theirs = triangular(min_lr=0.001, max_lr=0.006, step_size=2000)
    far = 10**12
    works = {
        "lrsched": lambda: theirs(12_345),
        "lr(12345)": lambda: SCHEDULE.lr(12_345),
        "lr(1)": lambda: SCHEDULE.lr(1),
        "lr(10**12)": lambda: SCHEDULE.lr(far),
        "one cycle: lr(1)": lambda: ONE_CYCLE.lr(1),
        "one cycle: lr(10**12)": lambda: ONE_CYCLE.lr(far),
        "repeated: lr(1)": lambda: REPEATED.lr(1),
        "repeated: lr(10**12)": lambda: REPEATED.lr(far),
        "3 phases: lr(5000)": lambda: THREE.lr(5000),
        "1,000 phases: lr(5000)": lambda: MANY.lr(5000),
    }
    times = measuring.interleaved(works, calls=5000, rounds=measuring.rounds())
    pairs = [
        ("lr(12345)", "lrsched", 1.3),
        ("lr(10**12)", "lr(1)", 1.5),
        ("one cycle: lr(10**12)", "one cycle: lr(1)", 1.5),
        ("repeated: lr(10**12)", "repeated: lr(1)", 1.5),
        ("1,000 phases: lr(5000)", "3 phases: lr(5000)", 2),
    ]
    return [
        [
            f"`{ours}`",
            f"`{beside}`",
            f"{times[ours] * 1e9:.0f} ns",
            f"{times[beside] * 1e9:.0f} ns",
            f"{times[ours] / times[beside]:.2f}",
            f"{target}",
        ]
        for ours, beside, target in pairs
    ]


def of_the_tutorial() -> list[str]:
    brief = measuring.rounds() == measuring.BRIEFLY
    steps = 10_000 if brief else TUTORIAL_STEPS
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.001)
    scheduler = CyclicLR(optimizer, 0.001, 0.006, 2000, cycle_momentum=False)
    optimizer.step()
    # One after the other and not in rounds: torch's takes seconds.
    start = time.perf_counter()
    rates = [scheduler.get_last_lr()[0]]
    for _ in range(steps - 1):
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
    stepping = time.perf_counter() - start
    works = {"array": lambda: SCHEDULE.lr(np.arange(steps))}
    array = measuring.interleaved(works, calls=1, rounds=min(11, measuring.rounds()))["array"]
    assert (np.float32(rates) == np.float32(SCHEDULE.lr(np.arange(steps)))).all()
    return [
        f"{steps:,} rates as an array",
        "stepping torch's class",
        f"{array * 1e3:.1f} ms",
        f"{stepping * 1e3:.0f} ms",
        f"1/{stepping / array:.0f}",
        "1/100",
    ]


def main() -> None:
    rows = [*of_an_int(), of_the_tutorial()]
    measuring.write(
        __file__,
        "The core",
        [
            "Medians of interleaved rounds. " + measuring.machine("lrsched", "numpy", "torch"),
            "",
            *measuring.table(["ours", "beside", "ours", "beside", "ratio", "target"], rows),
        ],
    )


if __name__ == "__main__":
    main()
