"""There is one compilation for all steps."""

import jax
import jax.numpy as jnp

from clr_core import CyclicSchedule
from clr_jax import cyclic_lr, cyclic_momentum

SCHEDULE = CyclicSchedule(
    base_lr=0.1,
    max_lr=0.5,
    step_size_up=3,
    mode="triangular2",
    base_momentum=0.8,
    max_momentum=0.9,
)


class Counted:
    """A schedule that counts how often JAX traces it."""

    def __init__(self):
        self.traced = 0

    def lr(self, step, ops=None):
        self.traced += 1
        return SCHEDULE.lr(step) if ops is None else SCHEDULE.lr(step, ops)

    def momentum(self, step, ops=None):
        return None

    to_dict = SCHEDULE.to_dict


def test_eager_calls_compile_once():
    schedule = Counted()
    rate = cyclic_lr(schedule)
    for count in range(20):
        rate(jnp.int32(count))
    assert schedule.traced == 1
    for count in range(20):
        rate(count)  # A Python int is another type, and that is one more.
    assert schedule.traced == 2
    cyclic_lr(schedule)(7)  # What was made of the same schedule shares it.
    assert schedule.traced == 2


def test_a_scan_traces_once():
    schedule = Counted()
    rate = cyclic_lr(schedule)
    jax.lax.scan(lambda step, _: (step + 1, rate(step)), jnp.int32(0), length=1000)
    assert schedule.traced == 1


def test_the_compiler_sees_no_inner_function():
    # Inlined, so that it is fused with its surroundings.
    for schedule in (cyclic_lr(SCHEDULE), cyclic_momentum(SCHEDULE)):
        assert "_evaluate" not in jax.jit(schedule).lower(jnp.int32(0)).as_text()
