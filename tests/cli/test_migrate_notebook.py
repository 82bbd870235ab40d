"""Notebooks: the code of all cells as one program, and JSON that stays as it was."""

import json

import pytest

from clr_cli.migrate import Document

CELLS = [
    {"cell_type": "markdown", "metadata": {}, "source": ["# CyclicLR\n", "text"]},
    {
        "cell_type": "code",
        "execution_count": 3,
        "metadata": {"scrolled": True},
        "outputs": [{"text": ["0.10 \u00e9\n"], "n": 1.50}],
        "source": [
            "%matplotlib inline\n",
            "!pip install \\\n",
            "   torch\n",
            "import torch  # 'é'\n",
            "from torch.optim import lr_scheduler",
        ],
    },
    {"cell_type": "code", "metadata": {}, "outputs": [], "source": "%%bash\nls CyclicLR"},
    {"cell_type": "code", "metadata": {}, "outputs": [], "source": []},
    {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["print 'Python 2'"]},
    {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "source": ["files = !ls\n", "help?\n", "s = lr_scheduler.CyclicLR(o, 1, 2)\n", "%time s"],
    },
    {"cell_type": "code", "metadata": {}, "outputs": [], "source": "await f()\ns.step()"},
]
DOCUMENT = {"cells": CELLS, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
SPELLINGS = {
    "Jupyter's": {"indent": 1, "ensure_ascii": False},
    "ASCII": {"indent": 2},
    "one line": {"ensure_ascii": False},
    "dense": {"separators": (",", ":")},
}


@pytest.fixture
def notebook(tmp_path):
    """Write a notebook and read it."""

    def make(document=DOCUMENT, **spelling):
        path = tmp_path / "train.ipynb"
        raw = document if isinstance(document, str) else json.dumps(document, **spelling) + "\n"
        path.write_bytes(raw.encode())
        return Document(str(path), None), path, raw

    return make


@pytest.mark.parametrize("name", SPELLINGS)
def test_only_the_changed_lines_change(notebook, name):
    document, path, raw = notebook(**SPELLINGS[name])
    (finding,) = document.findings
    assert (finding.place, finding.line) == (f"{path}:cell 6:3", 3)
    assert document.unread == [5]
    document.write()
    after = path.read_bytes().decode()
    expected = json.loads(raw)
    expected["cells"][1]["source"] = [
        *CELLS[1]["source"][:4],
        "from torch.optim import lr_scheduler\n",
        "import clr_torch",
    ]
    expected["cells"][5]["source"][2] = "s = clr_torch.CyclicLR(o, 1, 2)\n"
    assert json.loads(after) == expected
    # Undone in the text, it is the same text.
    spelling = raw[raw.index('"import torch') : raw.index('"from torch')]
    between = spelling.rpartition('"')[2]
    undone = after.replace(f'lr_scheduler\\n"{between}"import clr_torch"', 'lr_scheduler"')
    assert undone.replace("s = clr_torch.", "s = lr_scheduler.") == raw
    # And it isn't rewritten again.
    again = Document(str(path), None)
    assert all(not each.edits for each in again.findings)


def test_a_source_of_one_text(notebook):
    cells = [
        {
            "cell_type": "code",
            "source": "from torch.optim.lr_scheduler import CyclicLR\nCyclicLR(o, 1, 2)",
        }
    ]
    document, _, raw = notebook({"cells": cells})
    assert document.rewritten == raw.replace("torch.optim.lr_scheduler", "clr_torch")


@pytest.mark.parametrize(
    "metadata", [{"kernelspec": {"language": "R"}}, {"language_info": {"name": "julia"}}]
)
def test_another_language_is_left_alone(notebook, metadata):
    document, _, _ = notebook({**DOCUMENT, "metadata": metadata})
    assert (document.findings, document.unread) == ([], [])


@pytest.mark.parametrize(
    "raw",
    [
        "{}",
        "[]",
        "",
        "null",
        '{"cells": 1}',
        '{"cells": [',
        "[" * 100_000,
        '{"cells": [' + "[" * 100_000,
    ],
    ids=range(8),
)
def test_what_is_no_notebook(notebook, raw):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is compared.
        notebook(raw)
    assert "train.ipynb` " in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "cell",
    [
        1,
        None,
        {},
        {"cell_type": "code"},
        {"cell_type": "code", "source": 1},
        {"cell_type": "code", "source": [1]},
        {"cell_type": "code", "source": {"a": 1}},
        {"cell_type": ["code"], "source": "x"},
        {"cell_type": "code", "source": "%"},
        {"cell_type": "code", "source": "!"},
        {"cell_type": "code", "source": "%%time\n%%time"},
    ],
)
def test_odd_cells_leave_the_others(notebook, cell):
    document, _, _ = notebook({**DOCUMENT, "cells": [cell, *CELLS]})
    assert [each.cell for each in document.findings] == [7]
