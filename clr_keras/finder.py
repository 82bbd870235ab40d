"""The learning rate range test on a Keras model, which is afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from clr_core import CyclicSchedule
from clr_core.adapter import integer, received
from clr_keras.optimizer import CyclicOptimizer
from clr_keras.schedule import CyclicLR

if TYPE_CHECKING:
    from clr_core import RangeTestResult


def range_test(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int = 32,
    repeats: int = 1,
    progress: bool | None = None,
    **options: Any,
) -> RangeTestResult:
    """Trains with a rate that rises, and reads from the losses where a cycle should lie.

    Afterwards everything is as it was, bit for bit, also if it fails or is interrupted: weights and
    other state of layers, the optimizer with its moments, its `iterations` and its learning rate
    (the same variable or schedule), metrics, seed generators, the random states of Python, NumPy
    and torch, and the compiled functions. No variable is left behind. The copies for that lie on
    the variables' devices: as much memory again as weights and moments take.

        >>> keras.utils.set_random_seed(0)
        >>> x, noise = np.random.normal(size=(2000, 8)), np.random.normal(size=(2000, 1))
        >>> model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.125), "mse")
        >>> result = range_test(model, x, x[:, :1] + 0.1 * noise, batch_size=200)
        >>> 0.01 < result.max_lr < 1, float(model.optimizer.learning_rate)
        (True, 0.125)

    The losses are those of single batches, before the update, with what the layers add to them. (A
    callback's `logs["loss"]` is the mean since the epoch began.) The rate is a variable of the
    compiled step, which is compiled once at most. Where the optimizer has a schedule, the step is
    compiled with a variable in its place; a momentum that is cycled stays at its value of now.

    Args:
        model: A model that is compiled and built, on TensorFlow, JAX or torch.
        x: Inputs: an array, or a nested structure of arrays. Without `y` it is an iterable of
            batches `(x, y)` or `(x, y, sample_weight)`, such as a `tf.data.Dataset`, a
            `PyDataset`, a `DataLoader` or a list, which starts anew with each `iter()`; where it
            runs out it is started anew, which the result's warnings say.
        y: Targets, likewise.
        sample_weight: Weights of the samples, likewise.
        batch_size: Samples per batch of arrays. They are shuffled, the same way in every test; what
            is left over at the end of an epoch is left out.
        repeats: How many times, with other batches and random numbers; see `RangeTestResult.of`.
        progress: Whether a line on stderr shows how far it is; None: where that is a terminal.
        **options: What `clr_core.RangeTest` takes: `start_lr`, `end_lr`, `num_steps`, `ramp` and
            `divergence`.

    Returns:
        A `clr_core.RangeTestResult`: `max_lr`, `base_lr`, `schedule(step_size_up)`, `plot()` …

    Raises:
        TypeError, ValueError: An argument of the wrong kind or outside its range, a model that
            isn't compiled or built or has no weights to train, or no batches.
    """
    from clr_core.range_finding._random_states import same_random_states
    from clr_core.range_finding.ask_tell import RangeTest
    from clr_core.range_finding.driver import Batches, check_run, run
    from clr_core.range_finding.restoring import restored_loader
    from clr_keras.restore import snapshot, values

    repeats = check_run(repeats, progress)
    tests = [RangeTest(**options) for _ in range(repeats)]
    _check_model(model)
    batches = Batches("x", _source(x, y, sample_weight, batch_size))

    with same_random_states(), restored_loader(x):
        before = snapshot(model)
        try:
            optimizer = model.optimizer
            if not optimizer.built:
                optimizer.build(model.trainable_variables)
            own = _each(optimizer)
            rates = [_rate(model, each) for each in own]
            per_update = max(each.gradient_accumulation_steps or 1 for each in own)
            # The compiled step knows the variables, so that between repeats they stay.
            start = values([*model.weights, *optimizer.variables] if repeats > 1 else [])

            def update(lr: float) -> float:
                for rate in rates:
                    rate.assign(lr)
                losses = []
                for _ in range(per_update):
                    batch = _batch(batches.take())
                    # Keras 3.10 doesn't by itself, and gives the mean of all batches so far.
                    model.reset_metrics()
                    losses.append(model.train_on_batch(*batch, return_dict=True)["loss"])
                return float(sum(losses) / per_update)

            return run(tests, update, batches, start.restore, progress)
        finally:
            before.restore()


class _Held(CyclicLR):
    """A variable in the place of a schedule, whose momentum stays where it is."""

    def __init__(self, rate: Any, momentum: float | None) -> None:
        # The rates of this schedule are nobody's; of its momentum both ends are the same.
        super().__init__(
            CyclicSchedule(base_lr=0.0, max_lr=1.0, base_momentum=momentum, max_momentum=momentum)
        )
        self.rate = rate

    def __call__(self, step: Any) -> Any:
        return self.rate


class _Arrays:
    """Batches of arrays, shuffled anew with each `iter()`; the same ones in each test."""

    def __init__(self, arrays: tuple[Any, ...], batch_size: int) -> None:
        self._arrays, self._size = arrays, batch_size
        self._order = np.random.default_rng(0)

    def __iter__(self) -> Iterator[Any]:
        samples = len(keras.tree.flatten(self._arrays)[0])
        size = min(self._size, samples)
        order = self._order.permutation(samples)
        # All of one size: another one would be another compilation.
        for start in range(0, samples - size + 1, size) if samples else ():
            chosen = order[start : start + size]
            yield keras.tree.map_structure(lambda array, at=chosen: array[at], self._arrays)


def _source(x: Any, y: Any, sample_weight: Any, batch_size: Any) -> Any:
    """The batches as an iterable."""
    size = integer("batch_size", batch_size)
    if size < 1:
        raise ValueError(f"`batch_size` must be at least 1. {received('batch_size', batch_size)}")
    if y is None:
        if hasattr(x, "shape"):
            raise TypeError("`y` must be given where `x` is an array. Received: y=None")
        if sample_weight is not None:
            raise TypeError("`sample_weight` must be left out without `y`: put it in the batches.")
        return x
    given = (x, y) if sample_weight is None else (x, y, sample_weight)
    arrays = keras.tree.map_structure(_array, given)
    lengths = [len(array) for array in keras.tree.flatten(arrays)]
    if len({*lengths}) != 1:
        raise ValueError(
            f"`x`, `y` and `sample_weight` must be of one length. Received: lengths {lengths}"
        )
    return _Arrays(arrays, size)


def _array(value: Any) -> Any:
    array = keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else np.asarray(value)
    if not array.ndim:
        raise TypeError(f"`x` and `y` must be arrays. {received('x or y', value)}")
    return array


def _batch(batch: Any) -> tuple[Any, ...]:
    if not isinstance(batch, tuple | list):
        return (batch,)
    if not 1 <= len(batch) <= 3:
        raise ValueError(
            "`x` must give batches of inputs, targets and weights of samples. "
            f"Received: a {type(batch).__name__} of {len(batch)}"
        )
    return tuple(batch)


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: a {type(model).__name__}")
    if not model.compiled or model.optimizer is None:
        raise ValueError(
            "`model` must be compiled with an optimizer. Received: one that isn't. "
            "Call model.compile(optimizer, loss) first."
        )
    if not all(layer.built for layer in model._flatten_layers()):
        raise ValueError(
            "`model` must be built: its weights can't be taken away again. "
            "Received: one that isn't. Call it on a batch first, or begin it with an Input."
        )
    if not model.trainable_variables:
        raise ValueError("`model` must have weights to train. Received: none")


def _each(optimizer: Any) -> list[Any]:
    """The optimizers that have a rate: itself, or those in it."""
    inner = getattr(optimizer, "inner_optimizer", None)
    inside = getattr(optimizer, "optimizers", None) if inner is None else [inner]
    return [optimizer] if inside is None else [own for each in inside for own in _each(each)]


def _rate(model: Any, optimizer: Any) -> Any:
    """The variable that the optimizer takes its rate from; a new one where it has a schedule."""
    # Private to Keras: `learning_rate` gives the value of a schedule.
    rate = optimizer._learning_rate
    if isinstance(rate, keras.Variable):
        return rate
    momentum = None
    if isinstance(optimizer, CyclicOptimizer):
        momentum = getattr(optimizer, optimizer.scheduled)
    variable = keras.Variable(0.0, trainable=False, dtype="float32", name="learning_rate")
    # JAX's compiled step takes and gives back the optimizer's variables, and no others. By way of
    # `__dict__`, since an optimizer keeps track of what is assigned to it.
    optimizer._variables.append(variable)
    optimizer.__dict__["_learning_rate"] = _Held(variable, momentum)
    # It was compiled with the schedule.
    model.train_function = None
    return variable
