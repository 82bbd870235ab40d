"""The comparison of what workers logged finds each kind of fault."""

import json

import numpy as np
import pytest

from workers.launcher import SCHEDULE, Job


def log(path, steps, device=0, wrong=None):
    with path.open("a") as file:
        for step in steps:
            late = step + 1 if step == wrong else step
            lr, momentum = np.float32([SCHEDULE.lr(late), SCHEDULE.momentum(late)]).tolist()
            line = {"device": device, "step": step, "lr": lr, "momentum": momentum}
            file.write(json.dumps(line) + "\n")


@pytest.fixture
def job(tmp_path):
    """Two ranks, killed during update 5."""
    job = Job("none.py", tmp_path, ranks=2, updates=10, kills=[5])
    job.launches += [([tmp_path / f"{n}-{rank}" for rank in range(2)], 1) for n in range(2)]
    for rank in range(2):
        log(tmp_path / f"0-{rank}", range(6))
    return job


@pytest.mark.parametrize("start", [5, 6])
def test_a_job_without_fault(job, start):
    for rank in range(2):
        log(job.folder / f"1-{rank}", range(start, 10))
    with (job.folder / "0-1").open("a") as file:
        file.write('{"device": 0, "st')  # The kill came in between.
    assert job.faults() == []


@pytest.mark.parametrize(
    ("steps", "options", "fault"),
    [
        (range(5, 10), {"wrong": 7}, "rank 1, device 0: update 7 uses lr="),
        (range(5, 10), {"device": 1}, "rank 1, device 0: begins at []"),
        (range(4, 10), {}, "rank 1, device 0: begins at [4]"),
        (range(6, 10), {}, "rank 1, device 0: begins at [6]"),
        (range(7, 10), {}, "rank 1, device 0: begins at [7]"),
        (range(10), {}, "rank 1, device 0: begins at [0]"),
        ([5, 6, 8, 9], {}, "rank 1, device 0: makes the updates [5, 6, 8, 9]"),
        ([5, 6, 6, 7, 8, 9], {}, "rank 1, device 0: makes the updates [5, 6, 6, 7, 8, 9]"),
        (range(5, 8), {}, "rank 1, device 0: makes the updates [5, 6, 7]"),
        (range(5, 11), {}, "rank 1, device 0: makes the updates [5, 6, 7, 8, 9, 10]"),
    ],
)
def test_a_fault_of_one_rank(job, steps, options, fault):
    log(job.folder / "1-0", range(5, 10))
    log(job.folder / "1-1", steps, **options)
    faults = job.faults()
    assert faults[0].startswith(f"launch 1, {fault}")
    assert all("rank 1" in each for each in faults)
