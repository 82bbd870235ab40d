"""A compiled update: with tensors for the rate and the betas, nothing is recompiled.

`aot_eager` lowers a graph as the default backend does, and needs no C++ compiler. The backend
`eager` wouldn't do: it compiles floats in as constants and never recompiles.
"""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.optim.lr_scheduler import CyclicLR as Torchs

import oracle
from clr_torch import CyclicLR
from needs import needs

STEPS = 20
LIMIT = 4  # Lower than torch's 8, so that the tests that reach it take half as long.
CYCLE = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 3.5, "step_size_down": 4.0}
CYCLE |= {"mode": "triangular2"}
MOMENTA = {"base_momentum": 0.7, "max_momentum": 0.95}
FIXED = {"cycle_momentum": False}
DICT = {"kind": "cyclic", "scale_fn": None} | CYCLE | MOMENTA


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch._dynamo.reset()
    # In torch 2.6 and older it has another name.
    later = hasattr(torch._dynamo.config, "recompile_limit")
    limit = "recompile_limit" if later else "cache_size_limit"
    with torch._dynamo.config.patch({limit: LIMIT}):
        yield


def tensor_betas():
    return torch.tensor(0.9), torch.tensor(0.999)


FLOAT_INPUTS = torch.__version__ >= (2, 6)
MOMENTUM = needs("a compiled optimizer with its momentum as an input", FLOAT_INPUTS)


# As documented: a tensor for the rate, and tensors for betas that cycle. A `momentum`
# stays a float, which torch makes an input of the graph; a tensor there isn't compiled at all.
OPTIMIZERS = {
    "SGD": (lambda p, lr: torch.optim.SGD(p, lr=lr), FIXED),
    "SGD cycled": (lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9), MOMENTA),
    "RMSprop cycled": (lambda p, lr: torch.optim.RMSprop(p, lr=lr, momentum=0.9), MOMENTA),
    "Adam": (lambda p, lr: torch.optim.Adam(p, lr=lr), FIXED),
    "Adam cycled": (lambda p, lr: torch.optim.Adam(p, lr=lr, betas=tensor_betas()), MOMENTA),
    "AdamW cycled": (lambda p, lr: torch.optim.AdamW(p, lr=lr, betas=tensor_betas()), MOMENTA),
    "NAdam cycled": (lambda p, lr: torch.optim.NAdam(p, lr=lr, betas=tensor_betas()), MOMENTA),
}


class Training:
    """Updates of two parameter groups, and the number of graphs after each."""

    def __init__(self, kind, make, momenta, lr, inside=False, compiled=True):
        weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
        self.optimizer = make([{"params": [weight]} for weight in weights], lr)
        self.scheduler = kind(self.optimizer, **CYCLE, **momenta)
        self.inside = inside
        self.counter = CompileCounterWithBackend("aot_eager")
        update = self._both if inside else self.optimizer.step
        self.update = torch.compile(update, backend=self.counter) if compiled else update
        self.graphs, self.lrs, self.momenta = [], [], []

    def _both(self):
        self.optimizer.step()
        self.scheduler.step()

    def weights(self):
        return torch.cat([group["params"][0].detach() for group in self.optimizer.param_groups])

    def run(self, steps=STEPS):
        for step in range(steps):
            group = self.optimizer.param_groups[-1]
            self.lrs.append(_float32(group["lr"]))
            self.momenta.append(_float32(group["betas"][0] if "betas" in group else _mu(group)))
            for each in self.optimizer.param_groups:
                each["params"][0].grad = torch.tensor([1.0, -0.25, 0.01 * step])
            self.update()
            if not self.inside:
                self.scheduler.step()
            self.graphs.append(self.counter.frame_count)
        return self


def _mu(group):
    return group["momentum"]


def _float32(number):
    return torch.as_tensor(number, dtype=torch.float32).item()


def expected(curve):
    return [oracle.to_float32(curve(DICT, step)) for step in range(STEPS)]


