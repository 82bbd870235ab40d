"""`torch.optim.swa_utils`: an averaged model beside a schedule, and SWALR after it."""

import pytest
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn

from clr_torch import CyclicLR
from trainers.following import SCHEDULE, assert_followed
from trainers.torch.problem import batches, bits, loss_of, network, sgd
from trainers.torch.watching import watched


def train(model, optimizer, after_update, epochs=2):
    used, updates = watched(optimizer), 0
    for _ in range(epochs):
        for images, labels in batches():
            optimizer.zero_grad()
            loss_of(model(images), labels).backward()
            optimizer.step()
            updates += 1
            after_update(updates)
    return used


def averaging(ema, arguments, *, is_averaged):
    """The weights of the model and of its average."""
    model = network()
    optimizer = sgd(model)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, **arguments)
    averaged = AveragedModel(model, multi_avg_fn=ema)

    def after_update(_):
        scheduler.step()
        if is_averaged:
            averaged.update_parameters(model)

    assert_followed(train(model, optimizer, after_update), 40)
    return bits(model), bits(averaged.module)


@pytest.mark.parametrize("arguments", [{}, {"step_with_optimizer": True}])
@pytest.mark.parametrize("ema", [None, get_ema_multi_avg_fn(0.9)])
def test_an_averaged_model_changes_nothing(arguments, ema):
    model, average = averaging(ema, arguments, is_averaged=True)
    assert model != average
    assert model == averaging(ema, arguments, is_averaged=False)[0]


@pytest.mark.parametrize("is_made_later", [False, True])
def test_swalr_takes_over(is_made_later):
    model = network()
    optimizer = sgd(model)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    swa = None if is_made_later else SWALR(optimizer, swa_lr=0.02, anneal_epochs=5)

    def after_update(updates):
        nonlocal swa
        if updates < 25:
            scheduler.step()
        else:
            swa = swa or SWALR(optimizer, swa_lr=0.02, anneal_epochs=5)
            swa.step()

    used = train(model, optimizer, after_update)
    assert_followed(used[:25], 25)
    lrs = [lr for lr, _ in used]
    assert SCHEDULE.lr(24) < lrs[25] < lrs[28] < lrs[29] == lrs[-1] == 0.02
    assert {momentum for _, momentum in used[25:]} == {SCHEDULE.momentum(24)}


def test_swalr_beside_one_that_steps_with_the_optimizer_is_said_once():
    model = network()
    optimizer = sgd(model)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    swa = SWALR(optimizer, swa_lr=0.02, anneal_epochs=5)
    with pytest.warns(UserWarning, match="something else wrote it, and `step") as said:
        train(model, optimizer, lambda updates: swa.step() if updates >= 25 else None)
    assert len(said) == 1
    assert scheduler.last_epoch == 40
