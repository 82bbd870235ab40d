"""JAX on four devices of one process, by `jit`, `shard_map` or `pmap`, and with `MultiSteps`."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

import clr_jax
from jax_network import batch, loss
from worker import log, schedule, updates

engine, micro_batches = sys.argv[1], int(sys.argv[2])
assert jax.device_count() == 4

optimizer = clr_jax.cyclic_optimizer(optax.adam, schedule)
if micro_batches > 1:
    optimizer = optax.MultiSteps(optimizer, micro_batches)


def update(weights, state, images, labels):
    gradients = jax.grad(loss)(weights, images, labels)
    if engine != "jit":  # There, the compiler adds up the gradients of all devices.
        gradients = jax.lax.pmean(gradients, "data")
    changes, state = optimizer.update(gradients, state, weights)
    return optax.apply_updates(weights, changes), state


mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
everywhere, split = PartitionSpec(), PartitionSpec("data")
random = np.random.default_rng(0)
weights = {
    "hidden": random.normal(size=(8, 8)).astype(np.float32),
    "last": random.normal(size=(8, 1)).astype(np.float32),
}
state = optimizer.init(weights)

if engine == "pmap":
    train_step = jax.pmap(update, axis_name="data")
    weights, state = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), (weights, state))
elif engine == "shard_map":
    train_step = jax.jit(
        jax.shard_map(
            update,
            mesh=mesh,
            in_specs=(everywhere, everywhere, split, split),
            out_specs=everywhere,
        )
    )
else:
    train_step = jax.jit(update, donate_argnums=(0, 1))
    weights, state = jax.device_put((weights, state), NamedSharding(mesh, everywhere))

for number in range(updates * micro_batches):
    images, labels = batch(number)
    if engine == "pmap":
        images, labels = (each.reshape(4, 2, -1) for each in (images, labels))
    else:
        images, labels = jax.device_put((images, labels), NamedSharding(mesh, split))
    weights, state = train_step(weights, state, images, labels)
    if (number + 1) % micro_batches == 0:
        inner = state.inner_opt_state if micro_batches > 1 else state
        used = (inner.hyperparams[name].addressable_shards for name in ("learning_rate", "b1"))
        for device, (lr, momentum) in enumerate(zip(*used, strict=True)):
            log(number // micro_batches, lr.data.item(), momentum.data.item(), device)

if engine == "pmap":
    state = jax.tree.map(lambda leaf: leaf[0], state)
assert clr_jax.to_record(schedule, state).step == updates
