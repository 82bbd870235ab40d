"""A parser whose errors take one line, and readers of single arguments."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

MOST_STEPS = 1_000_000
"""The largest number of steps that a command computes: about a second."""


class Parser(argparse.ArgumentParser):
    """argparse's parser, with errors of one line in place of the usage."""

    def __init__(self, **options: object) -> None:
        # An option of a command takes precedence over a schedule's parameter of the same name.
        options.update(formatter_class=_Formatter, conflict_handler="resolve")
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]
        self.register("action", None, _Once)

    def error(self, message: str) -> NoReturn:
        """Print the message in one line and exit with 2."""
        from clr_cli.output import one_line

        self.exit(2, f"{self.prog}: {one_line(message)}. See {self.prog} --help\n")


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

    >>> count()("12")
    12
    """

    def read(text: str) -> int:
        # Python refuses an int of 5,000 digits in its own words.
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {least} to {most}. Received: {text!r}"
            )
        return number

    return read


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


_step = count(0, 2**53)
