"""The range test on real models and optimizers: afterwards every byte of state is as it was."""

import io
import math
import pickle
import random
import signal
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import clr_torch
import range_problem as problem
from clr_core import RangeTestResult

pytestmark = pytest.mark.usefixtures("ctrl_c")

FEW = {"num_steps": 12, "start_lr": 1e-4, "end_lr": 0.1, "trials": False}
WITH_TRIALS = {**FEW, "trials": True}


class Counting(nn.Module):
    """Has state of every kind that torch saves, or would save."""

    def __init__(self):
        super().__init__()
        self.calls = [0]
        self.register_buffer("mean", torch.zeros(16))
        self.register_buffer("wide", torch.zeros(1).expand(4))
        self.register_buffer("hidden", torch.ones(3), persistent=False)
        self.register_buffer("later", None)

    def get_extra_state(self):
        return self.calls

    def set_extra_state(self, state):
        self.calls = state

    def forward(self, x):
        self.calls[0] += 1
        self.later = x.detach().mean(0)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)  # Another tensor each time.
            self.hidden.mul_(1.5)
            self.wide[:1].add_(1)
        return x


def network():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(8, 16),
        nn.BatchNorm1d(16),
        Counting(),
        nn.Dropout(0.3),
        nn.ReLU(),
        nn.Linear(16, 1),
    )


def data(samples=64):
    x = torch.randn(samples, 8, generator=torch.Generator().manual_seed(2))
    return torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))


def loader(**options):
    options = {"batch_size": 8, "shuffle": True} | options
    return torch.utils.data.DataLoader(data(), **options)


OPTIMIZERS = {
    "SGD": lambda ps: torch.optim.SGD(ps, lr=0.01, momentum=0.9, nesterov=True),
    "Adam": lambda ps: torch.optim.Adam(ps, lr=0.01, amsgrad=True),
    "AdamW, a tensor for a rate": lambda ps: torch.optim.AdamW(ps, lr=torch.tensor(0.01)),
    "two groups": lambda ps: torch.optim.RMSprop(
        [{"params": ps[:2], "lr": 0.1}, {"params": ps[2:]}], lr=0.01, momentum=0.9, centered=True
    ),
}


def train(model, optimizer, batches, updates):
    done = 0
    while done < updates:
        for x, y in batches:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
            done += 1
            if done == updates:
                return


def everything(*objects):
    """Every byte of the state of modules and optimizers, with identities; and the RNGs."""
    names = {}

    def of(value):
        if id(value) in names:
            return "again", names[id(value)]
        if isinstance(value, str | bytes | int | float | None):
            return type(value).__name__, repr(value)
        names[id(value)] = len(names)
        kept.append(value)
        if isinstance(value, torch.Tensor):
            bits = io.BytesIO()
            np.save(bits, value.detach().contiguous().view(-1).view(torch.uint8).numpy())
            grad = of(value.grad) if value.is_leaf else None
            return id(value), value.dtype, value.shape, bits.getvalue(), grad
        if isinstance(value, nn.Module):
            tensors = *value.named_parameters(), *value.named_buffers(remove_duplicate=False)
            modes = [module.training for module in value.modules()]
            saved = {
                name: None if isinstance(each, torch.Tensor) else repr(each)
                for name, each in value.state_dict().items()
            }
            return id(value), of(tensors), modes, saved
        if isinstance(value, torch.optim.Optimizer | torch.amp.GradScaler):
            return id(value), of(vars(value))
        if isinstance(value, torch.Generator):
            return id(value), value.get_state().numpy().tobytes()
        if isinstance(value, dict):
            return id(value), [(str(of(key)), of(each)) for key, each in value.items()]
        if isinstance(value, list | tuple):
            return type(value), [of(each) for each in value]
        return id(value)

    kept = []
    states = torch.get_rng_state().numpy().tobytes(), pickle.dumps(np.random.get_state())  # noqa: NPY002 - its global state
    return [of(each) for each in objects], states, random.getstate()


@pytest.fixture(params=OPTIMIZERS)
def trained(request):
    """A model and an optimizer in the midst of a training, with gradients there."""
    model = network()
    optimizer = OPTIMIZERS[request.param](list(model.parameters()))
    train(model, optimizer, loader(), 3)
    return model, optimizer


def fresh():
    model = network()
    return model, torch.optim.Adam(model.parameters())


