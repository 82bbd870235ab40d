"""Under each of JAX's transformations the bits are those of the schedule on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from clr_core.adapter import rate_only
from clr_jax import cyclic_lr, cyclic_momentum

STEPS = np.arange(300, dtype=np.int32)


def eagerly(rate):
    return jnp.stack([rate(jnp.int32(step)) for step in STEPS])


def eagerly_on_ints(rate):
    return jnp.stack([rate(int(step)) for step in STEPS])


def jitted(rate):
    compiled = jax.jit(rate)
    return jnp.stack([compiled(step) for step in STEPS])


def jitted_on_constants(rate):
    return jax.jit(lambda: rate(STEPS))()


def vmapped_twice_and_jitted(rate):
    return jax.jit(jax.vmap(jax.vmap(rate)))(STEPS.reshape(20, 15)).reshape(-1)


def scanned(rate):
    return jax.lax.scan(lambda step, _: (step + 1, rate(step)), 0, length=len(STEPS))[1]


def in_a_cond(rate):
    @jax.jit
    def even_or_odd(step):
        return jax.lax.cond(step % 2 == 0, rate, lambda step: rate(step + 1 - 1), step)

    return jnp.stack([even_or_odd(step) for step in STEPS])


def in_a_switch(rate):
    branches = [rate, lambda step: jnp.float32(0), rate]
    return jax.vmap(lambda step: jax.lax.switch(step % 2 * 2, branches, step))(STEPS)


def in_a_fori_loop(rate):
    empty = jnp.zeros(len(STEPS), jnp.float32)
    return jax.lax.fori_loop(0, len(STEPS), lambda step, into: into.at[step].set(rate(step)), empty)


def in_a_while_loop(rate):
    def body(carry):
        step, into = carry
        return step + 1, into.at[step].set(rate(step))

    empty = (0, jnp.zeros(len(STEPS), jnp.float32))
    return jax.lax.while_loop(lambda carry: carry[0] < len(STEPS), body, empty)[1]


def checkpointed(rate):
    # In a backward pass `jax.checkpoint` evaluates it again.
    return jax.vmap(jax.grad(jax.checkpoint(lambda x, step: x * rate(step))), (None, 0))(1.0, STEPS)


def mapped(rate):
    return jax.lax.map(rate, STEPS)


def exported(rate):
    counts = jax.ShapeDtypeStruct((), jnp.int32)
    written = export.export(jax.jit(rate))(counts).serialize()
    return jnp.stack([export.deserialize(written).call(step) for step in STEPS[:50]])


def exported_for_any_length(rate):
    (length,) = export.symbolic_shape("n")
    written = export.export(jax.jit(rate))(jax.ShapeDtypeStruct((length,), jnp.int32)).serialize()
    return export.deserialize(written).call(STEPS)


def compiled_ahead_of_time(rate):
    return jax.jit(rate).lower(STEPS).compile()(STEPS)


HOW = [
    eagerly,
    eagerly_on_ints,
    jitted,
    jitted_on_constants,
    vmapped_twice_and_jitted,
    scanned,
    in_a_cond,
    in_a_switch,
    in_a_fori_loop,
    in_a_while_loop,
    checkpointed,
    mapped,
    exported,
    exported_for_any_length,
    compiled_ahead_of_time,
]


@pytest.mark.parametrize("how", HOW, ids=lambda how: how.__name__)
def test_rates(how, schedule, on_host, same_bits):
    rates = how(cyclic_lr(rate_only(schedule)))
    same_bits(rates, on_host(schedule.lr)[: len(rates)])


@pytest.mark.parametrize("how", [eagerly, jitted, scanned], ids=lambda how: how.__name__)
def test_momenta(how, schedule, on_host, same_bits):
    same_bits(how(cyclic_momentum(schedule)), on_host(schedule.momentum))


def test_on_two_devices(run):
    """Sharded by `shard_map` and by a sharding of the counts: each device's bits are the host's."""
    output = run(
        """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_jax import cyclic_lr

schedule = CyclicSchedule(
    base_lr=0.001, max_lr=0.006, step_size_up=37, step_size_down=90, mode="exp_range", gamma=0.99
)
expected = np.array([schedule.lr(step) for step in range(300)], np.float32)

def differing(rates):
    return int((np.asarray(rates).view(np.uint32) != expected.view(np.uint32)).sum())

rate, counts = cyclic_lr(schedule), jnp.arange(300)
automatic, explicit = (
    jax.make_mesh((2,), ("d",), axis_types=(kind,))
    for kind in (jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit)
)
mesh, split, whole = automatic, P("d"), P()

ways = {
    "split": jax.shard_map(rate, mesh=mesh, in_specs=split, out_specs=split),
    "whole": jax.shard_map(rate, mesh=mesh, in_specs=whole, out_specs=whole),
    "sum": jax.shard_map(
        lambda count: jax.lax.psum(rate(count), "d") / 2, mesh=mesh, in_specs=whole, out_specs=whole
    ),
}
for name, way in ways.items():
    for each in (way, jax.jit(way)):
        print(name, differing(each(counts)))
for mesh in (automatic, explicit):
    sharded = jax.jit(rate)(jax.device_put(counts, NamedSharding(mesh, split)))
    print("sharding", differing(sharded), len(sharded.sharding.device_set))
""",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    ways = ("split", "whole", "sum")
    assert output.split("\n") == [
        *(f"{name} 0" for name in ways for _ in range(2)),
        "sharding 0 2",
        "sharding 0 2",
        "",
    ]
