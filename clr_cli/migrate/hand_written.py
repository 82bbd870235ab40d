"""Functions that compute the triangle by hand, as findings."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from clr_cli.migrate.finding import Caution, Finding, finding_at
from clr_cli.migrate.names import Names, Path
from clr_cli.migrate.origins import Origin, origin_of
from clr_cli.migrate.reading import PARAMETERS, Reading, record_of, schedules_of
from clr_cli.migrate.replacement import replacement_for
from clr_cli.migrate.source import Source, dotted
from clr_cli.migrate.triangle import Triangle, factor_of, triangles
from clr_cli.migrate.values import argument_of, literal


def hand_written(source: Source, names: Names, to: str) -> Iterator[Finding]:
    """Find the triangles that a file computes by hand."""
    for triangle in triangles(source, names):
        yield _by_hand(triangle, source, names, to)


def _by_hand(triangle: Triangle, source: Source, names: Names, to: str) -> Finding:
    function = triangle.function
    origin = Origin(f"the triangle by hand, in `{function.name}`", "hand")
    reading = Reading()
    reading.parameters = {
        key: argument_of(node, source, names) for key, node in triangle.parts.items()
    }
    arguments = {key: each.text for key, each in reading.parameters.items()}
    cautions = list(_cautions(triangle, source))
    reading.whole = not cautions
    factor = factor_of(triangle, source, names) if triangle.formulas == 1 else {}
    if factor is None and triangle.factor is not None:
        arguments["factor"] = ast.unparse(triangle.factor)
        says = f"The factor `{arguments['factor']}` isn't read: it is a `scale_fn` or a mode."
        cautions.append(Caution("scale_fn", says))
        reading.whole = False
    for key in (key for key in PARAMETERS if factor and key in factor):
        value = (factor or {})[key]
        reading.parameters[key] = literal(value)
    step = ast.unparse(triangle.step)
    says = f"`{step}` is the step here. In a framework the step is the optimizer's update count."
    cautions.append(Caution("step", says))
    replacement, schedules = None, None
    try:
        schedules = schedules_of(reading)
    except (TypeError, ValueError) as error:
        cautions.append(Caution("refused", str(error)))
    else:
        if reading.whole:
            replacement = replacement_for(to, origin, reading, None, None, None)
    record = record_of(reading, schedules)
    return finding_at(
        source, triangle.formula, origin, arguments, record, to, replacement, cautions
    )


def _cautions(triangle: Triangle, source: Source) -> Iterator[Caution]:
    """Reasons why the formula isn't the whole schedule."""
    around = source.around(triangle.function)
    outer = next((each for each in around if isinstance(each, ast.ClassDef)), None)
    origin = None if outer is None else origin_of(Path(outer.name, outer), None)
    if outer is not None and origin is not None and origin.in_this_file:
        yield Caution(
            "definition",
            f"The class `{outer.name}` (line {outer.lineno}) has the parameters of bckenstler's "
            "callback, and is taken for a copy of it. The replacement is at its calls.",
        )
    name = triangle.function.name
    if triangle.formulas > 1:
        yield Caution(
            "function",
            f"`{name}` has {triangle.formulas} such formulas, and which one applies isn't known.",
        )
    elif not triangle.returned:
        yield Caution(
            "function",
            f"`{name}` does more than return this, so it isn't read as a schedule.",
        )
    elif dotted(triangle.step) is None:
        yield Caution(
            "function",
            f"`{ast.unparse(triangle.step)}` isn't a count, so it isn't read as a schedule.",
        )