class Failing:
    """A loss that draws random numbers, and at one call fails in some way."""

    def __init__(self, fail=None, at=7):
        self.fail, self.calls, self.at = fail, 0, at

    def __call__(self, outputs, targets):
        self.calls += 1
        random.random(), np.random.random(), torch.rand(1)  # noqa: NPY002 - its global state
        if self.calls == self.at and self.fail is not None:
            self.fail()
        return nn.functional.mse_loss(outputs, targets)


def an_error():
    raise RuntimeError("planted")


FAILURES = {
    "nothing": (None, None),
    "an error": (an_error, RuntimeError),
    "Ctrl-C": (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
}


@pytest.mark.parametrize(("fail", "error"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("training", [True, False])
def test_every_byte_is_as_it_was(trained, fail, error, training):
    model, optimizer = trained
    model.train(training)
    model[1].eval()
    batches = loader(generator=torch.Generator().manual_seed(3))
    before = everything(model, optimizer, batches.generator)
    loss_fn = Failing(fail, at=20)  # In a trial.
    if error is None:
        result = clr_torch.range_test(model, optimizer, batches, loss_fn, **WITH_TRIALS)
        assert len(result.losses) == 12 < 4 * 12 <= loss_fn.calls
    else:
        with pytest.raises(error):
            clr_torch.range_test(model, optimizer, batches, loss_fn, **WITH_TRIALS)
    assert everything(model, optimizer, batches.generator) == before


# Of torch's, those that need no closure and no sparse gradients.
EVERY_OPTIMIZER = [
    kind
    for name, kind in sorted(vars(torch.optim).items())
    if isinstance(kind, type)
    and issubclass(kind, torch.optim.Optimizer)
    and name not in ("Optimizer", "LBFGS", "SparseAdam")
]


@pytest.mark.parametrize("kind", EVERY_OPTIMIZER)
def test_every_optimizer_of_torch_is_as_it_was(kind):
    model = nn.Sequential(nn.Linear(8, 16, bias=False), nn.Linear(16, 1, bias=False))
    optimizer = kind(model.parameters(), lr=0.01)  # Without a bias, since Muon takes matrices only.
    train(model, optimizer, loader(), 3)
    before, saved = everything(model, optimizer), repr(optimizer.state_dict())
    clr_torch.range_test(model, optimizer, loader(), nn.functional.mse_loss, **FEW)
    assert everything(model, optimizer) == before
    assert repr(optimizer.state_dict()) == saved


def test_ctrl_c_pressed_again_while_it_puts_things_back(monkeypatch, trained):
    model, optimizer = trained
    before = everything(model, optimizer)
    copy_, presses = torch.Tensor.copy_, []

    def pressed(self, *arguments):
        if len(presses) < 3:
            presses.append(1)
            signal.raise_signal(signal.SIGINT)
        return copy_(self, *arguments)

    def interrupt():
        monkeypatch.setattr(torch.Tensor, "copy_", pressed)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clr_torch.range_test(model, optimizer, loader(), Failing(interrupt), **FEW)
    monkeypatch.undo()
    assert len(presses) == 3
    assert everything(model, optimizer) == before


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
def test_a_training_goes_on_as_if_there_had_been_no_test(optimizer_name):
    """With shuffling, dropout, batch norm and a scheduler attached, to the bit."""

    def weights(tested):
        torch.manual_seed(4)
        model = network()
        optimizer = OPTIMIZERS[optimizer_name](list(model.parameters()))
        scheduler = clr_torch.CyclicLR(
            optimizer, base_lr=0.001, max_lr=0.01, step_size_up=3, cycle_momentum=False
        )
        batches = loader()
        for update in range(12):
            train(model, optimizer, batches, 1)
            scheduler.step()
            if tested and update == 4:
                attached = everything(vars(scheduler))
                clr_torch.range_test(model, optimizer, batches, nn.functional.mse_loss, **FEW)
                assert everything(vars(scheduler)) == attached
        return [each.detach().numpy().tobytes() for each in (*model.parameters(), *model.buffers())]

    assert weights(tested=True) == weights(tested=False)


def test_it_does_not_count_as_a_step_for_a_scheduler_that_waits_for_one():
    model, optimizer = fresh()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    clr_torch.range_test(model, optimizer, loader(), nn.functional.mse_loss, **FEW)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()


def test_the_losses_are_those_of_float64():
    layers = nn.Linear(problem.INPUTS, problem.HIDDEN), nn.Linear(problem.HIDDEN, 1)
    model = nn.Sequential(layers[0], nn.Tanh(), layers[1])
    with torch.no_grad():
        for parameter, weights in zip(model.parameters(), problem.WEIGHTS, strict=True):
            parameter.copy_(torch.from_numpy(weights.T))
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in problem.batches()]
    result = clr_torch.range_test(
        model,
        torch.optim.SGD(model.parameters()),
        batches,
        nn.functional.mse_loss,
        score=lambda outputs, targets: -(outputs - targets).abs().mean(),
        **problem.OPTIONS,
    )
    np.testing.assert_allclose(result.lrs, problem.rates(), rtol=1e-12)
    np.testing.assert_allclose(result.losses, problem.losses(), **problem.CLOSE)
    np.testing.assert_allclose(result.scores, problem.scores(), **problem.CLOSE)


def test_each_batch_is_used_at_the_rate_that_was_asked_for():
    rates = []
    model = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(
        [{"params": [model.weight]}, {"params": [model.bias], "lr": torch.tensor(3.0)}], lr=5.0
    )
    optimizer.register_step_pre_hook(
        lambda *_: rates.append([float(group["lr"]) for group in optimizer.param_groups])
    )
    result = clr_torch.range_test(model, optimizer, loader(), nn.functional.mse_loss, **FEW)
    expected = [[lr, float(np.float32(lr))] for lr in result.lrs]
    assert rates == expected


def test_accumulated_batches_are_one_large_batch():
    x, y = data().tensors
    small = [(x[i : i + 4], y[i : i + 4]) for i in range(0, 64, 4)]
    large = [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]

    def result(batches, **options):
        torch.manual_seed(0)
        model = nn.Linear(8, 1)
        optimizer = torch.optim.SGD(model.parameters())
        loss_fn = nn.functional.mse_loss
        options = {**FEW, "score": nn.functional.l1_loss, **options}
        return clr_torch.range_test(model, optimizer, batches, loss_fn, **options)

    parts, whole = result(small, accumulation_steps=4), result(large)
    # The sums are taken in another order, each of them rounded to float32.
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=12 * 2.0**-22)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=12 * 2.0**-22)


