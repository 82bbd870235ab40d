"""A parser whose errors take one line, and readers of single arguments."""

from __future__ import annotations

import argparse
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

MOST_STEPS = 1_000_000
"""The largest number of steps that a command computes: about a second."""

FRAMEWORKS = {"pytorch": "torch", "optax": "jax"}
"""Other names of what `--to` takes."""


class Parser(argparse.ArgumentParser):
    """argparse's parser, with errors of one line in place of the usage."""

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)  # type: ignore[arg-type]
        self.register("action", None, _Once)

    def error(self, message: str) -> NoReturn:
        """Print the message in one line, with what may have been meant, and exit with 2."""
        from clr_cli.output import one_line

        unknown = message.removeprefix("unrecognized arguments: ")
        meant = [] if unknown == message else self._flags_like(unknown.split())
        hint = f" Did you mean {' or '.join(meant)}?" if meant else ""
        said = one_line(message) + ("" if message.endswith("?") else ".")
        self.exit(2, f"{self.prog}: {said}{hint} See {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """As argparse does, in the words of one version, and with what may have been meant."""
        if action.choices is None or value in action.choices:
            return
        from difflib import get_close_matches

        meant = get_close_matches(str(value), [*map(str, action.choices)], 1)
        listed = ", ".join(map(repr, action.choices))
        raise argparse.ArgumentError(
            action,
            f"invalid choice: {value!r} (choose from {listed})"
            + "".join(f". Did you mean {each}?" for each in meant),
        )

    def _flags_like(self, given: list[str]) -> list[str]:
        """The flags that may have been meant by the first unknown one."""
        from difflib import get_close_matches

        unknown = next((each for each in given if each.startswith("--")), "")
        name = unknown.partition("=")[0].replace("_", "-").lower()
        flags = [each for each in self._option_string_actions if each.startswith("--")]
        if name in flags:
            return [name]
        longer = [each for each in flags if len(name) > 3 and each.startswith(name)]
        return longer[:3] or get_close_matches(name, flags, 1)


class _Once(argparse._StoreAction):
    """The last of two values wouldn't be what the first one's author expects."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if option_string is not None:
            given = vars(namespace).setdefault("_given", set())
            if self.dest in given:
                raise argparse.ArgumentError(self, "must be given once")
            given.add(self.dest)
        super().__call__(parser, namespace, values, option_string)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if action.nargs == argparse.PARSER:
            # argparse forgets the indentation of commands, and would break the longest one's line.
            self._action_max_length += self._indent_increment


def count(least: int = 1, most: int = MOST_STEPS) -> Callable[[str], int]:
    """A reader of integers within these bounds.

    >>> count()("12"), count()("4*391")
    (12, 1564)
    """

    def read(text: str) -> int:
        try:
            number: int | None = int(text)  # Exact, also above 2**53.
        except ValueError:
            found = arithmetic(text)
            number = int(found) if found is not None and found == found // 1 else None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {least} to {most}. Received: {text!r}"
            )
        return number

    return read


def number(text: str) -> float:
    """Read a number, which may be written as a product, a sum and so on.

    >>> number("0.006"), number("17000*6"), number("(50000 / 128) * 2")
    (0.006, 102000.0, 781.25)
    """
    try:
        return float(text)
    except ValueError:
        found = arithmetic(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"must be a number, such as 0.006 or 4*391. Received: {text!r}"
        )
    return found


def arithmetic(text: str) -> float | None:
    """The value of an expression such as a `scale_fn` is, but without `x`; None: it isn't one.

    >>> arithmetic("2*(3+4)"), arithmetic("2**9"), arithmetic("1/0"), arithmetic("x")
    (14.0, 512.0, None, None)
    """
    from clr_core import python_ops
    from clr_core.schedules.expression import parsed

    try:
        normal, value = parsed(text, first=1)
    except ValueError:
        return None
    return None if re.search(r"\bx\b", normal) else float(value(0.0, python_ops))


def framework(text: str) -> str:
    """Read the name of a framework.

    >>> framework("pytorch"), framework("keras")
    ('torch', 'keras')
    """
    return FRAMEWORKS.get(text, text)


def steps(text: str) -> list[int]:
    """Read a list of steps.

    >>> steps("0,2000,4000")
    [0, 2000, 4000]
    """
    return [_step(part.strip()) for part in text.split(",")]


def step_range(text: str) -> range:
    """Read a range of steps; as in Python, the stop isn't part of it.

    >>> step_range("0:4000:1000")
    range(0, 4000, 1000)
    """
    parts = [_step(part) for part in text.split(":")]
    if not 2 <= len(parts) <= 3 or parts[-1] == 0 or parts[0] >= parts[1]:
        raise argparse.ArgumentTypeError(
            f"must be START:STOP or START:STOP:STRIDE. Received: {text!r}"
        )
    found = range(*parts)
    if len(found) > MOST_STEPS:
        raise argparse.ArgumentTypeError(
            f"must have at most {MOST_STEPS} steps. Received: {text!r}"
        )
    return found


def _step(text: str) -> int:
    from clr_core.adapter import LARGEST_STEP  # Imported here to keep `clr --help` light.

    return count(0, LARGEST_STEP)(text)
