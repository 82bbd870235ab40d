"""The browser is one more host: the same bits as everywhere."""

import json
import random

import pytest

from clr_core.conformance import check
from schedules import random_of_any_kind, random_steps

from .conftest import address

pytestmark = pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")


@pytest.fixture
def values(page):
    """The rates and the momenta at steps, of the schedule at an address."""

    def of(schedule, steps):
        found = page.evaluate(
            """async ([address, steps]) => {
                const { page } = await (await import("./explorer.js")).ready;
                const { unread } = JSON.parse(page.opened(address, 800));
                if (unread) throw new Error(unread);
                return page.values(steps);
            }""",
            [address(schedule), json.dumps(list(steps))],
        )
        return [each and list(map(float.fromhex, each)) for each in json.loads(found)]

    return of


def test_golden_curves(values):
    compared = check(
        lambda schedule, steps: values(schedule, steps)[0],
        lambda schedule, steps: values(schedule, steps)[1],
    )
    assert compared > 4000


def test_float64_bits(values):
    rng = random.Random(17)
    for _ in range(60):
        schedule = random_of_any_kind(rng)
        steps = random_steps(rng, schedule, 40, 2**53)
        rates, momenta = values(schedule, steps)
        assert [each.hex() for each in rates] == [schedule.lr(step).hex() for step in steps]
        if momenta is not None:
            assert momenta == [schedule.momentum(step) for step in steps]
