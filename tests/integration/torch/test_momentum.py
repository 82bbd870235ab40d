"""The place of momentum in each optimizer, and the values that don't change."""

import pytest
import torch

from clr_core import CyclicSchedule, Record
from clr_torch import CyclicLR, from_record
from needs import needs

SCHEDULE = CyclicSchedule(
    base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.75, max_momentum=0.875
)
MOMENTA = [0.875, 0.8125, 0.75, 0.8125, 0.875]


def make(name, **arguments):
    weight = torch.nn.Parameter(torch.ones(4, 4))
    return getattr(torch.optim, name)([weight], **{"lr": 0.3} | arguments)


def over(optimizer, scheduler):
    """The parameter group before each of five updates."""
    for _ in range(5):
        yield optimizer.param_groups[0]
        optimizer.param_groups[0]["params"][0].grad = torch.ones(4, 4)
        optimizer.step()
        scheduler.step()


MUON = pytest.param("Muon", marks=needs("torch.optim.Muon"))
BETAS = ["Adam", "AdamW", "NAdam", "RAdam", "Adamax"]


@pytest.mark.parametrize("name", ["SGD", "RMSprop", MUON, *BETAS])
def test_momentum(name):
    key, others = ("betas", (0.99,)) if name in BETAS else ("momentum", None)
    optimizer = make(name, **{key: (0.5, *others) if others else 0.5})
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    for step, group in enumerate(over(optimizer, scheduler)):
        momentum = MOMENTA[step]
        assert scheduler.get_last_lr() == [group["lr"]] == [SCHEDULE.lr(step)]
        assert scheduler.get_last_momentum() == [momentum]
        assert group[key] == ((momentum, *others) if others else momentum)
        assert name not in BETAS or "momentum" not in group


@pytest.mark.parametrize(("name", "key"), [("SGD", "momentum"), ("Adam", "betas")])
def test_without_cycle_momentum_it_is_left_alone(name, key):
    optimizer = make(name, **({"momentum": 0.5} if key == "momentum" else {"betas": (0.5, 0.99)}))
    before = optimizer.param_groups[0][key]
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 2, cycle_momentum=False)
    assert all(group[key] == before for group in over(optimizer, scheduler))
    assert scheduler.get_last_momentum() == [None]


def test_get_last_momentum_is_a_copy():
    scheduler = CyclicLR.from_schedule(make("SGD", momentum=0.5), SCHEDULE)
    scheduler.get_last_momentum().clear()
    assert scheduler.get_last_momentum() == [0.875]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_get_lr_writes_nothing(name, unchanged):
    # Torch's own `get_lr()` sets the momentum, and warns unless `step()` calls it.
    momentum = {"momentum": 0.5} if name == "SGD" else {"betas": (0.5, 0.99)}
    optimizer = make(name, **momentum)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    assert scheduler.get_lr() == [SCHEDULE.lr(0)]
    optimizer.step()
    scheduler.step()
    optimizer.param_groups[0] |= {"lr": 7.0} | momentum
    before = scheduler.state_dict()
    with unchanged(optimizer):
        assert scheduler.get_lr() == [SCHEDULE.lr(1)]
    assert scheduler.state_dict() == before


def test_a_momentum_that_reaches_0_comes_back():
    # It is 0 at the peak, but the optimizer isn't one without momentum. A scheduler made at that
    # step must see this too, for the same optimizer or for a loaded one.
    schedule = CyclicSchedule(
        base_lr=0.1, max_lr=0.5, step_size_up=1, base_momentum=0.0, max_momentum=0.5
    )
    optimizer = make("SGD", momentum=0.5)
    scheduler = CyclicLR.from_schedule(optimizer, schedule)
    seen = [group["momentum"] for group in over(optimizer, scheduler)]
    assert seen == [0.5, 0.0, 0.5, 0.0, 0.5]
    assert optimizer.param_groups[0]["momentum"] == 0.0

    other = make("SGD", momentum=0.5)
    other.load_state_dict(optimizer.state_dict())
    for each in (optimizer, other):
        CyclicLR(each, 0.1, 0.5, 1, base_momentum=0.0, max_momentum=0.5, last_epoch=5)
        assert each.param_groups[0]["momentum"] == 0.5


