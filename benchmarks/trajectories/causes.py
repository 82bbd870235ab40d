"""Why two frameworks part: for each such pair the cause, and the runs without it."""

from __future__ import annotations

from dataclasses import dataclass

TORCH_OPTAX, TORCH_KERAS, OPTAX_KERAS = "torch, optax", "torch, Keras", "optax, Keras"
KERAS_KERAS = "Keras on TensorFlow, on JAX"


@dataclass(frozen=True)
class Cause:
    """Why the two of a pair differ in an optimizer.

    `without` says how the cause was removed. `runs` are then the names of the pair's two runs.
    """

    optimizer: str
    pair: str
    why: str
    without: str
    runs: tuple[str, str]


_VELOCITY = "Keras's velocity contains past rates, torch's and optax's don't"
_TORCHS_VELOCITY = "`clr_keras.SGD(…, torch_velocity=True)`"
_CORRECTED = "Keras adds epsilon before the bias correction of the root, torch and optax after it"
_NO_EPSILON = "`epsilon=1e-30` in both"
_MAXIMUM = (
    "AMSGrad keeps the largest second moment; optax corrects its bias before taking the maximum,"
    " torch and Keras after it"
)
_GROWTH = (
    "torch and Keras increase the momentum at first, and correct the bias by the product of all "
    "momenta so far; optax does neither, and uses a power of the current momentum"
)
_ROOT = "torch adds epsilon outside the root, Keras and (by default) optax inside it"
_RATE = "torch multiplies the velocity by the current rate, Keras and optax keep past rates in it"
_WEIGHTED = (
    "optax weights the average by the square of the highest rate so far, Keras weights all steps"
    " equally"
)
_STARTED = (
    "Keras on TensorFlow uses the new momentum in place of the old one, and `fit` starts it at 0"
    " instead of at the weights"
)
_COPIED = "Keras's optimizer built before `fit`, and the old momentum copied"

CAUSES = [
    *(
        Cause(name, pair, _VELOCITY, _TORCHS_VELOCITY, (name, f"{name}, torch's velocity"))
        for name in ("SGD", "SGD Nesterov")
        for pair in (TORCH_KERAS, OPTAX_KERAS)
    ),
    *(
        Cause(name, pair, _CORRECTED, _NO_EPSILON, (f"{name}, no epsilon",) * 2)
        for name in ("Adam", "AdamW")
        for pair in (TORCH_KERAS, OPTAX_KERAS)
    ),
    Cause(
        "AMSGrad",
        TORCH_OPTAX,
        _MAXIMUM,
        "the correction after the maximum, and `epsilon=1e-30` in both",
        ("AMSGrad, no epsilon", "AMSGrad, corrected after the maximum, no epsilon"),
    ),
    Cause("AMSGrad", TORCH_KERAS, _CORRECTED, _NO_EPSILON, ("AMSGrad, no epsilon",) * 2),
    Cause(
        "AMSGrad",
        OPTAX_KERAS,
        f"{_MAXIMUM}; {_CORRECTED}",
        "the correction after the maximum and the epsilon, in optax",
        ("AMSGrad, corrected after the maximum", "AMSGrad"),
    ),
    Cause(
        "NAdam",
        TORCH_OPTAX,
        _GROWTH,
        "torch's `momentum_decay=1e6`, and a constant momentum in both",
        ("NAdam, constant momentum",) * 2,
    ),
    Cause(
        "NAdam",
        TORCH_KERAS,
        "the momentum grows with `0.96 ** (t * 0.004)` in torch, with `0.96 ** t` in Keras",
        "torch's `momentum_decay=1`",
        ("NAdam, Keras's decay", "NAdam"),
    ),
    Cause(
        "NAdam",
        OPTAX_KERAS,
        _GROWTH,
        "Keras's NAdam, written for optax",
        ("NAdam, Keras's momentum", "NAdam"),
    ),
    Cause(
        "RAdam",
        TORCH_OPTAX,
        "torch adds epsilon before the bias correction of the root, optax after it; and optax "
        "takes the small difference of two large numbers in float32, torch in float64",
        f"{_NO_EPSILON}, and everything in float64",
        ("RAdam, no epsilon, float64",) * 2,
    ),
    *(
        Cause(
            "Adamax",
            pair,
            "torch and optax add epsilon to each gradient, Keras to the largest one",
            _NO_EPSILON,
            ("Adamax, no epsilon",) * 2,
        )
        for pair in (TORCH_KERAS, OPTAX_KERAS)
    ),
    Cause(
        "RMSprop",
        TORCH_OPTAX,
        _ROOT,
        "`optax.rmsprop(…, eps_in_sqrt=False)`",
        ("RMSprop", "RMSprop, epsilon outside"),
    ),
    Cause("RMSprop", TORCH_KERAS, _ROOT, _NO_EPSILON, ("RMSprop, no epsilon",) * 2),
    Cause(
        "RMSprop with momentum",
        TORCH_OPTAX,
        f"{_RATE}; {_ROOT}",
        "the chain in the docstring of `clr_jax.cyclic_optimizer`",
        ("RMSprop with momentum", "RMSprop with momentum, torch's"),
    ),
    Cause(
        "RMSprop with momentum",
        TORCH_KERAS,
        f"{_RATE}; {_ROOT}",
        f"past rates kept in torch too, and {_NO_EPSILON}",
        (
            "RMSprop with momentum, rate in velocity, no epsilon",
            "RMSprop with momentum, no epsilon",
        ),
    ),
    Cause(
        "Rprop",
        TORCH_OPTAX,
        "optax makes each update one step too late "
        "([reported](https://github.com/google-deepmind/optax/pull/1725))",
        "the current update, which optax has in its state",
        ("Rprop", "Rprop, at once"),
    ),
    Cause(
        "Muon",
        TORCH_OPTAX,
        "both causes below",
        "float32 in torch, `nesterov=False` and `epsilon=1e-30` in both",
        ("Muon, float32, no epsilon, not Nesterov", "Muon, no epsilon, not Nesterov"),
    ),
    Cause(
        "Muon",
        TORCH_KERAS,
        "torch orthogonalizes its matrices in bfloat16, and the AdamW for the biases has an "
        "epsilon",
        f"float32 in torch, {_NO_EPSILON}",
        ("Muon, float32, no epsilon", "Muon, no epsilon"),
    ),
    Cause(
        "Muon",
        OPTAX_KERAS,
        "optax corrects the bias of a Nesterov momentum, and its AdamW for the biases uses "
        "Nesterov momentum too",
        "`nesterov=False` and `epsilon=1e-30` in both",
        ("Muon, no epsilon, not Nesterov",) * 2,
    ),
    Cause(
        "Schedule-free AdamW",
        OPTAX_KERAS,
        f"{_WEIGHTED}; {_STARTED}",
        f"`weight_lr_power=0` in optax; {_COPIED}",
        (
            "Schedule-free AdamW, equal weights",
            "Schedule-free AdamW, old momentum copied, built first",
        ),
    ),
    Cause(
        "Schedule-free AdamW",
        KERAS_KERAS,
        _STARTED,
        _COPIED,
        ("Schedule-free AdamW, old momentum copied, built first", "Schedule-free AdamW"),
    ),
]
