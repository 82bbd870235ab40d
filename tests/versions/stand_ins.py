"""Stand-ins for the CUDA libraries that the builds of torch on PyPI are linked to.

    python tests/versions/stand_ins.py SITE_PACKAGES

Those builds ask for some 3 GB of NVIDIA's packages, and without them `import torch` fails, although
a CPU needs none of them. This puts an empty library in the place of each one that is missing. Every
function in it answers 100, "no device", and so torch finds no GPU. It needs `readelf` and `gcc`.
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

LIBRARY = re.compile(r"lib(cu|nv|nccl)")
FUNCTION = re.compile(r"(_*cu|_*nv|nccl)")


def write(site_packages: Path) -> list[str]:
    """Write a library for each that is missing; returns their names."""
    folder = site_packages / "torch" / "lib"
    objects = [*folder.glob("*.so*"), *(site_packages / "torch").glob("*.so")]
    there = {each.name for each in objects}
    needed = {name for each in objects for name in _libraries(each)}
    missing = sorted(name for name in needed - there if LIBRARY.match(name))
    wanted: dict[str, dict[str, set[str]]] = {
        library: defaultdict(set) for library in missing
    }  # library -> version -> functions
    loose, defined = set(), set()
    for each in objects:
        libraries = _libraries_of_versions(each)
        for name, version, is_defined in _symbols(each):
            if is_defined:
                defined.add(name)
            elif libraries.get(version) in wanted:
                wanted[libraries[version]][version].add(name)
            elif not version and FUNCTION.match(name):
                loose.add(name)
    for library in missing:
        _compile(folder / library, wanted[library], loose - defined)
        loose.clear()  # No matter which library has them: one is enough.
    return missing


def _libraries(path: Path) -> list[str]:
    """The libraries that a binary is linked to."""
    return re.findall(r"\(NEEDED\).*\[(.*)\]", _readelf("--dynamic", path))


def _libraries_of_versions(path: Path) -> dict[str, str]:
    """The library that each version of symbols is looked for in."""
    found, library = {}, ""
    _, _, needs = _readelf("--version-info", path).partition("Version needs section")
    for kind, name in re.findall(r"(File|Name): (\S+)", needs):
        if kind == "File":
            library = name
        else:
            found[name] = library
    return found


def _symbols(path: Path) -> list[tuple[str, str, bool]]:
    """The name and version of each symbol, and True if it is defined there."""
    rows = [line.split() for line in _readelf("--dyn-syms", path).splitlines()]
    found = []
    for row in rows:
        if len(row) > 7 and row[0].rstrip(":").isdigit():
            name, _, version = row[7].partition("@")
            found.append((name, version, row[6] != "UND"))
    return found


def _compile(path: Path, functions: dict[str, set[str]], loose: set[str]) -> None:
    names = sorted(loose.union(*functions.values()))
    versions = [
        f"{version} {{ global: {'; '.join(sorted(each))}; }};\n"
        for version, each in functions.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder, "library.c"), Path(folder, "versions.map")
        source.write_text("".join(f"int {name}(void) {{ return 100; }}\n" for name in names))
        script.write_text("".join(versions))
        options = ["-w", "-fno-builtin", "-shared", "-fPIC", f"-Wl,-soname,{path.name}"]
        if versions:
            options.append(f"-Wl,--version-script,{script}")
        subprocess.run(["gcc", *options, "-o", path, source], check=True)


def _readelf(option: str, path: Path) -> str:
    command = ["readelf", "--wide", option, path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    print(*write(Path(sys.argv[1])), sep="\n")
