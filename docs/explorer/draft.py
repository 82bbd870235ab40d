"""The form: what it asks for, the address that carries it, and the schedule that it makes.

A draft is the content of the form: `{"kind": …, "base_lr": "0.001", …}`, all numbers as the user
wrote them. It becomes a schedule only as a whole.
"""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from inspect import Parameter, getdoc, signature
from typing import Any, get_args, get_type_hints
from urllib.parse import parse_qsl, urlencode

from clr_cli.parser import count, number
from clr_core import Schedule, schedule_from_dict
from clr_core.adapter import LARGEST_STEP, from_json, received
from clr_core.schedules import KINDS, check_keys, families, kind_of
from clr_core.schedules.cyclic import MODES
from clr_core.schedules.piecewise import SHAPES, Phase
from clr_core.schedules.samples import usual_end

Draft = dict[str, Any]

FAMILIES: dict[str, Callable[..., Schedule]] = {
    name: getattr(families, name)
    for name in ("one_cycle", "warm_restarts", "warmup_cosine", "warmup_stable_decay")
}
CHOICES = {"mode": MODES, "scale_mode": ("cycle", "iterations"), "shape": SHAPES}
# What a kind begins with, unless the form has a value of the same name.
EXAMPLES: dict[str, Draft] = {
    "cyclic": {"base_lr": "0.001", "max_lr": "0.006", "step_size_up": "2000"},
    "one_cycle": {"max_lr": "0.006", "total_steps": "6000"},
    "warm_restarts": {"max_lr": "0.006", "first_steps": "2000"},
    "warmup_cosine": {"max_lr": "0.006", "warmup_steps": "500", "total_steps": "6000"},
    "warmup_stable_decay": {
        "max_lr": "0.006",
        "warmup_steps": "500",
        "stable_steps": "4000",
        "decay_steps": "1500",
    },
}
VIEW = {
    "steps_per_epoch": "Updates in an epoch, for the axis of epochs.",
    "steps": "Draw up to this step. Empty: three cycles, or all phases.",
    "step": "Updates done so far: marked in the picture, part of the record and of the code.",
}
DEFAULT = "kind=cyclic&base_lr=0.001&max_lr=0.006&step_size_up=2000&steps_per_epoch=500"
MOST_ROWS = 30
"""Of phases or parts that the form and the picture's handles show."""
# Less than the docstring says: a form can hold no Python function.
HINTS = {"scale_fn": "A decay in place of mode: an expression in x, such as 1 / 5 ** (x * 1e-4)."}
LISTS = ("phases", "schedules", "boundaries")


class RefusedError(ValueError):
    """The draft isn't a schedule: the place in the form, and the error as the library gives it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class Field:
    """An argument that the form asks for."""

    name: str
    default: Any
    type: str
    hint: str

    def read(self, given: Any, path: str) -> Any:
        """The argument's value from what stands in the form."""
        if self.type in ("text", "check") or (self.type == "json" and not isinstance(given, str)):
            return given
        try:
            if not isinstance(given, str):
                raise ValueError(f"must be a number. {received(self.name, given)}")
            if self.type == "json":
                return from_json(given)
            return (number if self.type == "number" else count(0, LARGEST_STEP))(given)
        except (ArgumentTypeError, ValueError) as error:
            raise RefusedError(path, f"`{self.name}` {error}") from None


def kinds() -> list[str]:
    """All kinds of schedules, and the functions that make usual ones of phases."""
    return [*KINDS, *FAMILIES]


def maker(kind: Any) -> Callable[..., Schedule]:
    """The class or the function that has the arguments of a kind."""
    if not isinstance(kind, str) or kind not in kinds():
        raise ValueError(f"`kind` must be one of {', '.join(kinds())}. {received('kind', kind)}")
    return FAMILIES[kind] if kind in FAMILIES else kind_of(kind)


def fields_of(make: Callable[..., Any]) -> list[Field]:
    """The arguments of a class or function that makes a schedule or a phase, from its signature."""
    about = (getdoc(make) or "").partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", about, re.MULTILINE)
    hints = {name: _first_sentence(text) for name, text in entries} | HINTS
    types = get_type_hints(make)
    readers = {bool: "check", float: "number", int: "count", str: "text"}
    found = []
    for name, parameter in signature(make).parameters.items():
        given = get_args(types[name]) or (types[name],)
        read = next((readers[each] for each in readers if each in given), "json")
        found.append(Field(name, parameter.default, read, hints.get(name, "")))
    return found


def _first_sentence(text: str) -> str:
    sentence = re.split(r"(?<=\.) ", " ".join(text.split()))[0]
    return sentence.replace("`", "").replace("None:", "empty:")


def built(draft: Any, path: str = "", edited: str = "") -> Any:
    """The schedule of a draft.

    Args:
        draft: The draft, or a part of it.
        path: The part's place, such as "schedules.1."; empty: all of it.
        edited: The place that was edited last, for an error that names no argument.

    Raises:
        RefusedError: It isn't a schedule.
    """
    try:
        if not isinstance(draft, dict):
            raise TypeError(f"A schedule must be a mapping. {received('schedule', draft)}")
        make = maker(draft.get("kind"))
    except (TypeError, ValueError) as error:
        raise RefusedError(f"{path}kind", str(error)) from None
    return _made(make, draft, path, edited)


