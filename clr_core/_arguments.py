"""The one wording of every complaint about an argument."""

from __future__ import annotations

import operator


def received(name: str, value: object) -> str:
    """Says what the caller passed, as the second sentence of an error.

    >>> received("step_size_up", 0)
    'Received: step_size_up=0'
    """
    try:
        text = repr(value)
    except (
        Exception
    ):  # An int of 5,000 digits has no repr, and a stranger's class may have a broken one.
        text = f"<{type(value).__name__}>"
    if len(text) > 120:
        text = f"{text[:100]}… ({len(text)} characters)"
    return f"Received: {name}={text}"


def number(name: str, value: object) -> float:
    """`value` as a finite float, or an error that names the argument.

    >>> number("gamma", 1)
    1.0
    """
    if type(value) is not float and type(value) is not int:
        # Here and not at the top: hardly anybody passes another kind of number, and `import
        # clr_core` is to cost next to nothing.
        from numbers import Real

        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"`{name}` must be a number. {received(name, value)}")
    try:
        result = float(value)
    except OverflowError:
        result = float("inf")
    if result - result != 0.0:
        raise ValueError(f"`{name}` must be finite. {received(name, value)}")
    return result + 0.0  # -0.0 and 0.0 mean the same, so they get one form.


def integer(name: str, value: object) -> int:
    """`value` as an int, or an error that names the argument. A bool isn't an integer here.

    >>> integer("step", 3)
    3
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. {received(name, value)}") from None
