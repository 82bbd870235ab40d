"""The entries of a scheduler's state dict, each read with a check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

COUNTS = {"last_epoch", "_step_count", "_last_lr"}


def plain(values: Sequence[Any]) -> list[Any]:
    """The same with tensors as floats."""
    return [
        value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        for value in values
    ]


def check_keys(state: Mapping[str, Any], keys: set[str], *, exactly: bool) -> None:
    """Raises a ValueError unless `state` has the keys; `exactly`: and no others."""
    if not keys <= set(state) or (exactly and set(state) != keys):
        raise ValueError(
            f"`state_dict` must have the keys {', '.join(sorted(keys))}. "
            f"Received: {', '.join(map(str, state))}"
        )


def per_group(state: Mapping[str, Any], name: str, groups: int | None = None) -> list[Any]:
    """The values of the parameter groups: as many as there are `groups`; None: one at least."""
    values = state[name]
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"`state_dict` must have a list in {name!r}. Received: {values!r}")
    if groups not in (None, len(values)):
        raise ValueError(
            f"`state_dict` must be of {groups} parameter groups. "
            f"Received: {len(values)} in {name!r}"
        )
    return plain(values)


def count(state: Mapping[str, Any], name: str, least: int) -> int:
    """An integer from `least`."""
    value = state[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"`state_dict` must have an integer from {least} in {name!r}. Received: {value!r}"
        )
    return value
