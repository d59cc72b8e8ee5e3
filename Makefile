# The two commands of a newcomer are `make demo` and `make test`; each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DIST := build/dist
EMPTY := build/empty
RUNS ?= 100000

.PHONY: help demo test quick lint format wheel ci bench fuzz clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[all,dev]'
	@touch $@

demo: $(READY)  ## Set up, and build the stacked LSTM in Keras
	$(BIN)/rnnspec build specs/stacked_lstm.yaml --backend keras

test: $(READY)  ## Set up, and run every test
	$(BIN)/python -m pytest

quick: $(READY)  ## Run the tests that need no framework
	$(BIN)/python -m pytest tests/spec tests/ir tests/passes tests/test_lowering.py tests/test_slots.py

lint: $(READY)  ## Check style, types and imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Format, and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: $(READY)  ## Build the wheel, and use it from an empty environment
	rm -rf $(DIST) $(EMPTY)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(DIST) .
	$(PYTHON) -m venv $(EMPTY)
	$(EMPTY)/bin/python -m pip install --quiet $(DIST)/rnnspec-*.whl
	.ci/use-wheel $(EMPTY)/bin

ci: lint wheel test  ## Run what continuous integration runs

bench: $(READY)  ## Measure against hand-written code, for a quarter of an hour
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks

fuzz: $(READY)  ## Try hostile inputs, RUNS of each kind (100,000); a failing one is kept in tests/
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	cd tests && ../$(BIN)/python -m fuzz bytes --runs $(RUNS)
	cd tests && ../$(BIN)/python -m fuzz specs --runs $(RUNS)

clean:  ## Remove everything that was made
	rm -rf $(VENV) build *.egg-info
