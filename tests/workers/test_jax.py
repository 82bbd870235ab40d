"""JAX on several devices and processes: each update, on each device, is the schedule's."""

import pytest

from workers.launcher import Job


def forced(devices):
    flags = f"--xla_force_host_platform_device_count={devices}"
    return {"devices": devices, "environment": {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}}


@pytest.mark.parametrize("micro_batches", [1, 3])
@pytest.mark.parametrize("engine", ["jit", "shard_map", "pmap"])
def test_four_devices(engine, micro_batches, tmp_path):
    arguments = [engine, str(micro_batches)]
    job = Job("jax_mesh.py", tmp_path, 1, 20, arguments, **forced(4))
    job.finish()
    assert job.faults() == []


def test_processes_are_killed_and_resume(kills, tmp_path):
    steps, updates = kills
    job = Job("jax_processes.py", tmp_path / "killed", 2, updates, **forced(2))
    for number, step in enumerate(steps):
        job.kill(step, first=number % 2)
    job.ends_as_whole()


def test_processes_are_killed_and_resume_on_other_meshes(tmp_path):
    killed = Job("jax_processes.py", tmp_path / "killed", 2, 16, **forced(2))
    killed.kill(8)
    for ranks, devices in ((1, 2), (2, 1), (1, 4)):
        folder = tmp_path / f"on-{ranks}-by-{devices}"
        job = killed.copied(folder, ranks=ranks, **forced(devices))
        job.finish()
        assert job.faults() == []


def test_a_step_too_many_on_one_process_shows(tmp_path):
    job = Job("jax_processes.py", tmp_path / "planted", 2, 8, **forced(2))
    job.environment["PLANT"] = "1:3"
    job.finish()
    faults = job.faults()
    assert all("launch 0, rank 1" in fault for fault in faults)
    assert len(faults) == 2 * 4 * 2
    assert "update 4 uses lr=" in faults[0]
