"""`clr_jax` without JAX or without optax."""

HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def test_the_error_names_the_extra(run):
    output = run(
        HIDE.format(hidden="jax")
        + """
try:
    import clr_jax
except ImportError as error:
    print(error)
    print(repr(error.__cause__))
"""
    )
    assert output.splitlines() == [
        "`clr_jax` needs JAX and optax. Install them with: pip install 'cyclical-lr[jax]'",
        """ModuleNotFoundError("No module named 'jax'")""",
    ]


def test_only_the_schedules_need_no_optax(run):
    # `clr_keras` on its JAX backend uses `clr_jax.evaluate` and has no optax.
    output = run(
        HIDE.format(hidden="optax")
        + """
import clr_jax.evaluate
from clr_core import CyclicSchedule
schedule = CyclicSchedule(base_lr=0.125, max_lr=0.5, step_size_up=2)
print(clr_jax.evaluate.evaluate(schedule.lr, 1), clr_jax.cyclic_lr(schedule)(1))
print(sorted(name for name in sys.modules if name.partition(".")[0] == "optax"))
try:
    clr_jax.cyclic_optimizer
except ImportError as error:
    print(error)
"""
    )
    assert output.splitlines() == [
        "0.3125 0.3125",
        "[]",
        "`clr_jax.cyclic_optimizer` needs optax. Install it with: pip install 'cyclical-lr[jax]'",
    ]
