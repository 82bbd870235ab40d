"""The learning rate range test on a JAX training step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from clr_core import RangeTestResult


def range_test(
    step_fn: Callable[..., Any],
    params: Any,
    opt_state: Any,
    batches: Iterable[Any],
    *,
    jit: bool = True,
    repeats: int = 1,
    progress: bool | None = None,
    **options: Any,
) -> RangeTestResult:
    """Trains with a rate that rises, and reads from the losses where a cycle should lie.

        >>> def loss_fn(params, batch):
        ...     return jnp.mean((batch @ params - 1) ** 2)
        >>> def step_fn(params, opt_state, batch, lr):
        ...     loss, gradient = jax.value_and_grad(loss_fn)(params, batch)
        ...     return params - lr * gradient, opt_state, loss
        >>> batches = 1 + jax.random.normal(jax.random.key(0), (100, 200, 4))
        >>> result = range_test(step_fn, jnp.zeros(4), None, batches)
        >>> 0.01 < result.max_lr < 1
        True

    With optax, make the rate of the update the `lr` given: with an optimizer of rate 1, multiply
    its updates by it. Then its state stays what it is in your training, without a schedule's:

        >>> import optax
        >>> optimizer = optax.sgd(1.0, momentum=0.9)
        >>> def step_fn(params, opt_state, batch, lr):
        ...     loss, gradient = jax.value_and_grad(loss_fn)(params, batch)
        ...     updates, opt_state = optimizer.update(gradient, opt_state, params)
        ...     updates = jax.tree.map(lambda update: lr * update, updates)
        ...     return optax.apply_updates(params, updates), opt_state, loss
        >>> params = jnp.zeros(4)
        >>> result = range_test(step_fn, params, optimizer.init(params), batches)

    `params` and `opt_state` are what they were: JAX's arrays don't change. They are copied first,
    on their devices, so that a step which donates its arguments takes the copies. The random states
    of Python and NumPy, and the position of `batches` where it has one, are put back also after an
    error or an interruption.

    Args:
        step_fn: One update: `step_fn(params, opt_state, batch, lr)` gives the new `params`, the new
            `opt_state`, and the loss of the batch before the update. The rate is an argument, a
            scalar of JAX's weak float type, so that the step is compiled once for all rates.
        params: The parameters to start from, any pytree.
        opt_state: What else a step takes over from the one before, any pytree: an optimizer's
            state, batch statistics, a random key.
        batches: An iterable that starts anew with each `iter()`, such as a list or an array. Where
            it runs out it is started anew, which the result's warnings say. Batches of another
            shape are compiled anew.
        jit: Whether to compile the step; one that is jitted already is taken as it is.
        repeats: How many times, with other batches; see `RangeTestResult.of`.
        progress: Whether a line on stderr shows how far it is; None: where that is a terminal.
        **options: What `clr_core.RangeTest` takes: `start_lr`, `end_lr`, `num_steps`, `ramp` and
            `divergence`.

    Returns:
        A `clr_core.RangeTestResult`: `max_lr`, `base_lr`, `schedule(step_size_up)`, `plot()` …

    Raises:
        TypeError, ValueError: An argument of the wrong kind or outside its range, `params` without
            arrays, no batches, or a step that doesn't give three things, the last of them a number.
    """
    from clr_core.adapter import received
    from clr_core.range_finding._random_states import same_random_states
    from clr_core.range_finding.ask_tell import RangeTest
    from clr_core.range_finding.driver import Batches, check_run, run
    from clr_core.range_finding.restoring import restored_loader

    repeats = check_run(repeats, progress)
    tests = [RangeTest(**options) for _ in range(repeats)]
    if not callable(step_fn):
        raise TypeError(f"`step_fn` must be callable. {received('step_fn', step_fn)}")
    if not isinstance(jit, bool):
        raise TypeError(f"`jit` must be True or False. {received('jit', jit)}")
    if not jax.tree.leaves(params):
        raise ValueError(f"`params` must have arrays to train. {received('params', params)}")
    source = Batches("batches", batches)
    # What is jitted, by JAX or by a library on top of it, can be lowered.
    step = jax.jit(step_fn) if jit and not hasattr(step_fn, "lower") else step_fn
    state = _copied((params, opt_state))

    def anew() -> None:
        nonlocal state
        state = _copied((params, opt_state))

    def update(lr: float) -> Any:
        nonlocal state
        given = step(*state, source.take(), lr)
        if not isinstance(given, tuple | list) or len(given) != 3:
            kind = f"a {type(given).__name__}"
            raise TypeError(
                "`step_fn` must give three things: params, opt_state and the loss. "
                f"Received: {kind}" + (f" of {len(given)}" if hasattr(given, "__len__") else "")
            )
        state = given[0], given[1]
        return given[2]

    with same_random_states(), restored_loader(batches):
        return run(tests, update, source, anew, progress)


def _copied(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.copy(leaf) if isinstance(leaf, jax.Array) else leaf, tree)
