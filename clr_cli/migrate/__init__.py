r"""Find other cyclical learning rates in Python files, and write what replaces them.

    >>> source = "from torch.optim.lr_scheduler import CyclicLR\nCyclicLR(opt, 1e-3, 6e-3)\n"
    >>> (finding,) = migrate(source, "train.py", to="torch")
    >>> finding.line, finding.record["schedule"]["max_lr"]
    (2, 0.006)
    >>> print(finding.replacement)
    from clr_torch import CyclicLR
    <BLANKLINE>
    scheduler = CyclicLR(opt, base_lr=1e-3, max_lr=6e-3)

It finds torch's `CyclicLR`, the four classes of TensorFlow Addons, the callback of bckenstler and
keras-contrib and its copies, braintools' `CyclicLR`, and functions that compute the triangle as the
paper's code does. The file is parsed, and nothing in it is executed. Values other than literals are
shown as they were written, and never guessed.
"""

from __future__ import annotations

from clr_cli.migrate.calls import calls
from clr_cli.migrate.finding import Caution, Finding, as_json, as_text
from clr_cli.migrate.hand_written import hand_written
from clr_cli.migrate.names import Names
from clr_cli.migrate.source import Source, too_deep
from clr_cli.migrate.source import read as read_source

__all__ = ["FRAMEWORKS", "Caution", "Finding", "as_json", "as_text", "migrate", "read_source"]

FRAMEWORKS = ("torch", "keras", "jax")
# A file without any of these has nothing to find, which saves most of the work: the names of the
# classes, a parameter of copies under another name, and the functions of a triangle.
_WORDS = (("CyclicLR",), ("CyclicalLearningRate",), ("max_lr",), ("abs", "max"))


def migrate(source: str, name: str, to: str) -> list[Finding]:
    """Find the cyclical learning rates in a Python file, in the order of its lines.

    Args:
        source: The text of the file, such as `read_source` returns.
        name: The name of the file, for findings and errors.
        to: The framework of the replacements: "torch", "keras" or "jax".

    Raises:
        TypeError: `source` isn't text.
        ValueError: Another framework; or the file isn't Python 3, is nested too deeply, or is too
            large. The error names the line, if it is known.
    """
    if to not in FRAMEWORKS:
        raise ValueError(f"`to` must be one of 'torch', 'keras', 'jax'. Received: to={to!r}")
    parsed = Source(source, name)
    try:
        if not any(all(word in source for word in words) for words in _WORDS):
            return []
        names = Names(parsed)
        found = [*calls(parsed, names, to), *hand_written(parsed, names, to)]
    except RecursionError:
        raise too_deep(name) from None
    return sorted(found, key=lambda finding: (finding.line, finding.end_line))
