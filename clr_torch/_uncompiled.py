"""A call that is never compiled. Importing this loads torch's compiler, which takes a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


@torch.compiler.disable  # type: ignore[untyped-decorator]
def uncompiled(function: Callable[[Any], None], argument: Any) -> None:
    """Call a function that would have to be compiled anew at each step."""
    function(argument)