def _made(make: Callable[..., Any], draft: Draft, path: str, edited: str) -> Any:
    fields = fields_of(make)
    names = [each.name for each in fields]
    values: dict[str, Any] = {}
    try:
        if make is Phase:
            if not isinstance(draft, dict):
                raise TypeError(f"A phase must be a mapping. {received('phase', draft)}")
            check_keys("A phase", draft, names, ())
        else:
            check_keys("A schedule", draft, ("kind", *names), ())
        for each in fields:
            if each.name in unused(draft):
                continue
            if each.name in draft:
                values[each.name] = _value(each, draft[each.name], f"{path}{each.name}", edited)
            elif each.default is Parameter.empty:
                raise RefusedError(f"{path}{each.name}", f"`{each.name}` must be given.")
        kind = draft.get("kind")
        return schedule_from_dict({"kind": kind, **values}) if kind in KINDS else make(**values)
    except RefusedError:
        raise
    except (TypeError, ValueError) as error:
        # Next to the argument that it names, or else to what was changed last.
        named = re.match(r"`(\w+)`", str(error))
        if named and named[1] in names:
            place = f"{path}{named[1]}"
        else:
            place = edited if edited.startswith(path) and edited else f"{path}kind"
        raise RefusedError(place, str(error)) from None


def _value(each: Field, given: Any, path: str, edited: str) -> Any:
    parts: Callable[[Any, str], Any] | None = {
        "phases": lambda phase, at: _made(Phase, phase, at, edited),
        "schedules": lambda part, at: built(part, at, edited),
        "boundaries": lambda text, at: Field("boundary", None, "count", "").read(text, at[:-1]),
    }.get(each.name)
    if parts is None:
        return each.read(given, path)
    if not isinstance(given, list):
        raise TypeError(f"`{each.name}` must be a list. {received(each.name, given)}")
    return [parts(part, f"{path}.{index}.") for index, part in enumerate(given)]


def unused(draft: Draft) -> set[str]:
    """The arguments without a meaning beside the others, which the form doesn't show."""
    if draft.get("kind") != "cyclic":
        return set()
    meant = {"gamma": draft.get("mode") == "exp_range", "scale_mode": bool(draft.get("scale_fn"))}
    return {name for name, means in meant.items() if not means}


def address_of(draft: Draft, view: Mapping[str, str]) -> str:
    """The part of the address after "#" from which `draft_of` reads a draft and its view."""
    names = ["kind", *(each.name for each in fields_of(maker(draft["kind"])))]
    kept = {name: draft[name] for name in names if name in draft and name not in unused(draft)}
    kept |= {name: text for name, text in view.items() if text}
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for name, value in kept.items()
    }
    return urlencode(texts, safe="()*,:/")


def draft_of(address: str) -> tuple[Draft, dict[str, str]]:
    """The draft and the view of an address, which anyone may have written.

    Raises:
        ValueError: It can't be read.
    """
    pairs = parse_qsl(address, keep_blank_values=True, strict_parsing=True, errors="strict")
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"The address must not name anything twice. {received('name', twice)}")
    draft: Draft = {"kind": "cyclic"}
    view = {}
    for name, text in pairs:
        if name in VIEW:
            view[name] = text
        elif text:
            plain = name not in LISTS and text not in ("true", "false")
            draft[name] = text if plain else as_texts(from_json(text))
    return draft, view


