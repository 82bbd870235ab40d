"""The needs and effects of `import clr_keras`."""

import keras

BACKEND = keras.backend.backend()

HIDE = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in {hidden!r}:
            return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""
USE = """
import keras
from clr_core import CyclicSchedule
from clr_keras import CyclicLR

optimizer = keras.optimizers.SGD(CyclicLR(CyclicSchedule(base_lr=0.25, max_lr=0.5)))
assert float(optimizer.learning_rate) == 0.25
"""


def hidden(*names):
    return HIDE.format(hidden=names)


def test_without_keras_the_error_names_the_extra(python):
    done = python("-c", hidden("keras") + "import clr_keras")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: `clr_keras` needs Keras and one of its backends. "
        "Install it with: pip install 'cyclical-lr[keras]'"
    )


def test_another_backend_is_refused_when_a_schedule_is_made(python):
    done = python("-c", "import clr_keras\nprint('imported')" + USE, backend="numpy")
    assert done.stdout == "imported\n"
    assert done.stderr.splitlines()[-1] == (
        "ValueError: Keras must run on one of the backends tensorflow, jax, torch. "
        "Received: KERAS_BACKEND=numpy"
    )


def test_it_works_with_the_other_adapters_frameworks_hidden(python):
    others = {"tensorflow", "jax", "torch", "optax"} - {BACKEND}
    done = python("-c", hidden(*others) + USE)
    assert done.returncode == 0, done.stderr


def test_it_loads_no_framework_that_keras_does_not(python):
    loaded = "{name for name in ('tensorflow', 'jax', 'torch', 'optax') if name in sys.modules}"
    program = f"""
import sys
import keras
before = {loaded}
{USE}
print({loaded} - before)
"""
    done = python("-c", program)
    assert (done.stdout, done.returncode) == ("set()\n", 0), done.stderr


def test_a_test_of_these_tests(python):
    """Code that needs a hidden module fails."""
    done = python("-c", hidden("numpy") + "import clr_core\nprint('imported')\nimport numpy")
    assert done.stdout == "imported\n"
    assert done.stderr.endswith("No module named 'numpy'\n")
