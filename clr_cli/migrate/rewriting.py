r"""The edits that change a file in place, from another class to the one of the same framework.

    >>> applied("a = f(1)", [(4, 5, "g"), (7, 7, ", 2")])
    'a = g(1, 2)'

All that the edits don't touch stays as it is, to the byte.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from clr_cli.migrate.arguments import Given
from clr_cli.migrate.names import Names, Path, Statement
from clr_cli.migrate.origins import ADDONS, TORCH, Origin
from clr_cli.migrate.reading import OUR_NAMES, Reading
from clr_cli.migrate.source import Source

Edit = tuple[int, int, str]
"""The offsets between which a text takes the place of the old one."""


@dataclass
class Use:
    """A place that names a class of another package, and the edits there."""

    node: ast.Name | ast.Attribute
    call: ast.Call | None
    origin: Origin
    paths: list[Path]
    """The paths that lead to this class."""
    others: bool
    """True if the name may also mean something else."""
    given: Given | None = None
    reading: Reading | None = None
    kept: str = ""
    """Why it isn't rewritten, or empty."""
    edits: list[Edit] = field(default_factory=list)

    @property
    def imports(self) -> list[Statement]:
        """The imports that it may come from."""
        return [each.statement for each in self.paths if each.statement is not None]

    @property
    def statement(self) -> Statement | None:
        """The import that it certainly comes from."""
        return self.imports[0] if len(self.paths) == 1 and not self.others else None