@pytest.mark.parametrize(("fail", "error"), FAILURES.values(), ids=FAILURES)
def test_mixed_precision(fail, error):
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    scaler.scale(torch.ones(()))  # The scale's tensor comes with its first use.
    kinds = []

    def loss_fn(outputs, targets):
        kinds.append(outputs.dtype)
        return failing(outputs.float(), targets)

    failing = Failing(fail)
    before = everything(model, optimizer, scaler)
    arguments = model, optimizer, loader(), loss_fn
    options = {**FEW, "scaler": scaler, "autocast": torch.bfloat16}
    if error is None:
        clr_torch.range_test(*arguments, **options)
    else:
        with pytest.raises(error):
            clr_torch.range_test(*arguments, **options)
    assert {*kinds} == {torch.bfloat16}
    assert everything(model, optimizer, scaler) == before


def test_a_scaler_that_leaves_out_updates_ends_as_it_began():
    model = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    before = everything(model, optimizer, scaler)

    def loss_fn(outputs, targets):
        weights.append(model.weight.tolist())
        return nn.functional.mse_loss(outputs, targets)

    weights = []
    clr_torch.range_test(model, optimizer, loader(), loss_fn, scaler=scaler, **FEW)
    assert any(a == b for a, b in pairwise(weights))  # An update was left out.
    assert weights[0] != weights[-1]
    assert everything(model, optimizer, scaler) == before


def test_repeats_start_from_the_same_weights_with_other_batches(monkeypatch):
    runs = []
    of = RangeTestResult.of
    monkeypatch.setattr(RangeTestResult, "of", lambda results: runs.extend(results) or of(results))
    model, optimizer = fresh()
    before = everything(model, optimizer)
    starts = []

    def loss_fn(outputs, targets):
        starts.append(model[0].weight.detach().clone())
        return nn.functional.mse_loss(outputs, targets)

    clr_torch.range_test(model, optimizer, loader(), loss_fn, repeats=3, divergence=None, **FEW)
    assert len(runs) == 3
    assert all(torch.equal(starts[12 * k], starts[0]) for k in range(3))
    assert len({run.losses for run in runs}) == 3
    assert everything(model, optimizer) == before


