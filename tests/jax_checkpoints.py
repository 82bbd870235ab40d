"""Checkpoints of a tree, as users of orbax and flax write them; each returns the path to read."""

import flax.serialization
import orbax.checkpoint


def to_orbax(path, tree):
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)
    return path


def to_zarr(path, tree):
    with orbax.checkpoint.PyTreeCheckpointer(use_ocdbt=False) as checkpointer:
        checkpointer.save(path, tree)
    return path


def to_flax(path, tree):
    path.write_bytes(flax.serialization.to_bytes(tree))
    return path


def to_a_manager(path, tree):
    items = {"state": orbax.checkpoint.args.StandardSave(tree)}
    items["meta"] = orbax.checkpoint.args.JsonSave({"epoch": 3})
    with orbax.checkpoint.CheckpointManager(path) as manager:
        manager.save(300, args=orbax.checkpoint.args.Composite(**items))
        manager.wait_until_finished()
    return path / "300"
