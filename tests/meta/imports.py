"""Who may import whom, as rules that are executed.

Imports within functions count, and so does what `import_module` is called with, and any string that
is the full name of a module of ours. Imports for type checkers alone don't.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGES = ("clr_core", "clr_torch", "clr_keras", "clr_jax", "clr_cli")

# What each package may import beside itself, the standard library and `clr_core`; what a single
# module may import in addition.
ALLOWED = {
    "clr_core": set(),
    "clr_torch": {"torch"},
    "clr_keras": {"keras", "numpy"},
    "clr_jax": {"jax", "optax"},
    # The one place that names several frameworks; `tests/cli` shows that it loads none unasked.
    "clr_cli": {
        "clr_torch",
        "clr_keras",
        "clr_jax",
        "torch",
        "numpy",
        "libcst",
        "matplotlib",
        "plotext",
    },
}
ALSO = {
    "clr_core/_drawing.py": {"matplotlib"},
    "clr_core/evaluate.py": {"numpy"},
    "clr_core/moments.py": {"numpy"},
    "clr_core/numpy_ops.py": {"numpy"},
    "clr_core/range_finding/_progress.py": {"tqdm"},
    "clr_core/record/_yaml.py": {"yaml"},
    "clr_core/schedules/draw.py": {"matplotlib"},
    "clr_torch/_lookahead.py": {"numpy"},
    "clr_keras/_torch_backend/evaluate.py": {"torch", "clr_torch"},
    "clr_keras/_keras_internals.py": {"tensorflow"},
    "clr_keras/schedule.py": {"clr_jax"},  # By name, for `evaluate` alone.
    "clr_keras/checkpoint.py": {"h5py"},
    "clr_keras/evaluate.py": {"tensorflow"},
    "clr_keras/ops.py": {"tensorflow"},
    "clr_jax/checkpoint.py": {"numpy", "msgpack", "orbax"},
    "clr_jax/moments.py": {"numpy"},
    "clr_jax/state.py": {"numpy"},
}
# An array library and nothing else, so that another adapter can use it alone.
ONLY = {
    "clr_torch/ops.py": {"torch"},
    "clr_torch/evaluate.py": {"torch"},
    "clr_keras/ops.py": {"tensorflow"},
    "clr_keras/evaluate.py": {"tensorflow"},
    "clr_keras/_torch_backend/foreach.py": {"torch"},
    "clr_jax/ops.py": {"jax", "numpy"},
    "clr_jax/evaluate.py": {"jax", "numpy"},
}
# Tables of names that aren't imports of the module that has them, each with the reason.
TABLES = {
    # A kind is loaded when a document names it; each imports the function that looks it up here.
    ("clr_core/schedules/__init__.py", "KINDS"),
}
# The rooms, from the ground floor up. A room is a file or a folder; it imports from lower floors.
FLOORS = (
    ("clr_core._arguments", "clr_core._float32", "clr_core.ops"),
    (
        "clr_core._drawing",
        "clr_core._files",
        "clr_core._parsing",
        "clr_core.python_ops",
        "clr_core.numpy_ops",
    ),
    ("clr_core.evaluate", "clr_core.kernels", "clr_core.moments"),
    ("clr_core.schedules",),
    (
        "clr_core.adapter",
        "clr_core.conformance",
        "clr_core.range_finding",
        "clr_core.record",
        "clr_core.verification",
    ),
    ("clr_core.planning",),
    ("clr_core",),
    ("clr_torch", "clr_jax"),
    ("clr_keras",),
    ("clr_cli",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


@dataclass(frozen=True)
class Import:
    """A module of ours that imports `target`, and `name` from it, in a line."""

    path: str
    module: str
    line: int
    target: str
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.name or self.target}"


def violations(root: Path) -> list[str]:
    """A line for each import below `root` that breaks a rule."""
    modules = {_module(path, root): path for path in _sources(root)}
    found = [each for path in modules.values() for each in _imports(path, root, modules)]
    ours = [each for each in found if each.target.partition(".")[0] in PACKAGES]
    return [
        *(f"{each}: not allowed" for each in found if not _is_allowed(each)),
        *(f"{each}: private to another room" for each in ours if _is_private(each)),
        *(f"{each}: up a floor" for each in ours if _goes_up(each)),
        *_circles(ours),
    ]


def _sources(root: Path) -> list[Path]:
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path, root: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """What run-time code imports; a name that is a module of ours is the target itself."""
    name, module = path.relative_to(root).as_posix(), _module(path, root)
    nodes = list(_running(ast.parse(path.read_text(encoding="utf-8")), name))
    called = {
        id(argument)
        for node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("import_module", "__import__"))
        for argument in [*node.args, *(each.value for each in node.keywords)]
    }
    bound: dict[str, str] = {}  # The modules of ours that have a name here.
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.partition(".")[0]
                bound |= {alias.asname: alias.name} if alias.asname else {package: package}
                yield Import(name, module, node.lineno, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            target = node.module or ""
            for alias in node.names:
                inner = f"{target}.{alias.name}"
                pair = (inner, "") if inner in modules else (target, alias.name)
                if inner in modules:
                    bound[alias.asname or alias.name] = inner
                yield Import(name, module, node.lineno, *pair)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            target = node.value.partition(":")[0]
            is_ours = "." in target and target in modules and target != module
            if is_ours or id(node) in called:
                yield Import(name, module, node.lineno, target, "")
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            first, *rest = ast.unparse(node.value).split(".")
            target = ".".join([bound.get(first, ""), *rest])
            if target in modules and not node.attr.endswith("__"):
                yield Import(name, module, node.lineno, target, node.attr)


def _running(node: ast.AST, path: str) -> Iterator[ast.AST]:
    """A node and those within it that aren't for type checkers alone, or in one of `TABLES`."""
    within: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.If):
        test = ast.unparse(node.test).replace("typing.", "")
        within = {"TYPE_CHECKING": node.orelse, "not TYPE_CHECKING": node.body}.get(test, within)
    elif isinstance(node, ast.Assign) and (path, ast.unparse(node.targets[0])) in TABLES:
        return
    yield node
    for each in within:
        yield from _running(each, path)


def _is_allowed(each: Import) -> bool:
    package = each.path.partition("/")[0]
    allowed = ONLY.get(each.path, ALLOWED[package] | ALSO.get(each.path, set()))
    top = each.target.partition(".")[0]
    return top in allowed | {package, "clr_core"} | sys.stdlib_module_names


def _is_private(each: Import) -> bool:
    """Whether the import names something underscored that isn't in a folder of the importer."""
    parts = each.target.split(".")
    for index, part in enumerate(parts):
        if part.startswith("_"):
            room = ".".join(parts[:index])
            return not f"{each.module}.".startswith(f"{room}.")
    return each.name.startswith("_") and each.name != "__version__"


def _room(module: str) -> str:
    while module not in FLOOR_OF:
        module = module.rpartition(".")[0]
    return module


def _goes_up(each: Import) -> bool:
    here, there = _room(each.module), _room(each.target)
    return here != there and FLOOR_OF[there] >= FLOOR_OF[here]


def _circles(found: list[Import]) -> list[str]:
    """A line for each module in a circle of imports, if there is one."""
    imports = TopologicalSorter[str]()
    for each in found:
        imports.add(each.module, each.target)
    try:
        imports.prepare()
    except CycleError as error:
        return [f"{module}: imports itself by way of others" for module in error.args[1]]
    return []
