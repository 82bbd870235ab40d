"""Who may import whom, as a rule that is executed."""

import ast
import sys
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
    "clr_cli": {"clr_torch", "clr_keras", "clr_jax", "torch", "numpy", "matplotlib", "plotext"},
}
ALSO = {
    "clr_core/numpy_ops.py": {"numpy"},
    "clr_core/moments.py": {"numpy"},
    "clr_core/_parsing.py": {"yaml"},
    "clr_core/record/_yaml.py": {"yaml"},
    "clr_core/verification/log.py": {"google", "tensorboard"},
    "clr_core/verification/_draw.py": {"matplotlib"},
    "clr_core/range_finding/_draw.py": {"matplotlib"},
    "clr_core/schedules/_draw.py": {"matplotlib"},
    "clr_torch/_lookahead.py": {"numpy"},
    "clr_keras/checkpoint.py": {"h5py"},
    "clr_keras/_torch_backend/scalar.py": {"torch", "clr_torch"},
    "clr_keras/ops.py": {"tensorflow"},
    "clr_jax/ops.py": {"numpy"},
    "clr_jax/record.py": {"numpy"},
    "clr_jax/moments.py": {"numpy"},
    "clr_jax/checkpoint.py": {"numpy", "msgpack", "orbax"},
}
# An array library and nothing else, so that another adapter can use it by itself.
ONLY = {
    "clr_torch/ops.py": {"torch"},
    "clr_keras/ops.py": {"tensorflow"},
    "clr_keras/_torch_backend/foreach.py": {"torch"},
    "clr_jax/ops.py": {"jax", "numpy"},
}


def violations(root: Path) -> list[str]:
    """A line for each import below `root` that the rule forbids."""
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            allowed = ONLY.get(name, ALLOWED[package] | ALSO.get(name, set()))
            allowed = allowed | {package, "clr_core"} | sys.stdlib_module_names
            found += [
                f"{name}:{line} imports {module}"
                for line, module in _imports(path.read_text(encoding="utf-8"))
                if module not in allowed
            ]
    return found


def _imports(source: str) -> list[tuple[int, str]]:
    """The packages that run-time code imports, with line numbers; not what types only need."""
    tree = ast.parse(source)
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.partition(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, (node.module or "").partition(".")[0]))
    return found