def test_dicts_of_another_optimizer_keep_its_keys():
    # An optimizer writes its defaults into the dicts that it is given (pytorch #51794).
    for first, second, key in (
        ({"name": "Adam"}, {"name": "SGD", "momentum": 0.9}, "momentum"),
        ({"name": "SGD", "momentum": 0.5}, {"name": "Adam", "betas": (0.9, 0.99)}, "betas"),
        ({"name": "NAdam"}, {"name": "RMSprop", "momentum": 0.9}, "momentum"),
    ):
        groups = [{"params": [torch.nn.Parameter(torch.ones(4, 4))]}]
        kinds = [getattr(torch.optim, each.pop("name")) for each in (first, second)]
        kinds[0](groups, lr=0.1, **first)
        optimizer = kinds[1](groups, lr=0.1, **second)
        others = {name: groups[0][name] for name in {"momentum", "betas"} - {key} & {*groups[0]}}
        scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
        seen = [group[key] for group in over(optimizer, scheduler)]
        assert [each if key == "momentum" else each[0] for each in seen] == MOMENTA
        assert {name: optimizer.param_groups[0][name] for name in others} == others


def test_dicts_of_another_optimizer_give_no_momentum():
    groups = [{"params": [torch.nn.Parameter(torch.ones(3))]}]
    torch.optim.Adam(groups)
    with pytest.raises(ValueError, match="`optimizer` must have `momentum` or `betas`"):
        CyclicLR(torch.optim.Adagrad(groups, lr=0.1), 0.1, 0.5)
    assert groups[0]["betas"] == (0.9, 0.999)


class Hybrid(torch.optim.Optimizer):
    """Two rules in one optimizer: its defaults are empty, and each group has what it reads."""

    def __init__(self, *groups):
        weights = ({"params": [torch.nn.Parameter(torch.ones(3))]} | group for group in groups)
        super().__init__(list(weights), {})

    def step(self):
        """An update that changes nothing."""


class Wrapper(torch.optim.Optimizer):
    """Around another optimizer, without `super().__init__()`, and so without defaults."""

    def __init__(self, inner):
        self.inner = inner

    param_groups = property(lambda self: self.inner.param_groups)

    def step(self):
        self.inner.step()


def test_hybrids_and_wrappers():
    hybrid = Hybrid({"lr": 0.1, "momentum": 0.9}, {"lr": 0.1, "betas": (0.9, 0.99)})
    wrapper = Wrapper(make("SGD", momentum=0.9))
    for optimizer in (hybrid, wrapper):
        scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
        for momentum in MOMENTA:
            assert scheduler.get_last_momentum() == [momentum] * len(optimizer.param_groups)
            optimizer.step()
            scheduler.step()
    CyclicLR.from_schedule(hybrid, SCHEDULE, last_epoch=1)
    assert [group.get("betas", group.get("momentum")) for group in hybrid.param_groups] == [
        0.75,
        (0.75, 0.99),
    ]


@pytest.mark.parametrize(
    ("defaults", "key", "expected"),
    [
        ({"momentum": 0.9, "betas": (0.9, 0.99)}, None, {"betas": (0.75, 0.99), "momentum": 0.9}),
        (
            {"momentum": 0.9, "betas": (0.9, 0.99)},
            "momentum",
            {"betas": (0.9, 0.99), "momentum": 0.75},
        ),
        ({"momentum": 0.9, "betas": None}, None, {"betas": None, "momentum": 0.75}),
        ({"beta1": 0.9, "beta2": 0.99}, "beta1", {"beta1": 0.75, "beta2": 0.99}),
        ({"beta": [0.9, 0.95, 0.99]}, "beta", {"beta": (0.75, 0.95, 0.99)}),
        ({"mu": torch.tensor(0.9)}, "mu", {"mu": torch.tensor(0.75)}),
        ({"betas": torch.tensor([0.5, 0.25])}, None, {"betas": torch.tensor([0.75, 0.25])}),
    ],
    ids=str,
)
def test_the_key_may_be_named(defaults, key, expected):
    class Named(Hybrid):
        def __init__(self):
            weight = torch.nn.Parameter(torch.ones(3))
            torch.optim.Optimizer.__init__(self, [weight], {"lr": 0.1} | defaults)

    momenta = {"base_momentum": 0.75, "max_momentum": 0.875}
    made = (
        lambda optimizer: CyclicLR(optimizer, 0.1, 0.5, 2, **momenta, momentum_key=key),
        lambda optimizer: CyclicLR.from_schedule(optimizer, SCHEDULE, momentum_key=key),
        lambda optimizer: from_record(Record(SCHEDULE), optimizer, momentum_key=key),
    )
    for make_one in made:
        optimizer = Named()
        scheduler = make_one(optimizer)
        for _ in range(2):
            optimizer.step()
            scheduler.step()
        assert scheduler.get_last_momentum() == [0.75]
        (group,) = optimizer.param_groups
        found = {name: group[name] for name in expected}
        assert str(found) == str(expected)


