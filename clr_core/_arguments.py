"""Argument checks with consistent error messages."""

from __future__ import annotations

import operator

LARGEST_STEP = 2**53  # Beyond it not every integer is a float64.


def received(name: str, value: object) -> str:
    """The second sentence of an error: what the caller passed.

    >>> received("step_size_up", 0)
    'Received: step_size_up=0'
    """
    try:
        text = repr(value)
    except Exception:  # An int of 5,000 digits has no repr; a user's class may have a broken one.
        text = f"<{type(value).__name__}>"
    if len(text) > 120:
        text = f"{text[:100]}… ({len(text)} characters)"
    return f"Received: {name}={text}"


def number(name: str, value: object) -> float:
    """Return `value` as a finite float, or raise an error that names the argument.

    >>> number("gamma", 1)
    1.0
    """
    if type(value) is not float and type(value) is not int:
        # Imported here to keep `import clr_core` light: other kinds of numbers are rare.
        from numbers import Real

        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"`{name}` must be a number. {received(name, value)}")
    try:
        result = float(value)
    except OverflowError:
        result = float("inf")
    if result - result != 0.0:
        raise ValueError(f"`{name}` must be finite. {received(name, value)}")
    return result + 0.0  # Turns -0.0 into 0.0: equal values have one form.


def integer(name: str, value: object) -> int:
    """Return `value` as an int, or raise an error that names the argument; refuses a bool.

    >>> integer("step", 3)
    3
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. {received(name, value)}") from None


def count(name: str, value: object) -> int:
    """Return `value` as an int from 0 to 2**53, or raise an error that names the argument.

    >>> count("step", 3)
    3
    """
    whole = value if type(value) is int else integer(name, value)
    if not 0 <= whole <= LARGEST_STEP:
        raise ValueError(f"`{name}` must lie between 0 and 2**53. {received(name, value)}")
    return whole


def check_schedule(schedule: object) -> None:
    """Raise a TypeError unless `schedule` has what an adapter asks of one.

    That is `lr(step, ops)`, `momentum(step, ops)` and `to_dict()`; see
    `clr_core.schedules.protocol.Schedule`.
    """
    names = ("lr", "momentum", "to_dict")
    has_all = all(callable(getattr(schedule, name, None)) for name in names)
    if not has_all or isinstance(schedule, type):
        raise TypeError(
            "`schedule` must be a schedule such as CyclicSchedule. "
            f"{received('schedule', schedule)}"
        )


def one_line(error: BaseException, limit: int = 1000) -> str:
    r"""The message of an error in one line of at most `limit` characters.

    >>> one_line(ValueError("a file\n  that is broken"))
    'a file that is broken'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[:limit]}…"
