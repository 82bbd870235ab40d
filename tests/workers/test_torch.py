"""PyTorch's engines on several processes: each update, on each rank, is the schedule's."""

import pytest

from workers.launcher import Job


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_ddp_is_killed_and_resumes(optimizer, kills, tmp_path):
    steps, updates = kills if optimizer == "sgd" else ([8], 20)
    job = Job("ddp.py", tmp_path / "killed", 2, updates, [optimizer])
    for number, step in enumerate(steps):
        job.kill(step, first=number % 2)
    job.ends_as_whole()


def test_fsdp_is_killed_and_resumes_on_fewer_and_on_more(tmp_path):
    killed = Job("fsdp.py", tmp_path / "killed", ranks=2, updates=16)
    killed.kill(8)
    jobs = [killed.whole()]
    jobs += [killed.copied(tmp_path / f"on-{ranks}", ranks=ranks) for ranks in (1, 2, 4)]
    for job in jobs:
        job.finish()
        assert job.faults() == []
    # Each rank has the same batch, and the mean of 1, 2 or 4 equal gradients is exact.
    assert all(job.weights() == jobs[0].weights() for job in jobs)


def test_zero_with_micro_batches_is_killed_and_resumes(tmp_path):
    job = Job("zero.py", tmp_path / "killed", ranks=2, updates=16, devices=2)
    job.kill(8)
    job.ends_as_whole()


def test_a_rank_without_its_checkpoint_shows(tmp_path):
    killed = Job("ddp.py", tmp_path / "killed", 2, 16, ["sgd"])
    killed.kill(8)
    assert (
        "resumes at update 0; others at 0 and "
        in killed.copied(tmp_path / "checked", lost=True).fail()
    )
    unchecked = killed.copied(tmp_path / "lost", arguments=["sgd", "--unchecked"], lost=True)
    unchecked.fail()
    assert any("launch 1, rank 1, device 0: begins at [0]" in fault for fault in unchecked.faults())


@pytest.mark.parametrize("script", ["ddp.py", "fsdp.py", "zero.py"])
def test_a_step_too_many_on_one_rank_shows(script, tmp_path):
    devices = 2 if script == "zero.py" else 1
    plant = {"PLANT": "1:3"}
    job = Job(script, tmp_path / "planted", 2, 8, ["sgd"], plant, devices)
    job.finish()
    faults = job.faults()
    assert all("launch 0, rank 1" in fault for fault in faults)
    assert len(faults) == 2 * 4 * devices
    assert "update 4 uses lr=" in faults[0]
