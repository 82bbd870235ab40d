"""Keras alone; KERAS_BACKEND names the backend, one process for each."""

import os
import subprocess
import sys

import keras
import pytest

BACKEND = keras.backend.backend()
collect_ignore_glob = [f"test_{each}*.py" for each in {"tensorflow", "jax", "torch"} - {BACKEND}]


@pytest.fixture
def python():
    """Run a program in another process, with Keras on a chosen backend."""

    def python(*arguments, backend=BACKEND):
        environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run(
            [sys.executable, "-P", *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return python


@pytest.fixture(autouse=True)
def _as_it_was():
    """Restore Keras's settings for the whole process."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
