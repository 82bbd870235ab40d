"""Launches a job of several processes, kills it, launches it again, and compares what it logged.

A job is a script in a folder, where it leaves its checkpoints and each launch its logs:

    job = Job("ddp.py", folder, ranks=2, updates=40)
    job.kill(at=17)     launches it, and kills it during update 17
    job.finish()        launches it again, until it ends
    job.faults()        [] if each update, on each worker, had the schedule's rate and momentum
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from clr_core import CyclicSchedule

# No two steps have the same rate, so that any wrong step shows.
SCHEDULE = CyclicSchedule(
    base_lr=0.01,
    max_lr=0.07,
    step_size_up=5,
    step_size_down=7.5,
    mode="exp_range",
    gamma=0.996,
    base_momentum=0.8,
    max_momentum=0.95,
)
HERE = Path(__file__).resolve().parent
SECONDS = 300
"""How long anything may take. A launch takes 5 to 15 seconds on an idle machine."""

compared = 0
"""How many rates and momenta `Job.faults` has compared, for the summary of a test run."""


@dataclass
class Job:
    script: str
    folder: Path
    ranks: int
    updates: int
    arguments: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    devices: int = 1
    """Of each rank."""
    save_every: int = 1
    """How many updates lie between two checkpoints, which is what a kill takes back at most."""
    lost: bool = False
    """Whether the last rank has a disk of its own, with no checkpoint on it."""
    momentum: bool = True
    """Whether the job cycles the momentum too."""
    launches: list[tuple[list[Path], int]] = field(default_factory=list)
    """The logs of the ranks, and the devices of each rank."""
    kills: list[int] = field(default_factory=list)

    def finish(self) -> None:
        with self._launched() as processes:
            for process in processes:
                code = process.wait(SECONDS)
                assert code == 0, self.said()
        # A false alarm on one of these engines would be a defect.
        assert "PLANT" in self.environment or "UserWarning" not in self.said(), self.said()

    def kill(self, at: int, first: int = 0) -> None:
        """Send SIGKILL during update `at`: to rank `first`, and then to the others."""
        with self._launched({"HOLD": str(at + 1)}) as processes:
            deadline = time.monotonic() + SECONDS
            while not all(_steps(used)[-1:] == [at] for used in _used(*self.launches[-1]).values()):
                assert time.monotonic() < deadline, self.said()
                assert all(process.poll() is None for process in processes), self.said()
                time.sleep(0.005)
            for process in [processes[first], *processes]:
                process.send_signal(signal.SIGKILL)
            assert {process.wait(SECONDS) for process in processes} == {-signal.SIGKILL}
        self.kills.append(at)

    def fail(self) -> str:
        """Launch it, see one rank fail by itself, and return what the workers said."""
        with self._launched() as processes:
            deadline = time.monotonic() + SECONDS
            while not any(process.poll() for process in processes):
                assert time.monotonic() < deadline, self.said()
                time.sleep(0.005)
        return self.said()

    def whole(self) -> "Job":
        """The same job, to be launched once."""
        return replace(self, folder=self.folder.with_name("whole"), launches=[], kills=[])

    def ends_as_whole(self) -> None:
        """Finish it and a whole one, and assert right updates and at the end the same bits."""
        jobs = [self, self.whole()]
        for job in jobs:
            job.finish()
            assert job.faults() == []
        assert jobs[0].weights() == jobs[1].weights()

    def copied(self, folder: Path, **changes: Any) -> "Job":
        """The job as it stands, to be launched from there in another way."""
        shutil.copytree(self.folder, folder)
        lists = {"launches": [*self.launches], "kills": [*self.kills]}
        return replace(self, folder=folder, **lists, **changes)

    @contextlib.contextmanager
    def _launched(self, environment: dict[str, str] | None = None) -> Iterator[list[Any]]:
        name = f"log-{len(self.launches)}"
        self.folder.mkdir(exist_ok=True)
        logs = [self.folder / f"{name}-{rank}.jsonl" for rank in range(self.ranks)]
        self.launches.append((logs, self.devices))
        ports = free_ports(self.ranks)
        shared = {
            "WORLD_SIZE": str(self.ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(ports[0]),
            "PORTS": json.dumps(ports),
            "UPDATES": str(self.updates),
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        with contextlib.ExitStack() as stack:
            processes = []
            for rank, log in enumerate(logs):
                is_lost = self.lost and rank == self.ranks - 1
                folder = self.folder / "other-disk" if is_lost else self.folder
                folder.mkdir(exist_ok=True)
                own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOG": str(log)}
                error = stack.enter_context(open(log.with_suffix(".txt"), "w"))
                process = subprocess.Popen(
                    [sys.executable, str(HERE / self.script), *self.arguments],
                    env=os.environ | shared | own | self.environment | (environment or {}),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=error,
                    stderr=error,
                )
                stack.callback(process.wait)
                stack.callback(process.kill)
                processes.append(process)
            yield processes

    def said(self) -> str:
        """What the workers of the last launch printed."""
        texts = [log.with_suffix(".txt").read_text() for log in self.launches[-1][0]]
        return "\n".join(f"rank {rank}:\n{text[-4000:]}" for rank, text in enumerate(texts))

    def faults(self) -> list[str]:
        """Where an update, on any worker of any launch, wasn't the one that it should have been."""
        found = []
        ends = [*self.kills, self.updates - 1]
        for number, (launch, end) in enumerate(zip(self.launches, ends, strict=True)):
            starts = self._starts(ends[number - 1]) if number else {0}
            for name, used in _used(*launch).items():
                worker, steps = f"launch {number}, {name}", _steps(used)
                if not steps or steps[0] not in starts:
                    found.append(f"{worker}: begins at {steps[:1]} and not in {starts}")
                    continue
                starts = {steps[0]}
                if steps != [*range(steps[0], end + 1)]:
                    found.append(f"{worker}: makes the updates {steps}, and not up to {end}")
                found += [f"{worker}: {fault}" for line in used for fault in self._wrong(line)]
        return found

    def _starts(self, killed: int) -> set[int]:
        """Where a job may resume that was killed during an update."""
        every = self.save_every
        return {start for start in range(killed + 1 - every, killed + 2) if start % every == 0}

    def _wrong(self, line: dict[str, Any]) -> Iterator[str]:
        global compared
        for name in ("lr", "momentum") if self.momentum else ("lr",):
            compared += 1
            used, right = line[name], np.float32(getattr(SCHEDULE, name)(line["step"]))
            if used is None or np.float32(used).tobytes() != right.tobytes():
                yield f"update {line['step']} uses {name}={used} and not {right}"

    def weights(self) -> list[bytes]:
        """The weights that the ranks ended with, in which no two may differ."""
        each = []
        for rank in range(self.ranks):
            with np.load(self.folder / f"weights-{rank}.npz") as arrays:
                each.append([arrays[name].tobytes() for name in arrays.files])
        assert all(arrays == each[0] for arrays in each)
        assert each[0]
        return each[0]


def _used(logs: Sequence[Path], devices: int) -> dict[str, list[dict[str, Any]]]:
    """What each device of each rank has logged, without a line that a kill cut off."""
    used = {}
    for rank, log in enumerate(logs):
        text = log.read_text() if log.exists() else ""
        lines = [json.loads(each) for each in text.splitlines(keepends=True) if each.endswith("\n")]
        for device in range(devices):
            name = f"rank {rank}, device {device}"
            used[name] = [line for line in lines if line["device"] == device]
    return used


def _steps(used: list[dict[str, Any]]) -> list[int]:
    return [line["step"] for line in used]


_candidates = itertools.count(64 * os.getpid())


def free_ports(number: int) -> list[int]:
    """Ports below those that the system gives away, so that they stay free until they are used."""
    found: list[int] = []
    while len(found) < number:
        port = 20_000 + next(_candidates) % 12_000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found
