# Every target does its own set-up: Python >= 3.11 with venv, and make, are all that is needed.
PYTHON ?= python3
VENV   := .venv
LOCK   := requirements.lock
BYTECODE ?= --compile-bytecode
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup train project test test-slow test-other-python test-ray lint format schemas audit safety faults benchmark notebook docs pictures lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1@/' | column -t -s@

setup: $(READY) ## create .venv and install the locked packages (hashes checked)

# uv comes from the lock like everything else, its hash checked by pip, and installs the rest.
$(READY): pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}: name another with make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/^    # via/p' $(LOCK) > $(VENV)/bootstrap.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/bootstrap.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes $(BYTECODE) -r $(LOCK)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(BYTECODE) --editable .
	@touch $@

train: $(READY) ## train the default: the CNN on handwritten digits
	$(BIN)/python train.py

project: $(READY) ## a package of your own to start from: make project NAME=mylab
	@$(BIN)/python scripts/new_project.py $(NAME)

# As many tests run at once as there are cores, so each has one thread; more would wait for each other.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto

test: $(READY) ## the fast tests, on all cores; of some files: make test TESTS=tests/config
	$(PYTEST) $(TESTS)

test-slow: $(READY) ## the slower proofs, on all cores
	$(PYTEST) -m slow --dist loadgroup

# The tests of what differs between versions of Python: signals, garbage collection, processes,
# annotations and source code that is read, the compiler. All fast tests would make CI too long.
VERSIONED = tests/config tests/libraries tests/processes tests/test_signals.py \
	tests/training/test_garbage.py tests/training/test_profiling.py \
	tests/training/test_compilation.py tests/data/test_loader_workers.py

test-other-python: $(READY) ## those that depend on the version, on another Python from 3.12 on, where there is one
	@python=$$(.ci/other-python $(BIN)/python); \
	if [ -z "$$python" ]; then \
		echo "No other Python from 3.12 on is found: only $$($(BIN)/python -V) was tested."; \
	elif ! timeout 300 $(MAKE) setup VENV=.venv-other PYTHON=$$python BYTECODE=; then \
		echo "warning: not tested on $$($$python -V): its packages cannot be installed in five minutes."; \
	else \
		$$python -V && $(MAKE) test VENV=.venv-other PYTHON=$$python BYTECODE= TESTS="$(VERSIONED)"; \
	fi

test-ray: ## the tests of Ray's launcher, in an environment of its own
	$(MAKE) setup VENV=.venv-ray LOCK=requirements-ray.lock
	.venv-ray/bin/python -m pytest tests/search/test_ray.py

lint: $(READY) ## ruff, codespell, mypy --strict and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

schemas: $(READY) ## tell editors what the config files may hold (configs/.schema), after a change of a key
	$(BIN)/python -m arclight.config.help.schema

audit: $(READY) ## look up known vulnerabilities of the locked packages (needs a network)
	for lock in requirements.lock requirements-ray.lock requirements-notebook.lock requirements-docs.lock; do \
		$(BIN)/uv tool run pip-audit==2.9.0 --require-hashes --disable-pip -r $$lock || exit 1; done

safety: $(READY) ## attack the commands with files of strangers, damage and secrets, and print a table
	ARCLIGHT_SAFETY=whole $(BIN)/python -m pytest tests/safety tests/config/test_file_overrides.py tests/test_reading.py \
		tests/config/test_only_reading.py tests/training/test_shards.py tests/test_cells.py \
		tests/run/test_lost_workers.py tests/test_signals.py -m "" -q --table
	$(BIN)/python -m tests.safety.limits

faults: $(READY) ## kill, interrupt and starve runs for hours, and print what came out
	$(BIN)/python scripts/faults.py

benchmark: $(READY) ## what the project costs over a bare loop, on a quiet machine
	$(BIN)/python scripts/benchmark.py all

notebook: $(READY) ## install Jupyter and open the notebooks, which are made of notebooks/*.py
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-notebook.lock
	$(BIN)/jupytext --quiet --update --to ipynb --set-kernel python3 notebooks/*.py
	$(BIN)/jupyter lab notebooks

docs: $(READY) ## build these docs as a site, docs/_build/index.html, with warnings as errors
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-docs.lock
	$(BIN)/python -m sphinx -b html -W --keep-going --quiet docs docs/_build

pictures: $(READY) ## make the README's pictures anew, by a run on a quiet machine
	$(BIN)/python scripts/pictures.py

format: $(READY) ## format and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

RESOLVE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--custom-compile-command "make lock" pyproject.toml
EXTRAS = --extra tensorboard --extra export --extra launchers --extra low-precision --extra dev

lock: $(READY) ## resolve requirements.lock, and those of Ray, Jupyter and the docs, anew for every platform
	$(RESOLVE) $(EXTRAS) --output-file requirements.lock
	$(RESOLVE) --extra ray --extra dev --output-file requirements-ray.lock
	$(RESOLVE:pyproject.toml=notebooks/requirements.in) --constraint $(LOCK) --output-file requirements-notebook.lock
	$(RESOLVE:pyproject.toml=docs/requirements.in) --constraint $(LOCK) --output-file requirements-docs.lock

clean: ## remove caches and the environment, never runs
	rm -rf $(VENV) .venv-other .mypy_cache .ruff_cache .pytest_cache
