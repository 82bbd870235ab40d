"""The wheel: its contents, its requirements, its public names, and how an index shows it."""

import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata, resources
from pathlib import Path

import readme_renderer.markdown

import clr_core

ROOT = Path(__file__).parents[2]
PACKAGES = ("clr_core", "clr_torch", "clr_keras", "clr_jax", "clr_cli")


def test_the_tests_see_the_installed_wheel_and_not_the_source():
    assert "site-packages" in clr_core.__file__
    assert str(ROOT) not in sys.path
    assert "" not in sys.path


def test_the_wheel_holds_our_packages_and_nothing_else():
    (wheel,) = (ROOT / "build" / "wheel").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    (info,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == {*PACKAGES, info}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert {"clr_core/conformance/golden_curves.json", "clr_core/record/record.schema.json"} <= set(
        names
    )
    assert f"{info}/licenses/LICENSE" in names


def test_the_wheel_was_built_from_this_source():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.*"):
            if path.suffix != ".pyc":
                installed = resources.files(package).joinpath(path.relative_to(ROOT / package))
                assert installed.read_bytes() == path.read_bytes(), f"{path}: run make"


# The framework, and what our code for it imports; "all" stands for all of them.
REQUIRED = {
    "torch": {"torch"},
    "keras": {"keras", "numpy"},
    "jax": {"jax", "optax"},
    "yaml": {"pyyaml"},
    "plot": {"matplotlib", "plotext"},
    "migrate": {"libcst"},
    "completion": {"shtab"},
}


def test_each_extra_asks_for_its_framework_and_nothing_else():
    required = {}
    for line in metadata.requires("cyclical-lr"):
        name, extra = re.fullmatch(r"([\w-]+)>=[\d.]+; extra == '(\w+)'", line).groups()
        required.setdefault(extra, set()).add(name)
    assert required == REQUIRED | {"all": set.union(*REQUIRED.values())}
    assert set(required) == set(metadata.metadata("cyclical-lr").get_all("Provides-Extra"))


def test_the_lower_bounds_are_what_the_tests_of_older_versions_run_with():
    pinned = {"torch": torch_versions()[0]}
    for path in (ROOT / "requirements").glob("oldest*.txt"):
        pinned |= dict(re.findall(r"^([\w-]+)==([\d.]+)$", path.read_text().lower(), re.MULTILINE))
    for line in metadata.requires("cyclical-lr"):
        name, bound = re.match(r"([\w-]+)>=([\d.]+)", line).groups()
        assert f"{pinned[name]}.".startswith(f"{bound}."), line


def torch_versions():
    (versions,) = re.findall(
        r"^VERSIONS = \((.*)\)",
        (ROOT / "tests/versions/torch_versions.py").read_text(),
        re.MULTILINE,
    )
    return re.findall(r'"([\d.]+)"', versions)


def test_public_names_have_docstrings():
    for name in clr_core.__all__:
        assert getattr(clr_core, name).__doc__, name


def test_pins_are_in_the_constraints_file_only():
    folder = ROOT / "requirements"
    pinned = {
        path.stem for path in folder.iterdir() if re.search(r"^[\w-]+==", path.read_text(), re.M)
    }
    assert pinned == {"constraints", "oldest", "oldest-tensorflow"}


def test_the_changelog_has_this_version():
    version = metadata.version("cyclical-lr")
    assert version in (ROOT / "CHANGELOG.md").read_text()


def test_each_package_says_its_version():
    script = (
        "import clr_cli, clr_core, clr_jax, clr_keras, clr_torch\n"
        "for each in (clr_core, clr_torch, clr_keras, clr_jax, clr_cli):\n"
        "    print(each.__version__)\n"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    process = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    versions = process.stdout.split()
    assert versions == [metadata.version("cyclical-lr")] * len(PACKAGES), process.stderr


def test_an_index_accepts_what_we_would_upload(tmp_path):
    build = [ROOT / ".venv-core/bin/python", "-m", "hatchling", "build", "-t", "sdist"]
    subprocess.run([*build, "-d", tmp_path], cwd=ROOT, check=True, timeout=300)
    files = [*tmp_path.glob("*.tar.gz"), *(ROOT / "build" / "wheel").glob("*.whl")]
    assert len(files) == 2
    process = subprocess.run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.count("PASSED") == 2


def test_an_index_shows_no_broken_link():
    page = readme_renderer.markdown.render(metadata.metadata("cyclical-lr").get_payload())
    found = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert all(target.startswith(("https://", "#")) for target in found), found


def test_once_there_is_a_repository_the_links_lead_there():
    script = (
        "import hatch_build\n"
        "readme = '![A\\ncurve.](docs/a.png) [here](docs/b.md#c), [there](https://x.org).'\n"
        "print(hatch_build.description(readme, '1.2', 'https://example.org/clr'))\n"
    )
    process = subprocess.run(
        [ROOT / ".venv-core/bin/python", "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert process.stdout == (
        "![A\ncurve.](https://example.org/clr/raw/v1.2/docs/a.png) "
        "[here](https://example.org/clr/blob/v1.2/docs/b.md#c), [there](https://x.org).\n"
    ), process.stderr
