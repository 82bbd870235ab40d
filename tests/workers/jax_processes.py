"""JAX on the devices of several processes, with a checkpoint of orbax after each update."""

from pathlib import Path

import jax
import numpy as np
import optax
import orbax.checkpoint
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

import clr_jax
from jax_network import batch, loss
from worker import coordinator, log, planted, rank, schedule, updates, world


def placed(tree, sharding):
    """The arrays on the devices of all processes, each of which has them whole."""
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(
            np.shape(leaf), sharding, lambda index: np.asarray(leaf)[index]
        ),
        tree,
    )


jax.distributed.initialize(coordinator, num_processes=world, process_id=rank)
mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
replicated = NamedSharding(mesh, PartitionSpec())
split = NamedSharding(mesh, PartitionSpec("data"))
optimizer = clr_jax.cyclic_optimizer(optax.adam, schedule)


@jax.jit
def train_step(weights, state, images, labels):
    gradients = jax.grad(loss)(weights, images, labels)
    changes, state = optimizer.update(gradients, state, weights)
    return optax.apply_updates(weights, changes), state


random = np.random.default_rng(0)
weights = {
    "hidden": random.normal(size=(8, 8)).astype(np.float32),
    "last": random.normal(size=(8, 1)).astype(np.float32),
}
weights = placed(weights, split)
state = optimizer.init(weights)
# The rows of the weights and moments are split among the devices; counts and rates are everywhere.
state = jax.tree.map(lambda leaf: leaf if leaf.ndim else placed(leaf, replicated), state)

checkpoints = orbax.checkpoint.CheckpointManager(
    Path("run").absolute(),
    options=orbax.checkpoint.CheckpointManagerOptions(max_to_keep=2),
)
first = checkpoints.latest_step() or 0
if first:
    template = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding),
        {"weights": weights, "state": state},
    )
    restored = checkpoints.restore(first, args=orbax.checkpoint.args.StandardRestore(template))
    weights, state = restored["weights"], restored["state"]

assert clr_jax.to_record(schedule, state).step == first
multihost_utils.assert_equal(first, "Processes resume at different updates")

for step in range(first, updates):
    weights, state = train_step(weights, state, *placed(batch(step), split))
    used = (clr_jax.current_lr(state), clr_jax.current_momentum(state))
    for device, (lr, momentum) in enumerate(
        zip(*(e.addressable_shards for e in used), strict=True)
    ):
        log(step, lr.data.item(), momentum.data.item(), device)
    if planted(step):
        state = clr_jax.set_step(state, step + 2)
    checkpoints.save(
        step + 1, args=orbax.checkpoint.args.StandardSave({"weights": weights, "state": state})
    )
    checkpoints.wait_until_finished()

whole = multihost_utils.process_allgather(weights, tiled=True)
np.savez(f"weights-{rank}.npz", **whole)
checkpoints.close()
