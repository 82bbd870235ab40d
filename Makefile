# Every target sets up what it needs: `make demo` and `make test` run on a machine that has Python
# 3.11 or newer, make and git. Everything stays inside this folder.

PYTHON ?= python3
PACKAGES := clr_core clr_torch clr_keras clr_jax clr_cli
SOURCES := pyproject.toml README.md $(shell find $(PACKAGES) -type f -not -name '*.pyc')
PIP_FLAGS := -qq --disable-pip-version-check --constraint requirements/constraints.txt
WHEEL = build/wheel/cyclical_lr-*.whl
# -P keeps this folder off the path, so that the tests see the installed wheel and not the source.
PY := .venv/bin/python -P
BENCHMARKS = $(shell grep -l __main__ benchmarks/*.py)
PYTEST := $(PY) -m pytest -q
OLDEST_PYTEST := .venv-oldest/bin/python -P -m pytest -q
CORE_PYTEST := .venv-core/bin/python -P -m pytest -q
export TF_CPP_MIN_LOG_LEVEL := 3

.PHONY: help
help:  ## print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

# ── setting up ──────────────────────────────────────────────────────────────────────────────────
# One rule per environment: everything else depends on its stamp.

.venv/requirements.stamp: pyproject.toml requirements/dev.txt requirements/finders.txt requirements/constraints.txt
	@echo "Setting up .venv: torch, TensorFlow, Keras, JAX, optax (about 3.5 GB, some minutes) …"
	$(PYTHON) -m venv .venv
	@# torch by itself and first: asked for among others, pip would weigh builds with CUDA too.
	.venv/bin/pip install $(PIP_FLAGS) torch
	@echo "  torch is there, now the others …"
	.venv/bin/pip install $(PIP_FLAGS) -r requirements/dev.txt keras jax optax matplotlib numpy
	.venv/bin/pip install $(PIP_FLAGS) --no-deps -r requirements/finders.txt
	@touch $@

.venv/wheel.stamp: .venv/requirements.stamp $(SOURCES)
	@rm -rf build/wheel
	.venv/bin/pip wheel -qq --no-deps --no-build-isolation --wheel-dir build/wheel .
	.venv/bin/pip install -qq --no-deps --force-reinstall $(WHEEL)
	@touch $@

.venv-core/wheel.stamp: .venv/wheel.stamp requirements/core.txt
	@test -d .venv-core || $(PYTHON) -m venv .venv-core
	.venv-core/bin/pip install $(PIP_FLAGS) -r requirements/core.txt
	.venv-core/bin/pip install -qq --no-deps --force-reinstall $(WHEEL)
	@touch $@

.PHONY: setup
setup: .venv/wheel.stamp .venv-core/wheel.stamp  ## set up both environments and install the wheel

# ── the main job ────────────────────────────────────────────────────────────────────────────────

.PHONY: demo
demo: .venv/wheel.stamp  ## train on real digits in three frameworks and compare every rate
	.venv/bin/python examples/digits/demo.py --out demo-output

# ── tests: a process per framework, because some crash in one process ───────────────────────────

.PHONY: test
test: test-core test-torch test-jax test-keras test-directions test-cli test-meta  ## run everything but what is named slow

.PHONY: test-core
test-core: .venv-core/wheel.stamp .venv/wheel.stamp  ## the core: alone, and with NumPy
	$(CORE_PYTEST) tests/core tests/conformance --row rows.core
	$(PYTEST) tests/core tests/conformance --row rows.core --with-numpy

.PHONY: test-torch
test-torch: .venv/wheel.stamp  ## the torch adapter
	$(PYTEST) tests/conformance tests/integration/torch --row rows.torch

.PHONY: test-jax
test-jax: .venv/wheel.stamp  ## the JAX adapter
	$(PYTEST) tests/conformance tests/integration/jax --row rows.jax

.PHONY: test-keras test-keras-tensorflow test-keras-jax test-keras-torch
test-keras: test-keras-tensorflow test-keras-jax test-keras-torch  ## the Keras adapter, on three backends
test-keras-tensorflow test-keras-jax test-keras-torch: test-keras-%: .venv/wheel.stamp
	KERAS_BACKEND=$* $(PYTEST) tests/conformance tests/integration/keras --row rows.keras

.PHONY: test-directions
test-directions: .venv/wheel.stamp  ## a run handed from one framework to another, in all six directions
	$(PYTEST) tests/directions

.PHONY: test-cli
test-cli: .venv/wheel.stamp  ## the command `clr`
	$(PYTEST) tests/cli --row rows.core

.PHONY: test-meta
test-meta: .venv/wheel.stamp  ## the rules of the house: imports, packaging, documentation
	$(PYTEST) tests/meta

.PHONY: test-full
test-full: test  ## also what is slow: a million points in each host
	$(PYTEST) tests/conformance -m slow --row rows.core
	$(PYTEST) tests/conformance -m slow --row rows.torch
	$(PYTEST) tests/conformance -m slow --row rows.jax
	KERAS_BACKEND=tensorflow $(PYTEST) tests/conformance -m slow --row rows.keras
	KERAS_BACKEND=jax $(PYTEST) tests/conformance -m slow --row rows.keras
	KERAS_BACKEND=torch $(PYTEST) tests/conformance -m slow --row rows.keras

.PHONY: test-oldest
test-oldest: .venv/wheel.stamp  ## the curves on the oldest frameworks that the requirements admit
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/pip install -qq --disable-pip-version-check -r requirements/oldest.txt
	.venv-oldest/bin/pip install -qq --no-deps $(WHEEL)
	$(OLDEST_PYTEST) tests/core tests/conformance --row rows.core --with-numpy
	$(OLDEST_PYTEST) tests/conformance --row rows.jax
	KERAS_BACKEND=jax $(OLDEST_PYTEST) tests/conformance --row rows.keras

.PHONY: mutants
mutants: .venv/wheel.stamp  ## plant errors one at a time and see that the suite catches each
	.venv/bin/python tests/mutants.py

# ── the look of it ──────────────────────────────────────────────────────────────────────────────

.PHONY: lint
lint: .venv/wheel.stamp  ## formatting, lint and strict types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

.PHONY: format
format: .venv/requirements.stamp  ## format, and mend what can be mended
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: trajectories
trajectories: .venv/wheel.stamp  ## measure every optimizer everywhere: the tables of docs/same-trajectory.md
	.venv/bin/python benchmarks/trajectories/measure.py

.PHONY: golden
golden: .venv/wheel.stamp  ## write the golden curves anew from the oracle (a breaking change)
	.venv/bin/python tests/write_golden_curves.py

.PHONY: benchmarks
benchmarks: .venv/wheel.stamp  ## measure, and write the tables in benchmarks/
	@for script in $(BENCHMARKS); do .venv/bin/python $$script $(BRIEF) || exit 1; done

.PHONY: clean
clean:  ## remove the environments and everything made
	rm -rf .venv .venv-core .venv-oldest build demo-output .mypy_cache .ruff_cache .hypothesis
