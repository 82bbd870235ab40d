"""Put the explorer's page together: `python build.py FOLDER WHEEL PYODIDE`.

The folder gets the page, the wheel, what Pyodide needs to start, and explorer.json: the files to
load and their sizes.
"""

import json
import shutil
import sys
from pathlib import Path

PAGE = ("index.html", "explorer.css", "explorer.js")
MODULES = ("explorer.py", "draft.py", "picture.py")
PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")


def main() -> None:
    """Build the page."""
    folder, wheel, pyodide = map(Path, sys.argv[1:])
    sources = Path(__file__).parent
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pyodide").mkdir(parents=True)
    for name in (*PAGE, *MODULES):
        shutil.copy(sources / name, folder)
    for name in PYODIDE:
        shutil.copy(pyodide / name, folder / "pyodide")
    shutil.copy(wheel, folder)
    info = json.loads((pyodide / "pyodide-lock.json").read_text())["info"]
    version = json.loads((pyodide / "package.json").read_text())["version"]

    def size(*names: str) -> int:
        return sum((folder / name).stat().st_size for name in names)

    files = [
        (f"Python {info['python']} as WebAssembly: Pyodide {version}", PYODIDE[:3]),
        ("Python's standard library", PYODIDE[3:]),
    ]
    document = {
        "wheel": wheel.name,
        "modules": MODULES,
        "lock": {"info": info, "packages": {}},
        "files": [
            *(
                {"what": what, "bytes": size(*(f"pyodide/{name}" for name in names))}
                for what, names in files
            ),
            {
                "what": f"cyclical-lr {wheel.name.split('-')[1]}",
                "bytes": size(wheel.name, *MODULES),
            },
        ],
    }
    (folder / "explorer.json").write_text(json.dumps(document))


if __name__ == "__main__":
    main()