def plan(uses: Sequence[Use], source: Source, names: Names) -> None:
    """Add to each use its edits, or why there are none.

    Raises:
        ValueError: A use has neither.
    """
    bound = {
        node.id
        for node in source.nodes
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    for name in sorted(bound & {"clr_torch", "clr_keras"}):
        for use in uses:
            use.kept = use.kept or f"This file has a variable `{name}`."
    _torch([use for use in uses if use.origin.family == TORCH], source)
    _addons([use for use in uses if use.origin.family == ADDONS], source, names)


def changed_lines(use: Use, source: Source) -> str:
    """The lines of a use and of its edits, as they become."""
    spans = [source.span(use.call or use.node), *((start, end) for start, end, _ in use.edits)]
    regions: list[list[int]] = []
    for start, end in sorted(spans):
        first = source.starts[bisect_right(source.starts, start) - 1]
        line = bisect_right(source.starts, end)
        last = source.starts[line] if line < len(source.starts) else len(source.text)
        if regions and first < regions[-1][1]:
            regions[-1][1] = max(last, regions[-1][1])
        else:
            regions.append([first, last])
    return "\n".join(
        applied(
            source.text[first:last],
            [(a - first, b - first, new) for a, b, new in use.edits if first <= a and b <= last],
        ).strip("\r\n")
        for first, last in regions
    )


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


def _torch(uses: Sequence[Use], source: Source) -> None:
    """The same arguments; another class, by a changed import or at each use."""
    stays = {id(each) for use in uses if use.kept for each in use.imports}
    imported: dict[int, list[Edit] | None] = {}
    for use in uses:
        if use.kept:
            continue
        for statement in use.imports:
            if id(statement) not in imported:
                imported[id(statement)] = _imports_ours(source, statement)
        shared = [imported[id(each)] for each in use.imports if id(each) not in stays]
        if len(shared) == len(use.paths) and None not in shared:
            use.edits = [edit for edits in shared for edit in edits or ()]
        elif use.statement is None:
            use.kept = "The name may mean something else."
        elif use.call is None and id(use.statement) in stays:
            use.kept = "Another use in this file stays with torch's class."
        else:
            added = _insert(source, use.statement, "import clr_torch")
            use.edits = [(*source.span(use.node), "clr_torch.CyclicLR"), added]
        if use.call is not None and use.edits:
            removed = _changed(source, use.call, _without_verbose)
            use.edits += removed or []
            if removed is None:
                use.kept, use.edits = "A comment in it would be lost.", []


def _imports_ours(source: Source, statement: Statement) -> list[Edit] | None:
    """Import our class under the same name; None if the statement imports a module."""
    if not isinstance(statement, ast.ImportFrom):
        return None
    new = "from clr_torch import CyclicLR"
    if statement.names[0].name == "*":
        star = (statement.module or "") == "torch.optim.lr_scheduler"
        return [_insert(source, statement, new)] if star else None
    old = [alias for alias in statement.names if alias.name == "CyclicLR"]
    if len(old) != 1:
        return None
    return _imports(source, statement, old, new + (f" as {old[0].asname}" if old[0].asname else ""))


def _addons(uses: Sequence[Use], source: Source, names: Names) -> None:
    """`clr_keras.CyclicLR(…)`, with the arguments where they are."""
    groups: dict[Statement, list[Use]] = {}
    for use in uses:
        if use.kept:
            continue
        if use.call is None or use.reading is None:
            use.kept = "It is named here and not called: the parameters have other names."
        elif use.statement is None:
            use.kept = "The name may mean something else."
        else:
            use.edits = _schedule(use, use.call, use.reading, source)
            if use.edits:
                groups.setdefault(use.statement, []).append(use)
    for statement, group in groups.items():
        roots = {source.span(_root(use.node))[0] for use in group}
        bound = {_root(use.node).id for use in group}
        old = [each for each in statement.names if _bound(each) in bound]
        places = names.uses_of(statement, old)
        unused = {source.starts[line - 1] + column for line, column in places} <= roots
        if unused and statement.names[0].name != "*":
            shared = _imports(source, statement, old, "import clr_keras")
        else:
            shared = [_insert(source, statement, "import clr_keras")]
        for use in group:
            use.edits += shared


def _schedule(use: Use, call: ast.Call, reading: Reading, source: Source) -> list[Edit]:
    wanted = {name: each.text for name, each in reading.parameters.items()}

    def change(old: str, value: ast.expr) -> tuple[str, str] | None:
        new = OUR_NAMES.get(old, old)
        text = "" if new == "name" else wanted.pop(new, None)
        return None if text is None else (new, text)

    edits = _changed(source, call, change, use.origin.parameters, wanted)
    if edits is None:
        use.kept = "A comment in it would be lost."
        return []
    return [(*source.span(use.node), "clr_keras.CyclicLR"), *edits]


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
    source: Source, statement: Statement, old: Sequence[ast.alias], new: str
) -> list[Edit]:
    """Another import in the place of some names of an import statement."""
    start, end = source.span(statement)
    kept = [index for index, alias in enumerate(statement.names) if alias not in old]
    if not kept:
        module = getattr(statement, "module", None) or ""
        begins = source.text.find(module, start, end)
        if new.startswith("from ") and begins >= 0:
            # Only the module: its name and its comments may stay.
            return [(begins, begins + len(module), "clr_torch")]
        return [(start, end, new)]
    spans = [source.span(alias) for alias in statement.names]
    gone = [
        (spans[index][0], spans[index + 1][0]) for index in range(kept[-1]) if index not in kept
    ]
    if kept[-1] < len(spans) - 1:
        gone.append((spans[kept[-1]][1], spans[-1][1]))
    said = re.findall(r"#[^\r\n]*", "\n".join(source.text[a:b] for a, b in gone))
    line = "  ".join([new, *said]) if _alone(source, statement) else new
    return [*((a, b, "") for a, b in gone), _insert(source, statement, line)]


def _insert(source: Source, statement: Statement, new: str) -> Edit:
    """Another statement right after an import."""
    end = source.span(statement)[1]
    between = _alone(source, statement)
    if between is None:
        return (end, end, f"; {new}")
    line = re.compile(r"[^\r\n]*").match(source.text, end)
    end = line.end() if line else end
    return (end, end, between + new)


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
