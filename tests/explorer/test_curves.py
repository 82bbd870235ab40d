"""The browser is one more host: the same bits as everywhere."""

import random

import pytest

from clr_core.conformance import check
from schedules import random_of_any_kind, random_steps

from .conftest import address, values, visit

pytestmark = pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")


@pytest.fixture
def curves(page):
    """The rates and the momenta at steps, of a schedule that a link opens."""

    def of(schedule, steps):
        visit(page, address(schedule))
        assert not page.is_visible("#unread")
        return values(page, steps)

    return of


def test_golden_curves(curves):
    compared = check(
        lambda schedule, steps: curves(schedule, steps)[0],
        lambda schedule, steps: curves(schedule, steps)[1],
    )
    assert compared > 4000


def test_float64_bits(curves):
    rng = random.Random(17)
    for _ in range(60):
        schedule = random_of_any_kind(rng)
        steps = random_steps(rng, schedule, 40, 2**53)
        rates, momenta = curves(schedule, steps)
        assert [each.hex() for each in rates] == [schedule.lr(step).hex() for step in steps]
        if momenta is not None:
            assert momenta == [schedule.momentum(step) for step in steps]