@pytest.mark.parametrize("generator", [None, 3])
def test_trials_start_from_the_same_weights_with_the_same_batches(generator):
    model, optimizer = fresh()
    before, given = everything(model, optimizer), []

    def loss_fn(outputs, targets):
        given.append((model[0].weight.detach().numpy().tobytes(), targets.numpy().tobytes()))
        return nn.functional.mse_loss(outputs, targets)

    shuffled = {} if generator is None else {"generator": torch.Generator().manual_seed(generator)}
    clr_torch.range_test(model, optimizer, loader(**shuffled), loss_fn, **WITH_TRIALS)
    trials = [given[i : i + 12] for i in range(0, len(given), 12)]
    assert len(trials) >= 4
    assert {trial[0] for trial in trials} == {given[0]}
    assert len({tuple(batch for _, batch in trial) for trial in trials}) == 1
    assert everything(model, optimizer) == before


def test_a_model_in_eval_mode_is_trained_in_train_mode():
    model, optimizer = fresh()
    model.eval()
    modes = []
    model.register_forward_hook(lambda *_: modes.append([m.training for m in model.modules()]))
    clr_torch.range_test(model, optimizer, loader(), nn.functional.mse_loss, **FEW)
    assert all(all(each) for each in modes)
    model.train()
    model[1].eval()  # Frozen on purpose.
    modes.clear()
    clr_torch.range_test(model, optimizer, loader(), nn.functional.mse_loss, **FEW)
    assert not any(each[2] for each in modes)


def test_a_frozen_parameter_and_a_loss_with_parameters():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, outputs, targets):
            self.calls += 1
            return self.scale.exp() * nn.functional.mse_loss(outputs, targets)

    model, loss_fn = network(), Weighted()
    model[0].weight.requires_grad_(False)
    optimizer = torch.optim.Adam([*model.parameters(), *loss_fn.parameters()])
    before = everything(model, optimizer, loss_fn)
    clr_torch.range_test(model, optimizer, loader(), loss_fn, **FEW)
    assert everything(model, optimizer, loss_fn) == before


def test_parameters_whose_memory_was_exchanged():
    class Exchanging(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            for parameter in self.param_groups[0]["params"]:
                parameter.data = parameter.data.clone()

    model = network()
    optimizer = Exchanging(model.parameters(), lr=0.1)
    before = everything(model, optimizer)
    places = [each.data_ptr() for each in model.parameters()]
    clr_torch.range_test(model, optimizer, loader(), nn.functional.mse_loss, **FEW)
    assert everything(model, optimizer) == before
    assert [each.data_ptr() for each in model.parameters()] == places


def test_inputs_that_are_arguments():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 1)

        def forward(self, x, mask):
            return self.layer(x * mask)

    x, y = data().tensors
    model = Two()
    optimizer = torch.optim.SGD(model.parameters())
    named = [({"x": x, "mask": torch.ones(8)}, y)]
    placed = [((x, torch.ones(8)), y)]
    losses = [
        clr_torch.range_test(model, optimizer, batches, nn.functional.mse_loss, **FEW).losses
        for batches in (named, placed)
    ]
    assert losses[0] == losses[1]


def test_workers_that_stay_are_left_to_the_epoch_under_way():
    batches = loader(num_workers=1, persistent_workers=True, shuffle=False)
    model, optimizer = fresh()
    under_way = iter(batches)
    first = next(under_way)[0]
    clr_torch.range_test(
        model, optimizer, batches, nn.functional.mse_loss, **{**FEW, "num_steps": 10}
    )
    rest = [x for x, _ in under_way]
    assert torch.equal(torch.cat([first, *rest]), data().tensors[0])


def test_a_loader_that_knows_its_position_is_put_back_there():
    class Stateful:
        """Goes on where it was, as torchdata's does."""

        def __init__(self):
            self.at = {"batch": 3}

        def __iter__(self):
            x, y = data().tensors
            while self.at["batch"] < 8:
                self.at["batch"] += 1
                yield x[self.at["batch"] :], y[self.at["batch"] :]
            self.at["batch"] = 0

        def state_dict(self):
            return self.at

        def load_state_dict(self, state):
            self.at = dict(state)

    batches = Stateful()
    model, optimizer = fresh()
    clr_torch.range_test(model, optimizer, batches, nn.functional.mse_loss, **FEW)
    assert batches.at == {"batch": 3}


@pytest.mark.parametrize("part", ["loader", "sampler", "sampler of batches"])
def test_the_generator_of_a_loader_and_of_its_samplers(part):
    generator = torch.Generator().manual_seed(5)
    sampler = torch.utils.data.RandomSampler(range(64), generator=generator)
    in_batches = torch.utils.data.BatchSampler(sampler, 8, drop_last=False)
    options = {
        "loader": {"generator": generator, "shuffle": True, "batch_size": 8},
        "sampler": {"sampler": sampler, "batch_size": 8},
        "sampler of batches": {"batch_sampler": in_batches},
    }
    batches = torch.utils.data.DataLoader(data(), **options[part])
    before = generator.get_state().tolist()
    model, optimizer = fresh()
    clr_torch.range_test(model, optimizer, batches, nn.functional.mse_loss, **FEW)
    assert generator.get_state().tolist() == before