@pytest.mark.parametrize(
    ("group", "arguments", "message"),
    [
        (
            {"beta1": 0.9},
            {},
            r"have `momentum` or `betas` .* Name the key, such as .*='beta1'\. Or",
        ),
        (
            {"momentum": 0.9},
            {"momentum_key": "beta"},
            "under 'beta' in .* with no 'beta' in group 0",
        ),
        ({"mu": "much"}, {"momentum_key": "mu"}, "under 'mu' in .* with mu='much' in group 0"),
        ({"betas": None}, {}, "have `momentum` or `betas` .* with betas=None in group 0"),
        ({"betas": ()}, {}, r"under 'betas' .* with betas=\(\) in group 0"),
    ],
    ids=str,
)
def test_what_is_no_momentum_is_refused(group, arguments, message, unchanged):
    optimizer = Hybrid({"lr": 0.1} | group)
    with unchanged(optimizer), pytest.raises(ValueError, match=message):
        CyclicLR(optimizer, 0.1, 0.5, **arguments)
    with unchanged(optimizer), pytest.raises(ValueError, match=message):
        CyclicLR.from_schedule(optimizer, SCHEDULE, **arguments)


def test_a_key_that_nobody_needs_is_said():
    with pytest.warns(UserWarning, match="^`momentum_key` is ignored: the momentum isn't cycled"):
        CyclicLR(make("SGD"), 0.1, 0.5, cycle_momentum=False, momentum_key="momentum")
    with pytest.raises(TypeError, match=r"^`momentum_key` must be text or None"):
        CyclicLR(make("SGD", momentum=0.9), 0.1, 0.5, momentum_key=3)


def test_no_marks_are_left_in_the_groups():
    # They would go into each checkpoint. `initial_lr` is the key of torch's base class.
    for name in ("SGD", "Adam"):
        optimizer = make(name, **({"momentum": 0.9} if name == "SGD" else {}))
        before = set(optimizer.param_groups[0])
        CyclicLR.from_schedule(optimizer, SCHEDULE)
        assert set(optimizer.param_groups[0]) - before == {"initial_lr"}


def test_a_momentum_that_was_set_to_0_by_hand_stays_0():
    optimizer = make("SGD", momentum=0.9)
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 2)
    for _ in over(optimizer, scheduler):
        pass
    optimizer.param_groups[0]["momentum"] = 0.0
    with pytest.warns(UserWarning, match="stays 0"):
        second = CyclicLR(optimizer, 0.1, 0.5, 2, last_epoch=scheduler.last_epoch - 1)
    assert [group["momentum"] for group in over(optimizer, second)] == [0.0] * 5


def test_marks_of_older_versions_mean_nothing():
    # Ours was `initial_momentum`; torch's class leaves two.
    marks = {"initial_momentum": 0.9, "base_momentum": 0.1, "max_momentum": 0.2}
    optimizer = make("SGD", momentum=0.0)
    optimizer.param_groups[0] |= marks
    with pytest.warns(UserWarning, match="stays 0"):
        scheduler = CyclicLR(optimizer, 0.1, 0.5, 2)
    assert scheduler.get_last_momentum() == [None]
    assert optimizer.param_groups[0].items() >= marks.items()
