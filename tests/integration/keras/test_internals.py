"""Private parts of Keras are used in one file only, `clr_keras/_keras_internals.py`."""

import ast
from pathlib import Path

import pytest

import clr_keras

FOLDER = Path(clr_keras.__file__).parent
OURS = {"self", "cls", "CyclicOptimizer"}
OF_TORCH = {"torch", "torch._C"}


def private(source):
    """The lines with a private attribute of an object that isn't ours, or a private module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(owner, name) if name.startswith("_") and not name.endswith("__"):
                if ast.unparse(owner) not in OURS | OF_TORCH:
                    yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.ImportFrom(module=str(module)) if ".src" in module:
                yield f"{node.lineno}: {module}"
            case ast.Import(names) if any(".src" in each.name for each in names):
                yield f"{node.lineno}: {ast.unparse(node)}"


def test_in_one_file_only():
    found = {
        path.name: lines
        for path in sorted(FOLDER.rglob("*.py"))
        if (lines := list(private(path.read_text(encoding="utf-8"))))
    }
    assert [*found] == ["_keras_internals.py"], found


@pytest.mark.parametrize(
    "line",
    [
        "optimizer._iterations",
        "model.optimizer._learning_rate = 3",
        "from keras.src.utils import tracking",
        "import keras.src.backend",
    ],
)
def test_the_rule_can_be_broken(line):
    assert len(list(private(line))) == 1
