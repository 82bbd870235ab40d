"""For each guard against a compiler, a schedule whose float64 bits differ without it."""

from contextlib import contextmanager
from unittest import mock

from clr_core import CyclicSchedule, kernels
from clr_core.schedules._parameters import Custom

BAND = {"base_lr": 0.0015, "max_lr": 0.006, "step_size_up": 33.3}
STEPS = 1_000_000


def _by_step(expression, **band):
    return CyclicSchedule(**BAND | band, scale_fn=expression, scale_mode="iterations")


def _plain_product(ops):
    return mock.patch.object(ops, "rounded", lambda x: x)


def _plain_division(ops):
    return mock.patch.object(ops, "divide", lambda a, b: 1.0 * ops.where(True, a, a) / b)


def _unbounded(ops):
    return mock.patch.object(kernels, "flushed", lambda x, ops: x)


def _plain_kernels(ops):
    return mock.patch.object(kernels, "_guard", return_value=lambda x: x)


def _plain_argument(ops):
    return mock.patch.object(Custom, "guard", lambda self, x, ops: x)


GUARDS = {
    # Fused with the sum that follows.
    "product": (_plain_product, lambda: CyclicSchedule(**BAND)),
    # Replaced by a product with the reciprocal.
    "quotient": (_plain_division, lambda: CyclicSchedule(**BAND)),
    # Two constants are added first.
    "sum in an expression": (_unbounded, lambda: _by_step("(x - 0.1) - 0.2")),
    "sum with the number of the cycle": (
        _plain_argument,
        lambda: CyclicSchedule(**BAND, scale_fn="(x - 0.001186) / 100"),
    ),
    "kernels": (_plain_kernels, lambda: _by_step("sin(x)")),
}

# If only products are guarded, and from above only, these differ: LLVM knows the sign of a product
# and drops the bound, or TensorFlow adds constants first.
FRAGILE = (
    "1 + -1e-6 * x",
    "-1e-6 * x - 0.3",
    "0.3 + abs(x - 5e5) * -1e-6",
    "1 + 0.5 * sin(x * 0.01) + 0.1 * cos(x * 0.02)",
    "(x + 1) ** -0.5 + (0.1 * x - 0.7) - 0.3",
)


def fragile(expression):
    return _by_step(expression, step_size_up=2000, max_lr=0.3)


def cosine(step, ops):
    """A schedule with the kernel for cosines, between two boundaries."""
    size = 300_000.0
    rise, fall = kernels.cosine(ops.divide(step, size), ops.divide(size - step, size), ops)
    return ops.rounded(0.0015 * fall) + ops.rounded(0.006 * rise)


@contextmanager
def without(guard, ops):
    """Takes a guard away, and gives the schedule that needs it."""
    remove, build = GUARDS[guard]
    with remove(ops):
        yield build()
