"""Every adapter gives the same curve: the golden ones, random ones, on every path it has.

Zero differing float32 bits; there is no tolerance in this file.
"""

import random
import struct

import pytest

import oracle
from clr_core.conformance import check, differences, golden_curves
from schedules import (
    expected,
    expected_momenta,
    random_expression_schedule,
    random_of_any_kind,
    random_steps,
)

SCHEDULES = 125
STEPS = 17  # Of each: 2,000 pairs or so in all, since some steps come twice.
AT_ONCE = 10  # Curves in a program: to compile a program for each takes twice as long.

pytestmark = pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")


def test_golden_curves(row):
    assert check(row.lrs, row.momenta, row.MAX_STEP) > 4000


def test_random_pairs(row):
    rng = random.Random(20170404)
    complaints, compared, apart = [], 0, 0
    for _ in range(SCHEDULES):
        schedule = random_of_any_kind(rng)
        steps = random_steps(rng, schedule, STEPS, row.MAX_STEP)
        rates = dict(zip(steps, row.lrs(schedule, steps), strict=True))
        wanted, near = expected(schedule, steps)
        complaints += _complaints("lr", schedule, wanted, rates)
        if row.momenta and schedule.momentum(0) is not None:
            given = dict(zip(steps, row.momenta(schedule, steps), strict=True))
            momenta, near_too = expected_momenta(schedule, steps)
            complaints += _complaints("momentum", schedule, momenta, given)
            near += near_too
        compared, apart = compared + len(wanted), apart + near
        complaints += _beyond_one_ulp(schedule, steps, wanted, rates)
    print(f"{compared} random pairs, {apart} more near a midpoint of two float32 numbers")
    assert not complaints, "\n".join(complaints)
    assert compared > 0.9 * SCHEDULES * STEPS


def _complaints(what, schedule, wanted, given):
    lines = differences(wanted, [given[step] for step in wanted])
    return [f"{what} of {schedule!r}:", *lines] if lines else []


def _beyond_one_ulp(schedule, steps, settled, rates):
    """Near a midpoint either neighbour is right, and nothing else."""
    return [
        f"lr of {schedule!r} at step {step}, near a midpoint: got {rates[step]!r}"
        for step in set(steps) - set(settled)
        if oracle.ulps32(
            oracle.to_float32(oracle.lr(schedule.to_dict(), step)), _as_float32(rates[step])
        )
        > 1
    ]


def _as_float32(number):
    return struct.unpack("<f", struct.pack("<f", number))[0]


def test_an_update_moves_by_the_rate(row):
    """The rate that an optimizer shows is the one that it uses."""
    if not hasattr(row, "moves"):
        pytest.skip("this row has no optimizer")
    smallest = 2.0**-126  # Below it, XLA and TensorFlow take a float32 for zero when they multiply.
    curves = {curve.name: curve for curve in golden_curves()}
    for name in ("triangular-fractional-float32", "triangular2-short-zero", "cycle 1 / x"):
        curve = curves[name]
        wanted = {
            step: lr
            for step, lr in zip(curve.steps, curve.lrs, strict=True)
            if step <= row.MAX_STEP and (lr == 0.0 or lr >= smallest)
        }
        lines = differences(wanted, row.moves(curve.schedule, list(wanted)))
        assert not lines, "\n".join([f"{curve.schedule!r}:", *lines])


def test_arrays_and_compiled_code(row, np):
    """Each path through an array library gives the golden curves too."""
    every = getattr(row, "EVERY", {})  # A path that takes seconds for each has a share of them.
    for number, curve in enumerate(each for each in golden_curves() if _cheap(each.name)):
        wanted = {
            step: lr
            for step, lr in zip(curve.steps, curve.lrs, strict=True)
            if step <= row.MAX_STEP
        }
        steps = np.array(list(wanted), _integer(np, row))
        for path, rates in row.CURVES.items():
            if number % every.get(path, 1):
                continue
            lines = differences(wanted, np.asarray(rates(curve.schedule, steps)).tolist())
            assert not lines, "\n".join([f"{path}, {curve.schedule!r}:", *lines])


