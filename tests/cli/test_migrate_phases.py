"""One cycle, warm restarts and their kin in Python files, read as phases and never executed.

`tests/integration` holds the curves against the libraries.
"""

import pytest

from clr_cli.migrate import as_text, migrate, rewritten
from clr_core.record import Record
from clr_core.schedules import originals

HEAD = """\
import keras, optax, torch, transformers
import tensorflow as tf
import torch.optim.lr_scheduler as S
from keras.optimizers.schedules import CosineDecay as Decay

N = 40
STEPS = 10 * N
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
"""
SGDR = {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 2, "decay_steps": 9}
# A call, and the schedule that it means.
CALLS = {
    "S.OneCycleLR(optimizer, 0.1, N)": originals.torch_one_cycle(0.1, 40),
    "S.OneCycleLR(optimizer, max_lr=1e-1, total_steps=STEPS + 2, three_phase=True)": (
        originals.torch_one_cycle(0.1, 402, three_phase=True)
    ),
    "S.OneCycleLR(optimizer, 0.1, epochs=4, steps_per_epoch=N // 4, cycle_momentum=False)": (
        originals.torch_one_cycle(0.1, 40, cycle_momentum=False)
    ),
    "S.CosineAnnealingLR(optimizer, N, 1e-4)": originals.torch_cosine_annealing(0.1, 40, 1e-4),
    "S.CosineAnnealingWarmRestarts(optimizer, T_0=N, T_mult=2)": (
        originals.torch_warm_restarts(0.1, 40, 2)
    ),
    "S.LinearLR(optimizer, total_iters=int(0.25 * N))": (
        originals.torch_linear(0.1, total_iters=10)
    ),
    "S.ConstantLR(optimizer, verbose=False)": originals.torch_constant(0.1),
    "S.SequentialLR(optimizer, [S.LinearLR(optimizer), S.ConstantLR(optimizer)], [9])": (
        originals.joined([originals.torch_linear(0.1), originals.torch_constant(0.1)], [9])
    ),
    "transformers.get_linear_schedule_with_warmup(optimizer, 5, N)": (
        originals.transformers_linear(0.1, 5, 40)
    ),
    "transformers.optimization.get_cosine_schedule_with_warmup(optimizer, 5, N)": (
        originals.transformers_cosine(0.1, 5, 40)
    ),
    "transformers.get_wsd_schedule(optimizer, 5, 20, num_stable_steps=N)": (
        originals.transformers_wsd(0.1, 5, 20, num_stable_steps=40)
    ),
    "Decay(0.0, 100, warmup_target=1e-3, warmup_steps=N)": (
        originals.keras_cosine_decay(0.0, 100, 0.0, 1e-3, 40)
    ),
    "tf.keras.optimizers.schedules.CosineDecayRestarts(0.1, N, name='mine')": (
        originals.keras_cosine_decay_restarts(0.1, 40)
    ),
    "optax.cosine_onecycle_schedule(N, 0.1)": originals.optax_cosine_onecycle(40, 0.1),
    "optax.schedules.linear_onecycle_schedule(N, 0.1)": originals.optax_linear_onecycle(40, 0.1),
    "optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, decay_steps=N)": (
        originals.optax_warmup_cosine_decay(0.0, 0.1, 10, 40)
    ),
    "optax.cosine_decay_schedule(0.1, N, -0.0)": originals.optax_cosine_decay(0.1, 40),
    "optax.linear_schedule(0.1, 0.0, N)": originals.optax_linear(0.1, 0.0, 40),
    f"optax.sgdr_schedule([{SGDR!r}, dict(init_value=0, peak_value=1, warmup_steps=2, "
    "decay_steps=4)])": (
        originals.optax_sgdr(
            [SGDR, {"init_value": 0, "peak_value": 1, "warmup_steps": 2, "decay_steps": 4}]
        )
    ),
    "optax.join_schedules([optax.linear_schedule(0, 0.1, 9), optax.constant_schedule(.1)], [9])": (
        originals.joined([originals.optax_linear(0.0, 0.1, 9), originals.optax_constant(0.1)], [9])
    ),
}


def found(call, to=None):
    """The finding of a call; the calls in its arguments, if it isn't read, are found after it."""
    finding, *others = migrate(f"{HEAD}\nscheduler = {call}\n", "train.py", to)
    assert not (finding.record and others)
    return finding


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_read(call):
    finding = found(call)
    assert Record.from_dict(finding.record) == Record(CALLS[call])
    assert finding.code == call
    names = {}
    # The code that is printed makes the same schedule.
    code = finding.replacement.splitlines()
    start = next(index for index, line in enumerate(code) if line.startswith("schedule = "))
    imports = [line for line in code if line.startswith("from clr_core")]
    exec("\n".join([*imports, *code[start:-1]]), names)
    assert names["schedule"] == CALLS[call]


@pytest.mark.parametrize("to", ["torch", "keras", "jax"])
@pytest.mark.parametrize("call", ["S.OneCycleLR(optimizer, 0.1, N)", "Decay(0.1, 100)"])
def test_for_another_framework(call, to):
    assert f"from clr_{to} import" in found(call, to).replacement