@pytest.mark.parametrize(
    ("make", "momenta"),
    [
        pytest.param(
            *each, id=name, marks=MOMENTUM if name in ("SGD cycled", "RMSprop cycled") else ()
        )
        for name, each in OPTIMIZERS.items()
    ],
)
def test_nothing_is_compiled_anew(make, momenta):
    training = Training(CyclicLR, make, momenta, torch.tensor(0.1)).run()
    # One for the first update, which makes the optimizer's buffers, and one for all others. Torch
    # 2.4 breaks it at a tensor for beta1.
    assert 1 <= training.graphs[1] <= (2 if FLOAT_INPUTS else 3)
    assert set(training.graphs[1:]) == {training.graphs[1]}
    assert training.lrs == expected(oracle.lr)
    if momenta is MOMENTA:
        assert training.momenta == expected(oracle.momentum)

    eager = Training(CyclicLR, make, momenta, torch.tensor(0.1), compiled=False).run()
    # Compiled, Adam divides in another order: some float32 roundings of 1 in 20 updates.
    torch.testing.assert_close(training.weights(), eager.weights(), rtol=0, atol=20 * 2**-23)


@pytest.mark.parametrize("name", ["SGD", "Adam cycled"])
def test_a_scheduler_inside_the_compiled_function(name):
    # As in torch's own tutorial on compiled optimizers.
    training = Training(CyclicLR, *OPTIMIZERS[name], torch.tensor(0.1), inside=True).run()
    assert training.lrs == expected(oracle.lr)
    assert set(training.graphs[2:]) == {training.graphs[2]}, training.graphs


def test_a_whole_training_step():
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.1), betas=tensor_betas())
    scheduler = CyclicLR(optimizer, **CYCLE, **MOMENTA)
    counter, graphs = CompileCounterWithBackend("aot_eager"), []

    @torch.compile(backend=counter)
    def train(x):
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    for step in range(STEPS):
        assert _float32(optimizer.param_groups[0]["lr"]) == expected(oracle.lr)[step]
        train(torch.ones(2, 4))
        scheduler.step()
        graphs.append(counter.frame_count)
    assert set(graphs[2:]) == {graphs[2]}


@needs("a compiled optimizer in one graph with tensors for betas", FLOAT_INPUTS)
def test_torchs_own_class_puts_a_float_in_the_place_of_a_tensor_beta():
    make, momenta = OPTIMIZERS["Adam cycled"]
    assert Training(Torchs, make, momenta, torch.tensor(0.1)).run(LIMIT + 2).graphs[-1] >= LIMIT
    torch._dynamo.reset()
    assert Training(CyclicLR, make, momenta, torch.tensor(0.1)).run(LIMIT + 2).graphs[-1] == 1


FLOATS = {
    "a rate": (lambda p, lr: torch.optim.SGD(p, lr=lr), FIXED, 0.1),
    "betas": (lambda p, lr: torch.optim.Adam(p, lr=lr), MOMENTA, torch.tensor(0.1)),
    "nesterov": (
        lambda p, lr: torch.optim.SGD(p, lr, 0.9, nesterov=True),
        MOMENTA,
        torch.tensor(0.1),
    ),
}


@pytest.mark.parametrize(("make", "momenta", "lr"), FLOATS.values(), ids=FLOATS)
def test_floats_are_compiled_in(make, momenta, lr):
    # Torch recompiles at each step until it gives up and continues uncompiled, whoever sets the
    # rate. If this fails, the documentation asks for more than torch needs by now.
    training = Training(CyclicLR, make, momenta, lr).run()
    assert training.graphs[-1] >= LIMIT
    assert training.lrs == expected(oracle.lr)
    eager = Training(CyclicLR, make, momenta, lr, compiled=False).run()
    torch.testing.assert_close(training.weights(), eager.weights(), rtol=0, atol=20 * 2**-23)
