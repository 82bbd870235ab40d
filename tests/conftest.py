"""Which row of the conformance suite runs: `--row rows.torch`, or any importable module."""

import importlib
import importlib.util
import os
import platform
import signal
from contextlib import suppress
from importlib import metadata

import pytest
from hypothesis import settings

# The same examples in every run: what failed once fails again, and nothing fails by chance. No
# deadline, since the machines are shared.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption(
        "--row",
        default="rows.core",
        help="module of the adapter to judge: MAX_STEP, lrs, moves, momenta, CURVES, FLOAT64",
    )
    parser.addoption(
        "--with-numpy",
        action="store_true",
        help="fail where NumPy is missing, in place of skipping",
    )


def pytest_collection_modifyitems(config, items):
    if not config.option.markexpr:
        for mark in ("slow", "frameworks"):
            marked = [item for item in items if item.get_closest_marker(mark)]
            config.hook.pytest_deselected(items=marked)
            items[:] = [item for item in items if item not in marked]


@pytest.fixture(scope="session")
def row(request):
    """The adapter to judge. That it can't be imported is a failure and never a skip."""
    return importlib.import_module(request.config.option.row)


@pytest.fixture(scope="session")
def np(request):
    """NumPy, where it is installed; a failure where it was asked for and is missing."""
    if not request.config.option.with_numpy:
        return pytest.importorskip("numpy")
    return importlib.import_module("numpy")


@pytest.fixture
def ctrl_c():
    """Ctrl-C interrupts, also in tests that run in the background, where it would be ignored."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


VERSIONS = {
    "NumPy": "numpy",
    "PyYAML": "PyYAML",
    "matplotlib": "matplotlib",
    "torch": "torch",
    "JAX": "jax",
    "optax": "optax",
    "Keras": "keras",
    "TensorFlow": "tensorflow-cpu",
}


@pytest.fixture(scope="session", autouse=True)
def _versions(request, record_testsuite_property):
    """Says in the report of `--junit-xml` what was tested with what, for `make versions`."""
    backend = os.environ.get("KERAS_BACKEND", "")
    row = request.config.option.row
    record_testsuite_property("row", f"{row} on {backend}" if row == "rows.keras" else row)
    record_testsuite_property("Python", platform.python_version())
    for name, distribution in VERSIONS.items():
        with suppress(metadata.PackageNotFoundError):
            record_testsuite_property(name, metadata.version(distribution))


def pytest_report_header(config):
    backend = os.environ.get("KERAS_BACKEND", "")
    return f"row: {config.option.row} {backend}"
