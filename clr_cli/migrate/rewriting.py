r"""The edits that change a file in place, from another class to the one of the same framework.

    >>> applied("a = f(1)", [(4, 5, "g"), (7, 7, ", 2")])
    'a = g(1, 2)'

All that the edits don't touch stays as it is, to the byte.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from clr_cli.migrate.names import Names, Path, Statement
from clr_cli.migrate.origins import ADDONS, Origin
from clr_cli.migrate.reading import OUR_NAMES, Reading
from clr_cli.migrate.source import Source

Edit = tuple[int, int, str]
"""The offsets between which a text takes the place of the old one."""

KERAS_IMPORTS = ("import clr_keras", "from clr_core import CyclicSchedule")


@dataclass
class Use:
    """A place that names a class of another package, and the edits there."""

    node: ast.Name | ast.Attribute
    path: Path
    origin: Origin
    others: int = 0
    """The number of other meanings that the name may have."""
    call: ast.Call | None = None
    reading: Reading | None = None
    kept: str = ""
    """Why it isn't rewritten, or empty."""
    edits: list[Edit] = field(default_factory=list)
    twins: list[Use] = field(default_factory=list)
    """The same place, for another import of the same class."""

    @property
    def all(self) -> list[Use]:
        """This one and its twins."""
        return [self, *self.twins]

    @property
    def every_edit(self) -> list[Edit]:
        """The edits for all imports; none if one of them stays."""
        if any(not use.edits for use in self.all):
            self.kept = self.kept or next((use.kept for use in self.twins if use.kept), "")
            return []
        return [edit for use in self.all for edit in use.edits]


