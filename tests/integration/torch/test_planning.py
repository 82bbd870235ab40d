"""`suggest_schedule` counts batches and updates as torch's own loaders and samplers do."""

import pytest
import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from clr_core import suggest_schedule
from clr_torch import CyclicLR

EPOCHS = 4


def loader(samples, batch_size, processes, sampler_drops, loader_drops):
    data = torch.arange(samples)
    if processes == 1:
        return DataLoader(data, batch_size, shuffle=True, drop_last=loader_drops)
    sampler = DistributedSampler(
        data, num_replicas=processes, rank=processes - 1, drop_last=sampler_drops
    )
    return DataLoader(data, batch_size, sampler=sampler, drop_last=loader_drops)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_batches_of_an_epoch(processes, drop_last):
    for samples in (1, 7, 8, 9, 19, 24, 25, 63, 64, 65):
        for batch_size in (1, 4, 5, 8, 100):
            batches = list(loader(samples, batch_size, processes, drop_last, drop_last))
            sizes = {"samples": samples, "batch_size": batch_size, "processes": processes}
            if not batches:
                with pytest.raises(ValueError, match="must have a full batch"):
                    suggest_schedule(**sizes, epochs=EPOCHS, max_lr=0.1, drop_last=drop_last)
                continue
            found = suggest_schedule(**sizes, epochs=EPOCHS, max_lr=0.1, drop_last=drop_last)
            assert found.batches_per_epoch == len(batches), sizes


def test_drop_last_of_the_loader_alone():
    """The number of batches differs exactly if the warning says so."""
    warned = 0
    for samples in range(16, 80):
        for processes in (2, 3):
            both = list(loader(samples, 5, processes, True, True))
            alone = list(loader(samples, 5, processes, False, True))
            found = suggest_schedule(
                samples=samples,
                batch_size=5,
                processes=processes,
                epochs=EPOCHS,
                max_lr=0.1,
                drop_last=True,
            )
            said = [each for each in found.warnings if "DataLoader alone" in each]
            assert bool(said) == (len(alone) != len(both))
            if said:
                warned += 1
                assert f"an epoch has {len(alone)} batch" in said[0]
    assert warned > 5


@pytest.mark.parametrize(("samples", "accumulation"), [(100, 1), (100, 2), (100, 3), (103, 4)])
def test_a_training_with_these_numbers_ends_at_base_lr(samples, accumulation):
    """In a loop that makes an update of the leftover batches, as Lightning and Accelerate do."""
    found = suggest_schedule(
        samples=samples,
        batch_size=10,
        epochs=EPOCHS,
        max_lr=0.1,
        accumulation_steps=accumulation,
    )
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight])
    scheduler = CyclicLR.from_schedule(optimizer, found.schedule)
    batches = loader(samples, 10, 1, False, False)
    for _ in range(EPOCHS):
        for i, batch in enumerate(batches, start=1):
            (weight * batch.float().mean()).sum().backward()
            if i % accumulation == 0 or i == len(batches):
                optimizer.step()
                optimizer.zero_grad()
                scheduler.step()
    assert scheduler.last_epoch == found.steps
    # The size of a cycle is rounded to float64.
    assert optimizer.param_groups[0]["lr"] == pytest.approx(found.schedule.base_lr, rel=1e-12)


def test_updates_of_a_loop_that_drops_what_is_left_over():
    (warning,) = suggest_schedule(
        samples=100, batch_size=10, epochs=EPOCHS, max_lr=0.1, accumulation_steps=4
    ).warnings
    batches = loader(100, 10, 1, False, False)
    updates = sum(i % 4 == 0 for i, _ in enumerate(batches, start=1))
    assert f"A loop that drops them makes {updates} updates in an epoch" in warning
    assert f"make {EPOCHS * len(batches) // 4} in all" in warning
