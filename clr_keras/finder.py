"""The learning rate range test on a Keras model, which is left as it was."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Unpack

import keras
import numpy as np

from clr_core import RangeTestResult, Schedule
from clr_core.adapter import received
from clr_core.range_finding.ask_tell import RangeTestOptions
from clr_core.range_finding.driver import Batches, positive, repeated, run
from clr_core.range_finding.restoring import loader_position, random_states, restore, restored
from clr_keras import _keras_internals as internals
from clr_keras._keras_internals import inner_optimizers
from clr_keras.restore import rate_of, twin, values
from clr_keras.schedule import ScheduledLR


def range_test(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int = 32,
    score: Any = None,
    repeats: int = 1,
    trials: bool = True,
    **options: Unpack[RangeTestOptions],
) -> RangeTestResult:
    """Trains with a rate that rises, and reads the boundaries of a cycle from the losses.

    Afterwards the state of everything is as it was, bit for bit, also if the test fails or is
    interrupted: weights and other state of layers, the optimizer with its moments, its `iterations`
    and its learning rate (the same variable or schedule), metrics, seed generators of layers, the
    random states of Python, NumPy and torch, the loader's position, and the compiled functions. The
    copies lie on the variables' devices: as much memory again as weights and moments take.

        >>> keras.utils.set_random_seed(0)
        >>> x, noise = np.random.normal(size=(2000, 8)), np.random.normal(size=(2000, 1))
        >>> model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.125), "mse")
        >>> result = range_test(model, x, x[:, :1] + 0.1 * noise, batch_size=200)
        >>> 0.01 < result.max_lr < 1, float(model.optimizer.learning_rate)
        (True, 0.125)

    The losses are those of single batches, before the update, including what the layers add. (A
    callback's `logs["loss"]` is the mean since the epoch began.) The rate is a variable of the
    compiled step, which is compiled at most once. If the optimizer has a schedule or isn't built
    yet, the test trains with a twin of it, made from its configuration; a momentum that is cycled
    keeps its present value.

    Args:
        model: A model that is compiled and built, on TensorFlow, JAX or torch.
        x: Inputs: an array, or a nested structure of arrays. Without `y` it is an iterable of
            batches `(x, y)` or `(x, y, sample_weight)`, such as a `tf.data.Dataset`, a
            `PyDataset`, a `DataLoader` or a list, which starts over with each `iter()`; if it runs
            out it starts over, and the result's warnings say so.
        y: Targets, likewise.
        sample_weight: Weights of the samples, likewise.
        batch_size: Samples per batch of arrays. They are shuffled, in the same way in every test;
            samples left over at the end of an epoch are left out.
        score: A metric of which more is better, as `compile(metrics=[…])` takes it: "accuracy", a
            function of targets and outputs, a `keras.Metric`. The result then has `scores`, and the
            paper's own reading of them.
        repeats: Number of tests, with other batches and random numbers; see `RangeTestResult.of`.
        trials: Whether to compare trainings with `max_lr` and with rates around it, each of
            `num_steps` updates with the same batches, and to take the best. That is the time of
            three to seven more tests.
        **options: `start_lr`, `end_lr`, `num_steps`, `ramp` and `divergence`, as in
            `clr_core.RangeTest`.

    Returns:
        A `clr_core.RangeTestResult`: `max_lr`, `base_lr`, `schedule(step_size_up)`, `plot()` …

    Raises:
        TypeError, ValueError: An argument of the wrong kind or outside its range, a model that
            isn't compiled or built or has no weights to train, or no batches; or, if the model was
            never trained, a loss that Keras can't serialize.
    """
    tests = repeated(repeats, trials, **options)
    _check_model(model)
    batches = Batches("x", _source(x, y, sample_weight, batch_size))
    _check_score(model, score)
    metrics = [] if score is None else [score]
    kept = values(score.variables) if isinstance(score, keras.Metric) else []
    around = [*_others(model), *kept, *loader_position(x), *random_states()]
    optimizer = _trained_with(model)
    trained = list(inner_optimizers(optimizer))
    rates = [_rate(each) for each in trained]
    per_update = max(each.gradient_accumulation_steps or 1 for each in trained)
    before = values([*model.weights, *optimizer.variables])

    def update(lr: float) -> tuple[float, ...]:
        for rate in rates:
            rate.assign(lr)
        of_batches = []
        for _ in range(per_update):
            batch = _batch(batches.take())
            # Keras 3.10 doesn't by itself, and gives the mean of all batches so far.
            model.reset_metrics()
            logs = model.train_on_batch(*batch, return_dict=True)
            of_batches.append(logs)
        names = sorted(logs, key=lambda name: name != "loss")  # The score has a name of its own.
        return tuple(float(sum(logs[name] for logs in of_batches) / per_update) for name in names)

    with restored([*before, *around]):
        if optimizer is not model.optimizer or model.train_function is None or score is not None:
            _compile(model, optimizer, metrics)
        return run(tests, lambda: restore(before), update, batches, trials=trials)


def _others(model: Any) -> list[Any]:
    """Restores what a repeat doesn't: metrics, seed generators, and what was compiled."""
    weights = {id(each) for each in model.weights}
    others = [
        each for each in (*model.variables, *model.metrics_variables) if id(each) not in weights
    ]
    # By way of `vars`, since TensorFlow keeps track of what is assigned to a model.
    attributes = dict(vars(model))
    return [*values(others), lambda: vars(model).update(attributes)]


def _check_score(model: Any, score: Any) -> None:
    if score is None:
        return
    if not isinstance(score, str) and not callable(score):
        raise TypeError(
            f"`score` must be a metric, as `compile` takes it. {received('score', score)}"
        )
    outputs = keras.tree.flatten(getattr(model, "output", None))
    if len(outputs) != 1:
        raise ValueError(
            "`score` must be one number, so the model must have one output. "
            f"Received: {len(outputs)} outputs"
        )


def _compile(model: Any, optimizer: Any, metrics: list[Any]) -> None:
    """Compiles the model with new losses and metrics, so that its own stay as they are."""
    with warnings.catch_warnings(action="ignore"):  # Keras warns of a lambda that it serializes.
        weights = keras.Model.get_compile_config(model).get("loss_weights")
    keras.Model.compile(
        model,
        optimizer,
        loss=model.loss,
        loss_weights=weights,
        metrics=metrics,
        run_eagerly=model.run_eagerly,
        jit_compile=model.jit_compile,
        auto_scale_loss=False,
    )


def _trained_with(model: Any) -> Any:
    """The model's optimizer if a rate can be assigned to it, otherwise its twin."""
    optimizer = model.optimizer
    if optimizer.built and all(rate_of(each) is not None for each in inner_optimizers(optimizer)):
        return optimizer
    return twin(optimizer, model.trainable_variables)


def _rate(optimizer: Any) -> Any:
    """The variable that holds the rate; a new one in the place of a schedule."""
    rate = rate_of(optimizer)
    if rate is not None:
        return rate
    # A variable of the optimizer: JAX's compiled step takes and gives back these, and no others.
    rate = optimizer.add_variable((), dtype="float32", name="learning_rate")
    held = _Held(rate, internals.rate(optimizer).schedule)
    # Not by our own setter, which would make another schedule of it.
    internals.set_rate(optimizer, held)
    return rate


class _Held(ScheduledLR):
    """A variable in the place of a schedule."""

    def __init__(self, rate: Any, schedule: Schedule) -> None:
        self.hold(schedule, 1, "ScheduledLR")
        self.rate = rate

    def __call__(self, step: Any) -> Any:
        return self.rate


class _Arrays:
    """Batches of arrays, reshuffled with each `iter()`, in the same way in each test."""

    def __init__(self, arrays: tuple[Any, ...], batch_size: int) -> None:
        self._arrays, self._size = arrays, batch_size
        self.generator = np.random.default_rng(0)

    def __iter__(self) -> Iterator[Any]:
        samples = len(keras.tree.flatten(self._arrays)[0])
        size = min(self._size, samples)
        order = self.generator.permutation(samples)
        # All of one size, since each size is a compilation.
        for start in range(0, samples - size + 1, size) if samples else ():
            chosen = order[start : start + size]
            yield keras.tree.map_structure(lambda array, at=chosen: array[at], self._arrays)


def _source(x: Any, y: Any, sample_weight: Any, batch_size: Any) -> Any:
    """The batches as an iterable."""
    size = positive("batch_size", batch_size)
    if y is None:
        if hasattr(x, "shape"):
            raise TypeError("`y` must be given if `x` is an array. Received: y=None")
        if sample_weight is not None:
            raise TypeError("`sample_weight` must be left out without `y`: put it in the batches.")
        return x
    given = (x, y) if sample_weight is None else (x, y, sample_weight)
    arrays = keras.tree.map_structure(_array, given)
    lengths = [len(array) for array in keras.tree.flatten(arrays)]
    if len({*lengths}) != 1:
        raise ValueError(
            f"`x`, `y` and `sample_weight` must have the same length. Received: lengths {lengths}"
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
            "`x` must give batches of inputs, targets and sample weights. "
            f"Received: a {type(batch).__name__} of {len(batch)}"
        )
    return tuple(batch)


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: a {type(model).__name__}")
    if not model.compiled or model.optimizer is None:
        raise ValueError(
            "`model` must be compiled with an optimizer. Received: an uncompiled model. "
            "Call model.compile(optimizer, loss) first."
        )
    if not model.built or not all(layer.built for layer in model.layers):
        raise ValueError(
            "`model` must be built: its weights couldn't be taken away again. Received: a model "
            "that isn't built. Call it on a batch first, or begin it with an Input."
        )
    if not model.trainable_variables:
        raise ValueError("`model` must have weights to train. Received: none")
