r"""The edits that change a file in place, from another class to the one of the same framework.

    >>> applied("a = f(1)", [(4, 5, "g"), (7, 7, ", 2")])
    'a = g(1, 2)'

All that the edits don't touch stays as it is, to the byte.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import libcst

from clr_cli.migrate.names import Names, Path, Statement
from clr_cli.migrate.origins import ADDONS, TORCH, Origin
from clr_cli.migrate.reading import OUR_NAMES, Reading
from clr_cli.migrate.source import Source, parts_of

Edit = tuple[int, int, str]
"""The offsets between which a text takes the place of the old one."""

NOTHING = libcst.SimpleWhitespace("")
EQUAL = libcst.AssignEqual(NOTHING, NOTHING)
COMMA = libcst.Comma(whitespace_after=libcst.SimpleWhitespace(" "))


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
    reading: Reading = field(default_factory=Reading)
    """What was read, if it is called."""
    kept: str = ""
    """Why it isn't rewritten, or empty."""
    edits: list[Edit] = field(default_factory=list)

    @property
    def imports(self) -> list[Statement]:
        """The imports that it may come from."""
        return [each.statement for each in self.paths if each.statement is not None]

    def rewrite_call(self, source: Source) -> None:
        """Add an edit of the call's arguments, or say why it isn't rewritten."""
        assert self.call is not None
        start, end = source.span(self.call.func)[1], source.span(self.call)[1]
        try:
            text = _arguments(self.origin, self.reading, source.text[start:end])
            self.edits.append((start, end, text))
        except libcst.ParserSyntaxError:
            self.kept, self.edits = "Its arguments can't be taken apart.", []
        except ValueError as error:
            self.kept, self.edits = str(error), []

    @property
    def statement(self) -> Statement | None:
        """The import that it certainly comes from."""
        return self.imports[0] if len(self.paths) == 1 and not self.others else None


def plan(uses: Sequence[Use], source: Source, names: Names) -> None:
    """Add to each use its edits, or why there are none."""
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
    for use in uses:
        if "verbose" in use.reading.given.named and not use.kept:
            use.rewrite_call(source)
    stays = {id(each) for use in uses if use.kept for each in use.imports}
    imported = {id(each): _imports_ours(source, each) for use in uses for each in use.imports}
    for use in uses:
        if use.kept:
            continue
        shared = [imported[id(each)] for each in use.imports if id(each) not in stays]
        if len(shared) == len(use.paths) and None not in shared:
            use.edits += [edit for edits in shared for edit in edits or ()]
        elif use.statement is None:
            use.kept, use.edits = "The name may mean something else.", []
        elif use.call is None and id(use.statement) in stays:
            use.kept = "Another use in this file stays with torch's class."
        else:
            use.edits += [
                (*source.span(use.node), "clr_torch.CyclicLR"),
                _insert(source, use.statement, "import clr_torch"),
            ]


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
        if use.call is None:
            use.kept = "It is named here and not called: the parameters have other names."
        elif use.statement is None:
            use.kept = "The name may mean something else."
        else:
            use.edits = [(*source.span(use.node), "clr_keras.CyclicLR")]
            use.rewrite_call(source)
            if use.edits:
                groups.setdefault(use.statement, []).append(use)
    for statement, group in groups.items():
        # A name that is found is one of an import.
        roots = [root for use in group if (root := parts_of(use.node)[0])]
        starts = {source.span(root)[0] for root in roots}
        bound = {root.id for root in roots}
        old = [each for each in statement.names if _bound(each) in bound]
        unused = names.uses_of(statement, old) <= starts
        if unused and statement.names[0].name != "*":
            shared = _imports(source, statement, old, "import clr_keras")
        else:
            shared = [_insert(source, statement, "import clr_keras")]
        for use in group:
            use.edits += shared


def _arguments(origin: Origin, reading: Reading, text: str) -> str:
    """The arguments of a call in parentheses, without those that don't exist here.

    Those of TensorFlow Addons get the names that they have here, and what its class implies.

    Raises:
        ValueError: A comment would be lost, or a name is bound within them.
    """
    call = libcst.ensure_type(libcst.parse_expression(f"f{text}"), libcst.Call)
    given, addons = reading.given.named, origin.family == ADDONS
    wanted = dict(reading.parameters) if addons else {}
    names = {*wanted, "name"} if addons else given.keys() - {"verbose"}
    kept = []
    for position, argument in enumerate(call.args):
        if isinstance(argument.value, libcst.NamedExpr):
            raise ValueError("Its arguments can't be taken apart.")
        old = argument.keyword.value if argument.keyword else origin.parameters[position]
        new = OUR_NAMES.get(old, old)
        if new not in names:
            continue
        if addons:
            value = wanted.pop(new, given[old]).text
            argument = argument.with_changes(
                keyword=libcst.Name(new),
                equal=argument.equal if argument.keyword else EQUAL,
                value=argument.value
                if value == given[old].text
                else libcst.parse_expression(value),
            )
        kept.append(argument)
    # What follows the last argument, such as a line break, stays at the end.
    end = call.args[-1]
    last = {"comma": end.comma, "whitespace_after_arg": end.whitespace_after_arg}
    for name, each in wanted.items():
        kept[-1] = kept[-1].with_changes(comma=COMMA, whitespace_after_arg=NOTHING)
        kept.append(libcst.Arg(libcst.parse_expression(each.text), libcst.Name(name), EQUAL))
    kept[-1] = kept[-1].with_changes(**last)
    newline = re.search(r"\r\n|\r|\n", text)
    module = libcst.Module([], default_newline=newline[0] if newline else "\n")
    changed: str = module.code_for_node(call.with_changes(args=kept))[1:]
    if changed.count("#") < text.count("#"):
        raise ValueError("A comment in it would be lost.")
    return changed


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


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]