def test_names_of_schedulers_are_followed():
    source = f"""{HEAD}
warm_up = S.LinearLR(optimizer, 0.01, total_iters=10)
cosine = S.CosineAnnealingLR(optimizer, T_max=STEPS - 10)
members = [warm_up, cosine]
scheduler = S.SequentialLR(optimizer, schedulers=members, milestones=[10])
"""
    (finding,) = migrate(source, "train.py")
    warm_up = originals.torch_linear(0.1, 0.01, total_iters=10)
    cosine = originals.torch_cosine_annealing(0.1, 390)
    assert finding.line == 13
    assert Record.from_dict(finding.record).schedule == originals.joined([warm_up, cosine], [10])
    assert any("comes back up" in each.says for each in finding.warnings)
    # The file stays as it is.
    assert rewritten(source, [finding]) == source


# A call, what is unknown in it, and what to do.
UNKNOWN = {
    "S.OneCycleLR(optimizer, 0.1, epochs=3, steps_per_epoch=len(loader))": "len(loader)",
    "S.OneCycleLR(optimizer, args.lr, 100)": "args.lr",
    "S.CosineAnnealingLR(self.optimizer, 100)": "self.optimizer",
    "S.CosineAnnealingLR(made(), 100)": "made()",
    "S.SequentialLR(optimizer, [S.StepLR(optimizer, 3), S.LinearLR(optimizer)], [5])": "S.StepLR",
    "S.SequentialLR(optimizer, schedulers, [5])": "schedulers",
    "optax.cosine_decay_schedule(0.1, int(steps))": "steps",
    "optax.cosine_decay_schedule(0.1, N if long else 3)": "N if long else 3",
    "optax.join_schedules([warm_up, optax.constant_schedule(0.1)], [5])": "warm_up",
    "optax.cosine_decay_schedule(0.1, round(N / 3))": "round(N / 3)",
}


@pytest.mark.parametrize("call", UNKNOWN)
def test_what_is_unknown_is_said_with_its_line(call):
    finding = found(call)
    says = [each.says for each in finding.warnings if each.about == "unknown"]
    assert finding.record is None
    assert len(says) == 1
    assert f"`{UNKNOWN[call]}"[:20] in says[0]
    assert "in line 10 is known only when the program runs" in says[0]
    assert "clr_core.schedules.originals." in says[0]
    assert "train.py:10" in as_text([finding])


def test_a_name_that_is_bound_twice_is_unknown():
    source = "import optax\nn = 3\nif long:\n    n = 9\noptax.cosine_decay_schedule(0.1, n)\n"
    (finding,) = migrate(source, "train.py")
    assert finding.record is None
    groups = HEAD + "o = torch.optim.SGD([{'params': a, 'lr': 1}], lr=0.1)\nS.LinearLR(o)\n"
    assert migrate(groups, "train.py")[0].record is None


REFUSED = {
    "optax.cosine_decay_schedule(0.1, 10, exponent=2)": "`exponent` must be 1",
    "S.OneCycleLR(optimizer, 0.1, 10, pct_start=0.05)": "the middle of a cosine",
    "S.OneCycleLR(optimizer, 0.1)": "`total_steps`, or `epochs`",
    "S.CosineAnnealingLR(optimizer)": "missing 1 required",
    "S.LinearLR(optimizer, **options)": "`**options` are unknown",
    "S.LinearLR(optimizer, steps=3)": "`steps=3`",
    "optax.join_schedules([optax.constant_schedule(0.1)] )": "`boundaries` must be given",
    "optax.cosine_decay_schedule(0.1 / 0, 10)": "division by zero",
    "S.SequentialLR(optimizer, [S.CosineAnnealingLR(optimizer, 5), S.LinearLR(optimizer)], [9])": (
        "used for 9 steps, and comes back up after 5"
    ),
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_isnt_made_of_phases_is_refused(call):
    finding = found(call)
    assert finding.record is None
    assert [REFUSED[call] in each.says for each in finding.warnings if each.about == "refused"] == [
        True
    ]


@pytest.mark.parametrize(
    ("call", "note"),
    [
        ("S.OneCycleLR(optimizer, 0.1, N)", "a step earlier than in clr_core.one_cycle"),
        ("optax.warmup_cosine_decay_schedule(0.0, 0.1, 9, N)", "includes the warm-up"),
        ("Decay(0.1, N)", "doesn't include the warm-up"),
        ("S.CosineAnnealingLR(optimizer, N)", "comes back up afterwards"),
    ],
)
def test_what_differs_from_others_is_said(call, note):
    assert any(note in each.says for each in found(call).warnings)


def test_ours_and_others_names_are_no_findings():
    source = "from mine import OneCycleLR, cosine_decay_schedule\nOneCycleLR(o, 0.1, 10)\n"
    assert migrate(source, "train.py") == []
    assert migrate("import optax\noptax.constant_schedule(0.1)\n", "train.py") == []


def test_a_resumed_one_begins_at_its_step():
    finding = found("S.LinearLR(optimizer, total_iters=20, last_epoch=9)")
    assert Record.from_dict(finding.record).step == 10