def as_texts(value: Any) -> Any:
    """Plain data, such as that of `to_dict`, as a draft: numbers as text, and without None."""
    if isinstance(value, Mapping):
        return {str(name): as_texts(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [as_texts(each) for each in value]
    return value if isinstance(value, bool | str) else repr(value)


def form(draft: Draft, path: str = "", *, removable: str = "") -> list[Draft]:
    """What the form consists of: fields, and groups of fields."""
    kind = draft["kind"]
    nodes: list[Draft] = [
        {
            "type": "select",
            "path": f"{path}kind",
            "label": "kind",
            "hint": "",
            "value": kind,
            "options": kinds(),
        }
    ]
    for each in fields_of(maker(kind)):
        if each.name in unused(draft) or each.name == "boundaries":
            continue
        at = f"{path}{each.name}"
        if each.name == "phases":
            nodes.append(_phases(draft["phases"], at))
        elif each.name == "schedules":
            nodes.append(_schedules(draft, at, path))
        else:
            nodes.append(_node(each, draft, at))
    if removable:
        nodes.append({"type": "action", "action": f"remove {removable}", "label": "Remove"})
    return nodes


def _node(each: Field, draft: Draft, path: str) -> Draft:
    default = each.default
    shown = "" if default in (Parameter.empty, None) else str(default)
    node = {"type": each.type, "path": path, "label": each.name, "hint": each.hint}
    if each.name in CHOICES:
        given = draft.get(each.name, default)
        return node | {"type": "select", "options": list(CHOICES[each.name]), "value": given}
    if each.type == "check":
        return node | {"value": bool(draft.get(each.name, default))}
    return node | {"type": "text", "value": draft.get(each.name, ""), "placeholder": shown}


def _phases(phases: list[Draft], path: str) -> Draft:
    fields = fields_of(Phase)
    rows = [
        {
            "type": "group",
            "path": f"{path}.{index}",
            "label": f"phase {index}",
            "row": True,
            "nodes": [_node(each, phase, f"{path}.{index}.{each.name}") for each in fields]
            + [{"type": "action", "action": f"remove {path}.{index}", "label": "Remove"}]
            * (len(phases) > 1),
        }
        for index, phase in enumerate(phases[:MOST_ROWS])
    ]
    return _list(path, "phases, one after another", rows, len(phases), "Add a phase")


def _schedules(draft: Draft, path: str, before: str) -> Draft:
    parts, boundaries = draft["schedules"], draft["boundaries"]
    rows = []
    for index, part in enumerate(parts[:MOST_ROWS]):
        nodes = form(part, f"{path}.{index}.", removable=f"{path}.{index}" * (len(parts) > 2))
        if 0 < index <= len(boundaries):
            boundary = Field("boundary", Parameter.empty, "count", "The first step of this part.")
            at = f"{before}boundaries.{index - 1}"
            nodes.insert(0, _node(boundary, {"boundary": boundaries[index - 1]}, at))
        label = f"part {index}"
        rows.append({"type": "group", "path": f"{path}.{index}", "label": label, "nodes": nodes})
    return _list(path, "schedules, one after another", rows, len(parts), "Add a part")


def _list(path: str, label: str, rows: list[Draft], length: int, add: str) -> Draft:
    if length > len(rows):
        label += f" (the first {len(rows)} of {length:,})"
    else:
        rows = [*rows, {"type": "action", "action": f"add {path}", "label": add}]
    return {"type": "group", "path": path, "label": label, "nodes": rows}


def at_path(draft: Any, path: str) -> tuple[Any, Any]:
    """The dict or list in which a place is, and its name or index there."""
    *above, last = (int(each) if each.isdecimal() else each for each in path.split("."))
    for each in above:
        draft = draft[each]
    return draft, last


def changed(draft: Draft, path: str, value: Any) -> Draft:
    """A copy of the draft with another value at a place; an empty text leaves the argument out."""
    new = deepcopy(draft)
    inside, name = at_path(new, path)
    if name == "kind":
        prefix = path.removesuffix("kind")
        old = deepcopy(inside)
        inside.clear()
        inside.update(of_kind(value, old))
        return new if prefix else inside
    if value == "" and isinstance(inside, dict):
        inside.pop(name, None)
    else:
        inside[name] = value
    return new


def of_kind(kind: str, old: Draft) -> Draft:
    """A draft of another kind, with what the old one has in common."""
    if kind == "piecewise":
        try:
            made = built(old)
        except RefusedError:
            made = None
        if hasattr(made, "phases"):
            return as_texts(made.to_dict())
        peak = old.get("max_lr", "0.006")
        up = {"steps": "500", "start": old.get("base_lr", "0"), "end": peak}
        down = {"steps": "2000", "start": peak, "end": "0", "shape": "cosine"}
        return {"kind": kind, "phases": [up, down]}
    if kind == "sequence":
        second = {"kind": "cyclic", **EXAMPLES["cyclic"]}
        for name in ("base_momentum", "max_momentum"):
            if name in old:
                second[name] = old[name]
        return {"kind": kind, "schedules": [old, second], "boundaries": [_end_of(old)]}
    known = {each.name for each in fields_of(maker(kind))}
    common = {name: value for name, value in old.items() if name in known - {"kind"}}
    return {"kind": kind, **EXAMPLES.get(kind, {}), **common}


def _end_of(draft: Draft) -> str:
    try:
        return str(usual_end(built(draft)))
    except ValueError:
        return "1000"


def acted(draft: Draft, action: str) -> Draft:
    """A copy of the draft with a phase or a part more, or one less."""
    verb, _, path = action.partition(" ")
    new = deepcopy(draft)
    inside, name = at_path(new, path)
    if verb == "remove":
        del inside[name]
        *above, group, _ = path.split(".")
        if group == "schedules":
            boundaries = at_path(new, ".".join([*above, "boundaries"]))
            del boundaries[0][boundaries[1]][max(name - 1, 0)]
        return new
    last = inside[name][-1]
    if name == "phases":  # It goes on from the end of the last one.
        begins = {"steps": "steps", "start": "end", "end": "end"}
        begins |= {"start_momentum": "end_momentum", "end_momentum": "end_momentum"}
        inside[name].append({to: last[of] for to, of in begins.items() if of in last})
    else:
        try:
            start = count(0, LARGEST_STEP)(inside["boundaries"][-1])
        except ArgumentTypeError:
            start = 0
        inside["boundaries"].append(str(start + int(_end_of(last))))
        inside[name].append(deepcopy(last))
    return new
