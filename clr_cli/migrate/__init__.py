r"""Find other cyclical learning rates in code, and rewrite them.

    >>> source = "from torch.optim.lr_scheduler import CyclicLR\nCyclicLR(opt, 1e-3, 6e-3)\n"
    >>> (finding,) = migrate(source, "train.py")
    >>> finding.line, finding.record["schedule"]["max_lr"]
    (2, 0.006)
    >>> print(rewritten(source, [finding]), end="")
    from clr_torch import CyclicLR
    CyclicLR(opt, 1e-3, 6e-3)

It reads torch's `CyclicLR`, the four classes of TensorFlow Addons, and the callback of bckenstler
and keras-contrib and its copies; and one cycle, warm restarts and their kin of torch, transformers,
Keras and optax, as phases. Classes that are built by name, and code that looks like a cycle, are
found and not read. The files are parsed, and nothing in them is executed. Values other than
literals are shown as they were written, and never guessed.
"""

from __future__ import annotations

from clr_cli.migrate.files import Document, in_folder
from clr_cli.migrate.finding import Caution, Finding, as_json, as_text
from clr_cli.migrate.scan import migrate, rewritten

__all__ = [
    "Caution",
    "Document",
    "Finding",
    "as_json",
    "as_text",
    "in_folder",
    "migrate",
    "rewritten",
]
