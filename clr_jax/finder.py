"""The learning rate range test on a JAX training step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Unpack

import jax
import jax.numpy as jnp

from clr_core import RangeTestResult
from clr_core.adapter import received
from clr_core.range_finding.ask_tell import RangeTestOptions
from clr_core.range_finding.driver import Batches, check_callable, repeated, run
from clr_core.range_finding.restoring import loader_position, random_states, restored


def range_test(
    step_fn: Callable[..., Any],
    params: Any,
    opt_state: Any,
    batches: Iterable[Any],
    *,
    jit: bool = True,
    repeats: int = 1,
    trials: bool = True,
    **options: Unpack[RangeTestOptions],
) -> RangeTestResult:
    """Trains with a rate that rises, and reads the boundaries of a cycle from the losses.

        >>> def loss_fn(params, batch):
        ...     return jnp.mean((batch @ params - 1) ** 2)
        >>> def step_fn(params, opt_state, batch, lr):
        ...     loss, gradient = jax.value_and_grad(loss_fn)(params, batch)
        ...     return params - lr * gradient, opt_state, loss
        >>> batches = 1 + jax.random.normal(jax.random.key(0), (100, 200, 4))
        >>> result = range_test(step_fn, jnp.zeros(4), None, batches)
        >>> 0.01 < result.max_lr < 1
        True

    With optax, multiply the updates of an optimizer of rate 1 by the given `lr`. Then the state is
    that of your training, without a schedule's:

        >>> import optax
        >>> optimizer = optax.sgd(1.0, momentum=0.9)
        >>> def step_fn(params, opt_state, batch, lr):
        ...     loss, gradient = jax.value_and_grad(loss_fn)(params, batch)
        ...     updates, opt_state = optimizer.update(gradient, opt_state, params)
        ...     updates = jax.tree.map(lambda update: lr * update, updates)
        ...     return optax.apply_updates(params, updates), opt_state, loss
        >>> params = jnp.zeros(4)
        >>> result = range_test(step_fn, params, optimizer.init(params), batches)

    `params` and `opt_state` stay what they were, since JAX's arrays don't change. They are copied
    first, on their devices, so that a step which donates its arguments takes the copies. The random
    states of Python, NumPy and torch, and the position of `batches` if it has one, are put back,
    also after an error or an interruption.

    Args:
        step_fn: One update: `step_fn(params, opt_state, batch, lr)` returns the new `params`, the
            new `opt_state`, and the loss of the batch before the update; and as a fourth value, if
            you like, a score of the batch such as the accuracy, of which more is better. The rate
            is a scalar of JAX's weak float type, so that the step is compiled once for all rates.
        params: The parameters to start from, any pytree.
        opt_state: Anything else that one step hands to the next, any pytree: an optimizer's state,
            batch statistics, a random key.
        batches: An iterable that starts over with each `iter()`, such as a list or an array. If it
            runs out it starts over, and the result's warnings say so. Each new shape of a batch is
            another compilation.
        jit: Whether to compile the step; one that is jitted already is used as it is.
        repeats: Number of tests, with other batches; see `RangeTestResult.of`.
        trials: Whether to compare trainings with `max_lr` and with rates around it, each of
            `num_steps` updates with the same batches, and to take the best. That is the time of
            three to seven more tests.
        **options: `start_lr`, `end_lr`, `num_steps`, `ramp` and `divergence`, as in
            `clr_core.RangeTest`.

    Returns:
        A `clr_core.RangeTestResult`: `max_lr`, `base_lr`, `schedule(step_size_up)`, `plot()` …

    Raises:
        TypeError, ValueError: An argument of the wrong kind or outside its range, `params` without
            arrays, no batches, or a step that doesn't return three or four values, of which the
            last are numbers.
    """
    tests = repeated(repeats, trials, **options)
    check_callable("step_fn", step_fn)
    if not isinstance(jit, bool):
        raise TypeError(f"`jit` must be True or False. {received('jit', jit)}")
    if not jax.tree.leaves(params):
        raise ValueError(f"`params` must have arrays to train. {received('params', params)}")
    source = Batches("batches", batches)
    # What is jitted, by JAX or by a library on top of it, can be lowered.
    step = jax.jit(step_fn) if jit and not hasattr(step_fn, "lower") else step_fn
    state = params, opt_state

    def start() -> None:
        nonlocal state
        state = _copied((params, opt_state))

    def update(lr: float) -> tuple[Any, ...]:
        nonlocal state
        returned = step(*state, source.take(), lr)
        if not isinstance(returned, tuple | list) or len(returned) not in (3, 4):
            size = f" of {len(returned)}" if hasattr(returned, "__len__") else ""
            raise TypeError(
                "`step_fn` must return params, opt_state, the loss and, if you like, a score. "
                f"Received: a {type(returned).__name__}{size}"
            )
        state = returned[0], returned[1]
        return tuple(returned[2:])

    with restored([*loader_position(batches), *random_states()]):
        return run(tests, start, update, source, trials=trials)


def _copied(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.copy(leaf) if isinstance(leaf, jax.Array) else leaf, tree)