def _cheap(name):
    """Compiling takes a second for each: every decay and expression, not every size and band."""
    return name.endswith(("equal-decimal", "fractional-float32", "short-zero")) or " " in name


def _integer(np, row):
    return np.int64 if row.MAX_STEP > 2**31 else np.int32


def test_float64_bits(row, np):
    """In every mode, hosts agree in every float64 bit."""
    rng, curves = random.Random(1), []
    for _ in range(30):
        schedule = random_of_any_kind(rng)
        steps = random_steps(rng, schedule, 2000, row.MAX_STEP)
        curves.append((schedule, steps, [schedule.lr(step) for step in steps]))
    for path in row.FLOAT64:
        _assert_same_float64(np, row, path, curves)


def test_float64_bits_of_expressions(row, np):
    _compare_expressions(np, row, 300, random.Random(2))


@pytest.mark.slow
def test_float64_bits_of_more_expressions(row, np):
    _compare_expressions(np, row, 3000, random.Random(3))


def _compare_expressions(np, row, number, rng):
    """Random expressions at 1,000 steps each: NumPy's bits in each host, Python's in NumPy.

    Each path of the host takes its share of them.
    """
    curves = []
    for _ in range(number):
        schedule = random_expression_schedule(rng)
        steps = [int(10 ** rng.uniform(0, 6)) for _ in range(1000)]
        host = schedule.lr(np.array(steps))
        for step in rng.sample(range(len(steps)), 20):
            given = schedule.lr(steps[step])
            assert given == host[step] or given != given, (schedule, steps[step])
        curves.append((schedule, steps, host))
    paths = len(row.FLOAT64)
    for index, path in enumerate(row.FLOAT64):
        _assert_same_float64(np, row, path, curves[index::paths])


def _assert_same_float64(np, row, path, curves):
    """A path takes some curves at a time, to compile them at once."""
    for first in range(0, len(curves), AT_ONCE):
        schedules, steps, hosts = zip(*curves[first : first + AT_ONCE], strict=True)
        steps = [np.array(each, _integer(np, row)) for each in steps]
        given = row.FLOAT64[path](schedules, steps)
        for compared in zip(schedules, steps, map(np.array, hosts), given, strict=True):
            _compare_float64(np, path, *compared)


def _compare_float64(np, path, schedule, steps, host, given):
    given = np.asarray(given)
    assert given.dtype == np.float64
    # XLA and TensorFlow have no numbers below float64's normal range.
    normal = (host == 0.0) | (abs(host) >= 2.0**-1022) | np.isnan(host)
    same = (given == host) | (np.isnan(given) & np.isnan(host))
    (differing,) = np.nonzero(normal & ~same)
    assert not differing.size, (
        f"{path}, {schedule!r}: {differing.size} differ; step {steps[differing[0]]}: "
        f"expected {host[differing[0]]!r}, got {given[differing[0]]!r}"
    )


@pytest.mark.slow
def test_a_million_points(row, np):
    """1,300 random schedules on arrays, some path of the host for each, against the oracle."""
    rng = random.Random(2026)
    complaints, compared, apart = [], 0, 0
    for _ in range(1300):
        schedule = random_of_any_kind(rng)
        steps = random_steps(rng, schedule, 1000, row.MAX_STEP)
        wanted, near = expected(schedule, steps)
        compared, apart = compared + len(wanted), apart + near
        path, rates = rng.choice(list(row.CURVES.items()))
        given = np.asarray(rates(schedule, np.array(steps, _integer(np, row)))).tolist()
        complaints += _complaints(path, schedule, wanted, dict(zip(steps, given, strict=True)))
    print(f"{compared} points, {apart} more near a midpoint of two float32 numbers")
    assert not complaints, "\n".join(complaints[:100])
    assert compared > 1_000_000