def plan(uses: Sequence[Use], source: Source, names: Names) -> None:
    """Add to each use its edits, or why there are none.

    Raises:
        ValueError: A use has neither.
    """
    taken = {
        node.id
        for node in source.nodes
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    } & {"clr_torch", "clr_keras"}
    for use in uses:
        if taken and not use.kept:
            use.kept = f"This file has a variable `{min(taken)}`."
        if use.path.statement is None and not use.kept:
            use.kept = "It isn't clear which import it comes from."
    groups: dict[int, list[Use]] = {}
    for use in uses:
        groups.setdefault(id(use.path.statement), []).append(use)
    for group in groups.values():
        statement = group[0].path.statement
        if statement is not None:
            write = _addons if group[0].origin.family == ADDONS else _torch
            write(group, statement, source, names)


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits; the same one may be given several times.

    Raises:
        ValueError: Two edits overlap.
    """
    parts, position = [], 0
    for start, end, new in sorted(set(edits)):
        if start < position:
            raise ValueError("two edits overlap")
        parts += [text[position:start], new]
        position = end
    return "".join([*parts, text[position:]])


def _torch(group: list[Use], statement: Statement, source: Source, names: Names) -> None:
    """The same arguments; another class, by a changed import or at each use."""
    stays = any(use.kept for use in group)
    bound = [alias for alias in statement.names if alias.name == "CyclicLR"]
    star = statement.names[0].name == "*" and all(
        use.path.dotted == f"{_module(statement)}.CyclicLR" for use in group
    )
    new = "from clr_torch import CyclicLR"
    if not stays and star:
        shared = [_insert(source, statement, (new,))]
    elif not stays and len(bound) == 1 and isinstance(statement, ast.ImportFrom):
        name = bound[0].asname
        shared = _imports(source, statement, bound, (new + (f" as {name}" if name else ""),))
    else:
        shared = []
    for use in group:
        if use.kept:
            continue
        if use.others and not shared:
            use.kept = "The name may mean something else."
        elif use.call is None and stays:
            use.kept = "Another use in this file stays with torch's class."
        else:
            use.edits = list(shared)
            if not shared:
                use.edits = [
                    (*source.span(use.node), "clr_torch.CyclicLR"),
                    _insert(source, statement, ("import clr_torch",)),
                ]
            if use.call is not None:
                removed = _changed(source, use.call, _without_verbose)
                use.edits += removed or []
                if removed is None:
                    use.kept, use.edits = "A comment in it would be lost.", []


def _addons(group: list[Use], statement: Statement, source: Source, names: Names) -> None:
    """`clr_keras.CyclicLR(CyclicSchedule(…))`, with the arguments where they are."""
    for use in group:
        if use.kept:
            continue
        if use.call is None or use.reading is None:
            use.kept = "It is named here and not called: the parameters have other names."
        elif use.others:
            use.kept = "The name may mean something else."
        else:
            use.edits = _schedule(use, use.call, use.reading, source)
    done = {source.span(_root(use.node)) for use in group if use.edits}
    if not done:
        return
    of = [alias for alias in statement.names if _bound(alias) in {_root(u.node).id for u in group}]
    lines = [source.starts[line - 1] + column for line, column in names.uses_of(statement, of)]
    unused = of if set(lines) <= {start for start, _ in done} else []
    if unused and statement.names[0].name != "*":
        shared = _imports(source, statement, unused, KERAS_IMPORTS)
    else:
        shared = [_insert(source, statement, KERAS_IMPORTS)]
    for use in group:
        if use.edits:
            use.edits += shared


def _schedule(use: Use, call: ast.Call, reading: Reading, source: Source) -> list[Edit]:
    wanted = {name: each.text for name, each in reading.parameters.items()}
    name = ""

    def change(old: str, value: ast.expr) -> tuple[str, str] | None:
        nonlocal name
        new = OUR_NAMES.get(old, old)
        if new == "name":
            name = f", name={source.text_of(value)}"
        text = wanted.pop(new, None)
        return None if text is None else (new, text)

    edits = _changed(source, call, change, use.origin.parameters, wanted)
    if edits is None:
        use.kept = "A comment in it would be lost."
        return []
    start, end = source.span(use.node)
    last = source.span(call)[1]
    return [
        *edits,
        (start, end, "clr_keras.CyclicLR(CyclicSchedule"),
        (last, last, f"{name})"),
    ]


def _without_verbose(name: str, value: ast.expr) -> tuple[str, str] | None:
    return None if name == "verbose" else (name, "")


def _changed(
    source: Source,
    call: ast.Call,
    change: Callable[[str, ast.expr], tuple[str, str] | None],
    parameters: Sequence[str] = (),
    more: dict[str, str] | None = None,
) -> list[Edit] | None:
    """The edits of a call's arguments, or None if a comment would be lost.

    Args:
        source: The file.
        call: The call.
        change: From the name and the value of an argument, its new name and text, or None to
            remove it. An empty text leaves the value as it is.
        parameters: Names for the arguments without one; the others stay as they are.
        more: Arguments to add at the end; `change` may take from it.
    """
    given: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    spans = [source.span(each) for each in given]
    edits: list[Edit] = []
    kept = []
    for index, each in enumerate(given):
        value = each.value if isinstance(each, ast.keyword) else each
        keyword = each.arg if isinstance(each, ast.keyword) else None
        old = keyword or ("" if index >= len(parameters) else parameters[index])
        new = (old, "") if not old else change(old, value)
        if new is None:
            continue
        kept.append(index)
        name, text = new
        start = spans[index][0]
        if keyword is None and name:
            before = source.span(call.func)[1] if index == 0 else spans[index - 1][1]
            edits.append((_outside(source.text, before, start, index == 0), 0, f"{name}="))
        elif keyword is not None and name != keyword:
            edits.append((start, start + len(keyword), name))
        if text and text != source.text_of(value):
            edits.append((*source.span(value), text))
    edits = [(start, end or start, text) for start, end, text in edits]
    last = kept[-1] if kept else -1
    gone = [(spans[i][0], spans[i + 1][0]) for i in range(last) if i not in kept]
    if last < len(given) - 1 and last >= 0:
        gone.append((spans[last][1], spans[-1][1]))
    if any("#" in source.text[start:end] for start, end in gone):
        return None
    if more and kept:
        added = "".join(f", {name}={text}" for name, text in more.items())
        edits.append((spans[last][1], spans[last][1], added))
    return [*edits, *((start, end, "") for start, end in gone)]


def _outside(text: str, before: int, start: int, first: bool) -> int:
    """The start of an argument together with the parentheses around it."""
    found = [each.start() for each in re.finditer(r"\(", text[before:start])][1 if first else 0 :]
    return before + found[0] if found else start


def _imports(
    source: Source, statement: Statement, old: Sequence[ast.alias], new: Sequence[str]
) -> list[Edit]:
    """Other imports in the place of some names of an import statement."""
    start, end = source.span(statement)
    rest = [alias for alias in statement.names if alias not in old]
    if not rest:
        module = getattr(statement, "module", None) or ""
        begins = source.text.find(module, start, end)
        if len(new) == 1 and module and begins >= 0:
            # Only the module: its name and its comments may stay.
            return [(begins, begins + len(module), "clr_torch")]
        line = (_alone(source, statement) or "; ").join(new)
        return [(start, end, line)]
    spans = [source.span(alias) for alias in statement.names]
    kept = [index for index, alias in enumerate(statement.names) if alias in rest]
    gone = [
        (spans[index][0], spans[index + 1][0]) for index in range(kept[-1]) if index not in kept
    ]
    if kept[-1] < len(spans) - 1:
        gone.append((spans[kept[-1]][1], spans[-1][1]))
    said = re.findall(r"#[^\r\n]*", "\n".join(source.text[a:b] for a, b in gone))
    lines = [*new[:-1], "  ".join([new[-1], *said])] if _alone(source, statement) else list(new)
    return [*((a, b, "") for a, b in gone), _insert(source, statement, lines)]


def _insert(source: Source, statement: Statement, lines: Sequence[str]) -> Edit:
    """Other statements right after an import."""
    end = source.span(statement)[1]
    between = _alone(source, statement)
    if between is None:
        return (end, end, "".join(f"; {line}" for line in lines))
    line = re.compile(r"[^\r\n]*").match(source.text, end)
    end = line.end() if line else end
    return (end, end, "".join(f"{between}{line}" for line in lines))


def _alone(source: Source, statement: Statement) -> str | None:
    """The line break and indent of a statement; None if others share its lines."""
    start, end = source.span(statement)
    indent = source.text[source.starts[statement.lineno - 1] : start]
    after = re.compile(r"[ \t\f]*;?[ \t\f]*(#[^\r\n]*)?(?=(\r\n|\r|\n)|\Z)").match(source.text, end)
    if indent.strip() or after is None:
        return None
    usual = re.search(r"\r\n|\r|\n", source.text)
    return (after[2] or (usual[0] if usual else "\n")) + indent


def _root(node: ast.expr) -> ast.Name:
    while isinstance(node, ast.Attribute):
        node = node.value
    assert isinstance(node, ast.Name)
    return node


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _module(statement: Statement) -> str:
    return getattr(statement, "module", None) or ""
