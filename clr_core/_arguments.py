"""Argument checks with consistent error messages."""

from __future__ import annotations

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LARGEST_STEP = 2**53  # Beyond it not every integer is a float64.


def received(name: str, value: object, /, **others: object) -> str:
    """The second sentence of an error: what the caller passed, in one line of bounded length.

    >>> received("base_lr", 2, max_lr=1)
    'Received: base_lr=2, max_lr=1'
    """
    given = {name: value, **others}
    # A name may come from a file, too.
    return "Received: " + ", ".join(f"{_short(each)}={_shown(given[each])}" for each in given)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # An int of 5,000 digits has no repr; a user's class may have a broken one.
        text = f"<{type(value).__name__}>"
    return _short(text)


def _short(text: str) -> str:
    """At most 120 visible characters of it, in one line."""
    length = len(text)
    text = visible(text[:121].replace("\n", " "))
    return text if length <= 120 else f"{text[:100]}… ({length} characters)"


def visible(text: str) -> str:
    r"""The text with control characters spelled out, so that a terminal doesn't obey them.

    >>> visible("models\x1b[2J.py")
    'models\\x1b[2J.py'
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\t" else each.encode("unicode_escape").decode()
        for each in text
    )


def listed(names: Iterable[object], most: int = 8) -> str:
    """The first of these names, and how many more there are.

    >>> listed("abcdefghij")
    "'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 2 more"
    """
    every = list(names)
    text = ", ".join(_shown(name) for name in every[:most])
    return text if len(every) <= most else f"{text} and {len(every) - most} more"


def number(name: str, value: object) -> float:
    """Return `value` as a finite float, or raise an error that names the argument.

    >>> number("gamma", 1)
    1.0
    """
    if type(value) is not float and type(value) is not int:
        # Imported here to keep `import clr_core` light: other kinds of numbers are rare.
        from numbers import Real

        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"`{name}` must be a number. {received(name, value)}{_unquoted(value)}")
    try:
        result = float(value)
    except OverflowError:
        result = float("inf")
    if result - result != 0.0:
        raise ValueError(f"`{name}` must be finite. {received(name, value)}")
    return result + 0.0  # Turns -0.0 into 0.0: equal values have one form.


def positive_number(name: str, value: object) -> float:
    """Return `value` as a finite float above 0, or raise an error that names the argument.

    >>> positive_number("factor", 2)
    2.0
    """
    result = number(name, value)
    if result <= 0.0:
        raise ValueError(f"`{name}` must be positive. {received(name, value)}")
    return result


def not_negative(name: str, value: object) -> float:
    """Return `value` as a finite float from 0, or raise an error that names the argument.

    >>> not_negative("base_lr", 0)
    0.0
    """
    result = number(name, value)
    if result < 0.0:
        raise ValueError(f"`{name}` must not be negative. {received(name, value)}")
    return result


def integer(name: str, value: object) -> int:
    """Return `value` as an int, or raise an error that names the argument; refuses a bool.

    >>> integer("step", 3)
    3
    """
    try:
        if type(value).__name__ == "bool":  # NumPy 2.0 takes its own as an index, with a warning.
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"`{name}` must be an integer. {received(name, value)}{_unquoted(value)}"
        ) from None


def _unquoted(value: object) -> str:
    """The advice for a number that is text since YAML 1.1, and so PyYAML, wants a dot and a sign.

    >>> _unquoted("1e-5")
    '. PyYAML takes this for text: write 1.0e-05'
    """
    if not isinstance(value, str) or len(value) > 40 or "e" not in value.lower():
        return ""
    try:
        found = float(value)
    except ValueError:
        return ""
    if found - found != 0.0:
        return ""
    text = repr(int(found) if found.is_integer() and abs(found) < 1e16 else found)
    mantissa, exponent, power = text.partition("e")
    if exponent and "." not in mantissa:
        text = f"{mantissa}.0e{power}"
    return f". PyYAML takes this for text: write {text}"


def count(name: str, value: object, least: int = 0) -> int:
    """Return `value` as an int from `least` to 2**53, or raise an error that names the argument.

    >>> count("step", 3)
    3
    """
    whole = value if type(value) is int else integer(name, value)
    if not least <= whole <= LARGEST_STEP:
        raise ValueError(f"`{name}` must lie between {least} and 2**53. {received(name, value)}")
    return whole


def one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return `value` as a plain str, or raise an error that lists what is allowed.

    >>> one_of("ramp", "linear", ("exponential", "linear"))
    'linear'
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"`{name}` must be one of {listed(allowed)}. {received(name, value)}")
    return allowed[allowed.index(value)]  # Where the caller gave a member of an enumeration.


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


def one_line(error: BaseException | str, limit: int = 1000) -> str:
    r"""The message of an error in one line of at most `limit` characters.

    >>> one_line(ValueError("a file\n  that is broken"))
    'a file that is broken'
    """
    text = visible(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= limit else f"{text[:limit]}…"
