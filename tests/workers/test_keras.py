"""Keras on several devices and processes: each update, on each device, is the schedule's."""

import pytest

from workers.launcher import Job

TENSORFLOW = {"KERAS_BACKEND": "tensorflow"}
JAX = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
}


def mirrored(folder, optimizer, **options):
    arguments = ["2", optimizer]
    return Job("mirrored.py", folder, 1, 16, arguments, TENSORFLOW, devices=2, **options)


def test_mirrored_is_killed_and_resumes_on_two_and_on_one(tmp_path):
    killed = mirrored(tmp_path / "killed", "clr_keras")
    killed.kill(8)
    job = killed.copied(tmp_path / "on-2")
    alone = killed.copied(tmp_path / "on-1", arguments=["1", "clr_keras"], devices=1)
    alone.finish()
    assert alone.faults() == []
    job.ends_as_whole()


def test_mirrored_with_an_optimizer_of_keras(tmp_path):
    job = mirrored(tmp_path, "keras", momentum=False)
    job.finish()
    assert job.faults() == []


def test_mirrored_with_an_optimizer_made_outside_of_the_scope(tmp_path):
    # Each replica would count the same variable up, and the curve would run twice as fast.
    job = mirrored(tmp_path, "outside", momentum=False)
    assert "The optimizer must be made within `strategy.scope()`" in job.fail()


@pytest.mark.parametrize(
    ("script", "environment", "ranks", "devices"),
    [("multi_worker.py", TENSORFLOW, 2, 1), ("keras_distribution.py", JAX, 1, 4)],
)
def test_is_killed_and_resumes(script, environment, ranks, devices, tmp_path):
    job = Job(script, tmp_path / "killed", ranks, 16, environment=environment, devices=devices)
    job.kill(8, first=ranks - 1)
    job.ends_as_whole()


def test_fit_is_killed_and_restored(kills, tmp_path):
    steps, updates = kills
    job = Job("backup.py", tmp_path / "killed", 1, updates, environment=TENSORFLOW, save_every=4)
    for step in steps:
        # Not while Keras writes its files, which a kill may leave half written.
        job.kill(step - 1 if step % 4 == 3 else step)
    job.ends_as_whole()
