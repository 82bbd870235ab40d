"""A backend on which no schedule can be computed."""

from importlib.util import find_spec

from needs import needs

USE = """
import clr_keras
from clr_core import CyclicSchedule

print("imported")
clr_keras.CyclicLR(CyclicSchedule(base_lr=0.25, max_lr=0.5))
"""


@needs("JAX, which Keras's NumPy backend imports", find_spec("jax") is not None)
def test_another_backend_is_refused_when_a_schedule_is_made(python):
    done = python("-c", USE, backend="numpy")
    assert done.stdout == "imported\n"
    assert done.stderr.splitlines()[-1] == (
        "ValueError: Keras must run on one of the backends tensorflow, jax, torch. "
        "Received: KERAS_BACKEND=numpy"
    )