def refused(error, match, change=None, **options):
    return pytest.param(error, match, change or {}, options, id=match)


def stranger():
    return torch.optim.SGD(nn.Linear(1, 1).parameters())


def frozen():
    return nn.Linear(8, 1).requires_grad_(False)


REFUSED = [
    refused(ValueError, "must have parameters to train. Received: 0, none", {"model": nn.ReLU()}),
    refused(ValueError, "Received: 2, none of which requires a gradient", {"model": frozen()}),
    refused(ValueError, "`model` must have all its parameters", {"model": nn.LazyLinear(1)}),
    refused(TypeError, "`model` must be a torch.nn.Module. Received: a f", {"model": network}),
    refused(TypeError, "`optimizer` must be a torch.optim.Opt", {"optimizer": nn.ReLU()}),
    refused(ValueError, "`optimizer` must have parameters of `model`", {"optimizer": stranger()}),
    refused(TypeError, "`loss_fn` must be callable", {"loss_fn": 3}),
    refused(ValueError, "`loader` must give pairs of inputs and targets. Received: a list of 1",
            {"loader": [[torch.ones(2, 8)]]}),
    refused(ValueError, "Received: a Tensor", {"loader": [torch.ones(2, 8)]}),
    refused(TypeError, "`loss_fn` must give a tensor of one number. Received: shape (8, 1)",
            {"loss_fn": lambda outputs, targets: outputs - targets}),
    refused(TypeError, "Received: float", {"loss_fn": lambda outputs, targets: 1.0}),
    refused(TypeError, "`autocast` must be a torch.dtype. Received: autocast='bf", autocast="bf"),
    refused(TypeError, "`scaler` must be a torch.amp.GradScaler", scaler=2.0),
    refused(TypeError, "`score` must be callable. Received: score=3", score=3),
    refused(TypeError, "`score` must be a single number", score=lambda outputs, targets: outputs),
    refused(ValueError, "`score` must be finite. Received: score=nan", score=lambda *_: math.nan),
]  # fmt: skip


@pytest.mark.parametrize(("error", "match", "change", "options"), REFUSED)
def test_what_is_refused_leaves_everything_as_it_was(error, match, change, options):
    model = change.get("model", network())
    own = list(model.parameters()) if isinstance(model, nn.Module) else []
    arguments = {
        "model": model,
        "optimizer": torch.optim.SGD(own or [torch.zeros(1)]),
        "loader": loader(),
        "loss_fn": nn.functional.mse_loss,
    } | change
    watched = [arguments["model"], arguments["optimizer"]]
    lazy = isinstance(model, nn.LazyLinear)
    before = lazy or everything(*watched)
    with pytest.raises(error) as caught:
        clr_torch.range_test(*arguments.values(), **options)
    assert match in str(caught.value)
    assert lazy or everything(*watched) == before


class SAM(torch.optim.SGD):
    """As its authors wrote it: a closure, and an assertion."""

    def step(self, closure=None):
        assert closure is not None, "Sharpness Aware Minimization requires closure"


class NoClosureError(Exception):
    """As a package names it."""


class Other(torch.optim.SGD):
    def step(self, closure=None):
        raise NoClosureError(str(self))


@pytest.mark.parametrize("kind", [torch.optim.LBFGS, SAM, Other])
def test_an_optimizer_that_needs_a_closure_is_refused(kind):
    torch.manual_seed(1)
    model = network()
    optimizer = kind(model.parameters(), lr=0.1)
    before = everything(model, optimizer)
    message = (
        rf"^`optimizer` must make an update without a closure\. Received: {kind.__name__}\. Drive "
    )
    with pytest.raises(ValueError, match=message):
        clr_torch.range_test(model, optimizer, loader(), nn.functional.mse_loss, **FEW)
    assert everything(model, optimizer) == before


def test_other_errors_of_an_optimizer_are_raised_as_they_are():
    class Broken(torch.optim.SGD):
        def step(self, closure=None):
            raise TypeError("broken")

    model = network()
    with pytest.raises(TypeError, match=r"^broken$"):
        clr_torch.range_test(
            model, Broken(model.parameters()), loader(), nn.functional.mse_loss, **FEW
        )
