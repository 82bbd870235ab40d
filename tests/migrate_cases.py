"""Calls of other implementations, and the schedules that they mean, worked out by hand."""

TORCH_HEAD = """\
import math
import torch
import torch.optim.lr_scheduler as S

optimizer = {optimizer}
"""
SGD = "torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)"
ADAM = "torch.optim.Adam(model.parameters(), lr=0.1, betas=(0.7, 0.99))"
TWO_GROUPS = (
    "torch.optim.SGD([{'params': [model.weight]}, {'params': [model.bias]}], lr=1, momentum=0.5)"
)
BAND = {"base_lr": 0.001, "max_lr": 0.006}
MOMENTA = {"base_momentum": 0.8, "max_momentum": 0.9}
NO_MOMENTUM = "cycle_momentum=False"

# The arguments of torch's class, and those of `CyclicSchedule`.
TORCH = {
    "positional": (
        "optimizer, 0.001, 0.006, 4, 6",
        BAND | MOMENTA | {"step_size_up": 4, "step_size_down": 6},
    ),
    "all positional": (
        "optimizer, 0.001, 0.006, 4, None, 'exp_range', 0.9, None, 'cycle', False, 0.8, 0.9, -1",
        BAND | {"step_size_up": 4, "mode": "exp_range", "gamma": 0.9},
    ),
    "defaults": (f"optimizer, base_lr=1e-3, max_lr=6e-3, {NO_MOMENTUM}", BAND),
    "triangular2": (
        "optimizer, max_lr=6e-3, base_lr=1e-3, step_size_up=3, mode='triangular2'",
        BAND | MOMENTA | {"step_size_up": 3, "mode": "triangular2"},
    ),
    "fractional": (
        f"optimizer, 0.001, 0.006, step_size_up=3.5, {NO_MOMENTUM}",
        BAND | {"step_size_up": 3.5},
    ),
    "own momenta": (
        "optimizer, 0.001, 0.006, step_size_up=3, base_momentum=0.85, max_momentum=0.95",
        BAND | {"step_size_up": 3, "base_momentum": 0.85, "max_momentum": 0.95},
    ),
    "meaningless": (
        f"optimizer, 0.001, 0.006, 3, gamma=0.9, scale_mode='iterations', {NO_MOMENTUM}",
        BAND | {"step_size_up": 3},
    ),
    "lambda": (
        f"optimizer, 0.001, 0.006, 3, mode='triangular2', scale_fn=lambda n: 1 / n, {NO_MOMENTUM}",
        BAND | {"step_size_up": 3, "scale_fn": "1 / x"},
    ),
    "lambda of the step": (
        "optimizer, 0.001, 0.006, 3, scale_mode='iterations', "
        "scale_fn=lambda step: 0.75 + 0.25 * math.cos(step * math.pi / 50)",
        BAND
        | MOMENTA
        | {
            "step_size_up": 3,
            "scale_fn": "0.75 + 0.25 * cos(x * pi / 50)",
            "scale_mode": "iterations",
        },
    ),
    "a power of the cycle": (
        f"optimizer, 0.001, 0.006, 3, scale_fn=lambda c: 0.9 ** c, {NO_MOMENTUM}",
        BAND | {"step_size_up": 3, "scale_fn": "0.9 ** x"},
    ),
    "the paper's lambda": (
        f"optimizer, 0.001, 0.006, 3, scale_fn=lambda c: 1 / (2. ** (c - 1)), {NO_MOMENTUM}",
        BAND | {"step_size_up": 3, "scale_fn": "1 / 2.0 ** (x - 1)"},
    ),
}
GROUPS = (
    f"optimizer, [0.001, 0.01], [0.006, 0.06], 3, {NO_MOMENTUM}",
    "optimizer, 0.001, [0.006, 0.06], 3, base_momentum=[0.7, 0.8]",
)
ADDONS_BAND = "initial_learning_rate=0.001, maximal_learning_rate=0.006, step_size=3"
# The class of TensorFlow Addons and its arguments.
ADDONS = {
    "triangular": ("TriangularCyclicalLearningRate(0.001, 0.006, 3)", BAND | {"step_size_up": 3}),
    "triangular by the step": (
        f"TriangularCyclicalLearningRate({ADDONS_BAND}, scale_mode='iterations')",
        BAND | {"step_size_up": 3},
    ),
    "triangular2": (
        f"Triangular2CyclicalLearningRate({ADDONS_BAND}, name='mine')",
        BAND | {"step_size_up": 3, "mode": "triangular2"},
    ),
    "exponential": (
        f"ExponentialCyclicalLearningRate({ADDONS_BAND}, gamma=0.9)",
        BAND | {"step_size_up": 3, "mode": "exp_range", "gamma": 0.9},
    ),
    "any": (
        f"CyclicalLearningRate({ADDONS_BAND}, scale_fn=lambda x: 1 / 5 ** (x * 1e-4), "
        "scale_mode='iterations')",
        BAND | {"step_size_up": 3, "scale_fn": "1 / 5 ** (x * 1e-4)", "scale_mode": "iterations"},
    ),
}
# The arguments of bckenstler's callback, and of the one in keras-contrib.
CALLBACK = {
    "defaults": ("", BAND),
    "positional": (
        "0.002, 0.02, 4., 'triangular2'",
        {"base_lr": 0.002, "max_lr": 0.02, "step_size_up": 4, "mode": "triangular2"},
    ),
    "exp_range": (
        "step_size=4, mode='exp_range', gamma=0.99",
        BAND | {"step_size_up": 4, "mode": "exp_range", "gamma": 0.99},
    ),
    "lambda": (
        "step_size=4, scale_fn=lambda n: 0.5 * (1 + np.sin(n * np.pi / 2.)), scale_mode='cycle'",
        BAND | {"step_size_up": 4, "scale_fn": "0.5 * (1 + sin(x * pi / 2.0))"},
    ),
}
KERAS_OPTIMIZER = "keras.optimizers.SGD({rate}, momentum=0.5, nesterov=True)"


def torch_source(arguments: str, optimizer: str = SGD, before: str = "") -> str:
    """A program that makes torch's scheduler."""
    head = TORCH_HEAD.format(optimizer=optimizer)
    return f"{head}{before}scheduler = S.CyclicLR({arguments})\n"


def addons_source(call: str) -> str:
    """A program that makes a schedule of TensorFlow Addons, and an optimizer with it."""
    optimizer = KERAS_OPTIMIZER.format(rate="rate")
    return (
        "import keras\nimport tensorflow_addons as tfa\n"
        f"rate = tfa.optimizers.{call}\noptimizer = {optimizer}\n"
    )


def callback_source(arguments: str) -> str:
    """A program that makes bckenstler's callback, and the optimizer that it sets."""
    optimizer = KERAS_OPTIMIZER.format(rate="0.1")
    return (
        "import keras\nimport numpy as np\nfrom clr_callback import CyclicLR\n"
        f"clr = CyclicLR({arguments})\nmodel.compile(optimizer={optimizer}, loss='mse')\n"
        "model.fit(x, y, callbacks=[clr])\n"
    )


def all_cases() -> dict[str, tuple[str, dict]]:
    """Every program by its name, with the schedule that it means."""
    return {
        **{f"torch {key}": (torch_source(call), means) for key, (call, means) in TORCH.items()},
        **{f"addons {key}": (addons_source(call), means) for key, (call, means) in ADDONS.items()},
        **{
            f"callback {key}": (callback_source(call), means)
            for key, (call, means) in CALLBACK.items()
        },
    }
