# `make demo` and `make test` set up what they need. They run on a machine that has Python 3.11 or
# newer, make and git, and write to nothing outside this folder.
#
# .venv-core    pytest and hatchling: tests the core alone, and builds the wheel for all
# .venv-tools   ruff, mypy, NumPy and the like: no framework
# .venv         torch, TensorFlow, Keras, JAX, optax
# .venv-313     the newest of everything but torch, on Python 3.13; .venv-312, .venv-314 on others
# .venv-oldest  the lower bounds of pyproject.toml; .venv-oldest-tensorflow those of Keras on it

PYTHON ?= python3
PACKAGES := clr_core clr_torch clr_keras clr_jax clr_cli
SOURCES := pyproject.toml hatch_build.py README.md $(shell find $(PACKAGES) -type f -not -name '*.pyc')
PIP_FLAGS := -qq --disable-pip-version-check --constraint requirements/constraints.txt
WHEEL = build/wheel/cyclical_lr-*.whl
BENCHMARKS = $(shell grep -l __main__ benchmarks/*.py)
# -P keeps this folder off the path, so that the tests see the installed wheel and not the source.
PYTEST := .venv/bin/python -P -m pytest -q
CORE_PYTEST := .venv-core/bin/python -P -m pytest -q
TOOLS_PYTEST := .venv-tools/bin/python -P -m pytest -q
# What `make versions` makes the table in docs/versions.md of.
REPORT = --junit-xml=build/versions/$@.xml
export TF_CPP_MIN_LOG_LEVEL := 3

.PHONY: help
help:  ## print this help; times are for two cores, once everything is set up
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

# Each environment has a stamp for its requirements and one for the wheel in it.

.venv/requirements.stamp: pyproject.toml requirements/dev.txt requirements/without_dependencies.txt requirements/constraints.txt
	@echo "Setting up .venv: torch, TensorFlow, Keras, JAX, optax (about 3.5 GB, some minutes) …"
	$(PYTHON) -m venv .venv
	@# torch by itself and first: asked for among others, pip would weigh builds with CUDA too.
	.venv/bin/pip install $(PIP_FLAGS) torch
	@echo "  torch is there, now the others …"
	.venv/bin/pip install $(PIP_FLAGS) -r requirements/dev.txt keras jax optax matplotlib numpy
	.venv/bin/pip install $(PIP_FLAGS) --no-deps -r requirements/without_dependencies.txt
	@touch $@

.venv-core/requirements.stamp .venv-tools/requirements.stamp: .venv-%/requirements.stamp: requirements/%.txt requirements/constraints.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install $(PIP_FLAGS) -r requirements/$*.txt
	@touch $@

build/wheel.stamp: .venv-core/requirements.stamp $(SOURCES)
	@rm -rf build/wheel
	.venv-core/bin/pip wheel -qq --no-deps --no-build-isolation --wheel-dir build/wheel .
	@touch $@

%/wheel.stamp: %/requirements.stamp build/wheel.stamp
	$*/bin/pip install -qq --no-deps --force-reinstall $(WHEEL)
	@touch $@

.PHONY: setup
setup: .venv/wheel.stamp .venv-core/wheel.stamp .venv-tools/wheel.stamp  ## set up all environments (4 GB, 5 minutes)

.PHONY: demo
demo: .venv/wheel.stamp  ## train on real digits in three frameworks and compare every rate
	.venv/bin/python examples/digits/demo.py --out demo-output

# A process per framework, because some crash in one process.

CORE_TESTS := tests/core tests/conformance --row rows.core --with-numpy
TORCH_TESTS := tests/conformance tests/integration/torch --row rows.torch
JAX_TESTS := tests/conformance tests/integration/jax --row rows.jax
KERAS_TESTS := tests/conformance tests/integration/keras --row rows.keras
%-keras-tensorflow: export KERAS_BACKEND := tensorflow
%-keras-jax: export KERAS_BACKEND := jax
%-keras-torch: export KERAS_BACKEND := torch

JOBS ?= 2
SIDE_BY_SIDE = $(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,--jobs=$(JOBS) --output-sync=target)

.PHONY: test
test: setup  ## all tests but the slow ones, JOBS=2 parts at a time (15 min)
	+@$(SIDE_BY_SIDE) test-torch test-keras test-jax test-core test-cli test-directions test-meta

.PHONY: test-quick
test-quick: test-core-alone .venv/wheel.stamp  ## a first answer: the core, and the golden curves in torch, JAX and Keras (2 min)
	$(PYTEST) tests/conformance -k golden_curves --row rows.torch
	$(PYTEST) tests/conformance -k golden_curves --row rows.jax
	KERAS_BACKEND=jax $(PYTEST) tests/conformance -k golden_curves --row rows.keras
	KERAS_BACKEND=torch $(PYTEST) tests/conformance -k golden_curves --row rows.keras

.PHONY: test-core test-core-alone test-core-numpy
test-core: test-core-alone test-core-numpy  ## the core, alone and with NumPy; needs no framework (1 min with --jobs=2)
test-core-alone: .venv-core/wheel.stamp
	$(CORE_PYTEST) tests/core tests/conformance --row rows.core
	$(CORE_PYTEST) --doctest-modules --doctest-ignore-import-errors --pyargs clr_core
test-core-numpy: .venv-tools/wheel.stamp
	$(TOOLS_PYTEST) $(CORE_TESTS) $(REPORT)
	$(TOOLS_PYTEST) --doctest-modules --pyargs clr_core

.PHONY: test-torch
test-torch: .venv/wheel.stamp  ## the torch adapter
	$(PYTEST) $(TORCH_TESTS) $(REPORT)
	$(PYTEST) --doctest-modules --pyargs clr_torch

.PHONY: test-jax
test-jax: .venv/wheel.stamp  ## the JAX adapter
	$(PYTEST) $(JAX_TESTS) $(REPORT)
	$(PYTEST) --doctest-modules --pyargs clr_jax

.PHONY: test-keras test-keras-tensorflow test-keras-jax test-keras-torch
test-keras: test-keras-tensorflow test-keras-jax test-keras-torch  ## the Keras adapter, on three backends
test-keras-tensorflow test-keras-jax test-keras-torch: test-keras-%: .venv/wheel.stamp
	$(PYTEST) $(KERAS_TESTS) $(REPORT)
	$(PYTEST) --doctest-modules --pyargs clr_keras $(if $(filter torch,$*),,--ignore-glob='*/_torch_backend')

.PHONY: test-directions
test-directions: .venv/wheel.stamp  ## a run handed from one framework to another, in all six directions
	$(PYTEST) tests/directions
	$(PYTEST) tests/core -m frameworks --with-numpy

.PHONY: test-cli
test-cli: .venv/wheel.stamp  ## the command `clr`
	$(PYTEST) tests/cli --row rows.core
	$(PYTEST) --doctest-modules --pyargs clr_cli --ignore-glob='*/__main__.py'

KILLS ?= 5
.PHONY: test-workers test-workers-launcher test-workers-torch test-workers-jax test-workers-keras
test-workers: test-workers-launcher test-workers-torch test-workers-jax test-workers-keras  ## several devices and processes, killed and resumed (4 min with --jobs=2)
test-workers-launcher test-workers-torch test-workers-jax test-workers-keras: test-workers-%: .venv/wheel.stamp
	$(PYTEST) tests/workers/test_$*.py --kills $(KILLS)

.PHONY: test-trainers test-trainers-torch test-trainers-jax test-trainers-keras
test-trainers: test-trainers-torch test-trainers-jax test-trainers-keras  ## in Lightning, Hugging Face, ignite, skorch, fastai, timm, Keras's fit, Flax
# Several threads make small models slower.
test-trainers-torch: export OMP_NUM_THREADS := 1
test-trainers-torch test-trainers-jax: test-trainers-%: .venv/wheel.stamp
	$(PYTEST) tests/trainers/$*
test-trainers-keras: .venv/wheel.stamp
	KERAS_BACKEND=tensorflow $(PYTEST) tests/trainers/keras
	KERAS_BACKEND=jax $(PYTEST) tests/trainers/keras
	KERAS_BACKEND=torch $(PYTEST) tests/trainers/keras

# The explorer's page: its sources, the wheel, and Pyodide. `make docs` lays it over the site.

PYODIDE := 314.0.7
CHROMIUM ?= chromium
build/pyodide-$(PYODIDE).stamp:
	@command -v npm >/dev/null || { echo "The explorer needs npm, to fetch Pyodide: apt-get install npm"; exit 1; }
	@rm -rf build/pyodide* && mkdir -p build/pyodide
	npm pack --silent --pack-destination build pyodide@$(PYODIDE)
	@tar -xzf build/pyodide-$(PYODIDE).tgz -C build/pyodide --strip-components=1
	@touch $@

build/explorer.stamp: build/pyodide-$(PYODIDE).stamp build/wheel.stamp $(wildcard docs/explorer/*.*)
	$(PYTHON) docs/explorer/build.py build/explorer/explorer $(WHEEL) build/pyodide
	@touch $@

.PHONY: explorer
explorer: build/explorer.stamp  ## the page that draws schedules in the browser, in build/explorer (14 MB)

.PHONY: test-explorer
test-explorer: .venv/wheel.stamp build/explorer.stamp  ## the same in headless Chromium; screenshots in build/screenshots (1 min)
	@command -v $(CHROMIUM) >/dev/null || { test "$$(id -u)" = 0 && echo "Installing chromium …" && \
		apt-get update -qq && apt-get install -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
		{ echo "make test-explorer needs Chromium: apt-get install chromium, or CHROMIUM=/its/path"; exit 1; }
	CHROMIUM=$$(command -v $(CHROMIUM) || command -v chromium) $(PYTEST) tests/explorer

.PHONY: test-meta
test-meta: .venv/wheel.stamp  ## imports, packaging, documents, benchmarks
	$(PYTEST) tests/meta

.PHONY: docs
docs: .venv/wheel.stamp build/explorer.stamp  ## the site, with its notebooks run and its links checked, in build/site (2 min)
	@rm -rf build/site
	.venv/bin/python -P -m sphinx -W --keep-going -E -q -d build/doctrees docs build/site
	$(PYTEST) tests/site

.PHONY: test-full
test-full: test  ## also what is slow: a million points in each framework
	$(PYTEST) tests/conformance -m slow --row rows.core
	$(PYTEST) tests/conformance -m slow --row rows.torch
	$(PYTEST) tests/conformance -m slow --row rows.jax
	KERAS_BACKEND=tensorflow $(PYTEST) tests/conformance -m slow --row rows.keras
	KERAS_BACKEND=jax $(PYTEST) tests/conformance -m slow --row rows.keras
	KERAS_BACKEND=torch $(PYTEST) tests/conformance -m slow --row rows.keras

.PHONY: test-workers-full
test-workers-full:  ## the same with 100 SIGKILLs of DDP, of JAX's processes and of Keras's fit (20 min with --jobs=2)
	$(MAKE) test-workers KILLS=100

# Other versions than those of `make test`.

.venv-312/requirements.stamp .venv-313/requirements.stamp .venv-314/requirements.stamp: .venv-3%/requirements.stamp: requirements/newest.txt
	$(call python,3.$*) -m venv --clear .venv-3$*
	.venv-3$*/bin/pip install -qq --disable-pip-version-check -r requirements/newest.txt
	@touch $@

.venv-oldest/requirements.stamp .venv-oldest-tensorflow/requirements.stamp: .venv-%/requirements.stamp: requirements/%.txt
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/pip install -qq --disable-pip-version-check -r requirements/$*.txt
	@touch $@

# Any that runs: pyenv puts a `python3.13` on the path that may not.
python = $(shell for each in python$(1) "$$(pyenv root)"/versions/$(1).*/bin/python$(1); do \
	"$$each" -c 'import sys; print(sys.executable)' && break; done 2>/dev/null)
PARTS_313 := test-313-core test-313-jax test-313-keras-tensorflow test-313-keras-jax
PARTS_314 := test-314-core test-314-jax test-314-keras-jax
.PHONY: test-313 test-314 $(PARTS_313) $(PARTS_314)
test-313:  ## the core, JAX, and Keras on TensorFlow and JAX: the newest, on Python 3.13
test-314:  ## the same on Python 3.14, for which there is no TensorFlow
test-313 test-314: test-3%: build/wheel.stamp
	+@$(if $(call python,3.$*),$(SIDE_BY_SIDE) $(PARTS_3$*),echo "Left out: make $@. No Python 3.$* runs here, neither python3.$* nor one of pyenv." | tee -a build/left_out.txt)
$(PARTS_313): .venv-313/wheel.stamp
$(PARTS_314): .venv-314/wheel.stamp
NEWEST_PYTEST = .venv-$(word 2,$(subst -, ,$@))/bin/python -P -m pytest -q
test-313-core test-314-core:
	$(NEWEST_PYTEST) $(CORE_TESTS) $(REPORT)
test-313-jax test-314-jax:
	$(NEWEST_PYTEST) $(JAX_TESTS) $(REPORT)
test-313-keras-tensorflow test-313-keras-jax test-314-keras-jax:
	$(NEWEST_PYTEST) $(KERAS_TESTS) $(REPORT)

.PHONY: test-312
test-312: .venv-312/wheel.stamp  ## the core, on Python 3.12
	.venv-312/bin/python -P -m pytest -q $(CORE_TESTS) $(REPORT)

.PHONY: test-oldest test-oldest-core test-oldest-jax test-oldest-keras-jax test-oldest-keras-tensorflow
test-oldest: test-oldest-core test-oldest-jax test-oldest-keras-jax test-oldest-keras-tensorflow  ## the lower bounds that the requirements declare
test-oldest-core: .venv-oldest/wheel.stamp
	.venv-oldest/bin/python -P -m pytest -q $(CORE_TESTS) $(REPORT)
	.venv-oldest/bin/python -P -m pytest -q tests/cli/test_main.py tests/cli/test_plot.py
test-oldest-jax: .venv-oldest/wheel.stamp
	.venv-oldest/bin/python -P -m pytest -q $(JAX_TESTS) $(REPORT)
test-oldest-keras-jax: .venv-oldest/wheel.stamp
	.venv-oldest/bin/python -P -m pytest -q $(KERAS_TESTS) $(REPORT)
test-oldest-keras-tensorflow: .venv-oldest-tensorflow/wheel.stamp
	.venv-oldest-tensorflow/bin/python -P -m pytest -q $(KERAS_TESTS) $(REPORT)

.PHONY: test-torch-versions
test-torch-versions: build/wheel.stamp  ## the torch adapter on VERSIONS="2.4.1 2.15.0", by default five of them (10 GB, 40 min)
	$(PYTHON) tests/versions/torch_versions.py $(VERSIONS)

.PHONY: versions
versions: setup  ## run all of these and the parts of `make test`; write the table in docs/versions.md (2 h)
	+@$(SIDE_BY_SIDE) test-torch test-keras test-jax test-core test-312 test-313 test-314 test-oldest
	$(MAKE) test-torch-versions
	$(PYTHON) tests/versions/table.py

N ?= 200
SEED ?= 1
.PHONY: mutants
mutants: .venv-tools/wheel.stamp  ## plant N=200 errors in the core, drawn by SEED=1: do the tests notice? (12 min)
	.venv-tools/bin/pip install $(PIP_FLAGS) -r requirements/mutants.txt
	.venv-tools/bin/python tests/mutants.py --number $(N) --seed $(SEED)

MINUTES ?= 60
.PHONY: fuzz
fuzz: .venv/wheel.stamp  ## feed every reader with broken input for MINUTES=60; findings lie in build/fuzz
	.venv/bin/pip install $(PIP_FLAGS) -r requirements/fuzz.txt
	.venv/bin/python -P tests/fuzz/run.py --minutes $(MINUTES) $(TARGETS)

.PHONY: lint
lint: .venv-tools/requirements.stamp  ## format, lint and strict types of the core; needs no framework (10 s)
	.venv-tools/bin/ruff format --check .
	.venv-tools/bin/ruff check .
	.venv-tools/bin/mypy clr_core tests/oracle.py

.PHONY: types
types: .venv/requirements.stamp .venv-tools/requirements.stamp  ## strict types of everything (20 s)
	.venv-tools/bin/mypy --python-executable .venv/bin/python

.PHONY: format
format: .venv-tools/requirements.stamp  ## format and apply automatic fixes
	.venv-tools/bin/ruff format .
	.venv-tools/bin/ruff check --fix .

.PHONY: trajectories
trajectories: .venv/wheel.stamp  ## train with every optimizer everywhere: the tables of docs/same-trajectory.md
	.venv/bin/python benchmarks/trajectories/measure.py

.PHONY: golden
golden: .venv-core/wheel.stamp  ## write the golden curves from the oracle (a changed one is a breaking change)
	.venv-core/bin/python tests/write_golden_curves.py

.PHONY: benchmarks
benchmarks: .venv/wheel.stamp  ## measure, and write the tables in benchmarks/
	@for script in $(BENCHMARKS); do .venv/bin/python $$script $(BRIEF) || exit 1; done

.PHONY: clean
clean:  ## remove the environments and everything made
	rm -rf .venv .venv-* build demo-output .mypy_cache .ruff_cache .hypothesis
