"""Fixtures for the tests in this folder: schedules, and their values on the host."""

import os
import subprocess
import sys

import numpy as np
import pytest

from clr_core import CyclicSchedule

MOMENTA = {"base_momentum": 0.8, "max_momentum": 0.95}
SCHEDULES = {
    "triangular": CyclicSchedule(
        base_lr=0.001, max_lr=0.006, step_size_up=37, step_size_down=90, **MOMENTA
    ),
    "triangular2": CyclicSchedule(
        base_lr=0.1, max_lr=0.5, step_size_up=3.3, mode="triangular2", **MOMENTA
    ),
    "exp_range": CyclicSchedule(
        base_lr=0.0, max_lr=0.1, step_size_up=7, mode="exp_range", gamma=0.999, **MOMENTA
    ),
    "expression": CyclicSchedule(
        base_lr=0.01, max_lr=0.1, step_size_up=5, scale_fn="1 / (1 + x / 7)", **MOMENTA
    ),
}
STEPS = np.arange(300, dtype=np.int32)


@pytest.fixture(params=SCHEDULES.values(), ids=SCHEDULES)
def schedule(request):
    return request.param


@pytest.fixture
def on_host():
    """The float32 rates (or momenta) of the core in plain Python, without JAX."""

    def values(curve, steps=STEPS):
        return np.array([curve(int(step)) for step in steps], np.float32)

    return values


@pytest.fixture
def same_bits():
    """Check that two arrays are the same in every bit, or list where they differ."""

    def check(got, expected):
        got, expected = np.asarray(got), np.asarray(expected)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        bits = np.dtype(f"u{expected.dtype.itemsize}")
        differing = np.flatnonzero(got.view(bits) != expected.view(bits))
        listed = [(int(i), got.flat[i].item(), expected.flat[i].item()) for i in differing[:5]]
        assert not listed, f"{differing.size} differ; the first (step, got, expected): {listed}"

    return check


@pytest.fixture
def run():
    """The output of a program in a new process with these environment variables."""

    def output(code, **environment):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return output
