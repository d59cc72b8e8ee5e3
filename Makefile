# The commands of a newcomer are `make demo`, `make install` and `make test`; each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := $(VENV)/.demo
INSTALLED := $(VENV)/.installed
SITE_READY := $(VENV)/.site
TOOLS := build/tools
DIST := build/dist
LOWEST := build/lowest
NODE_MODULES := playground/node_modules/.package-lock.json
WHEELS := build/playground-wheels
PARTS := build/playground-parts
SITE := build/playground
QUICK := tests/spec tests/ir tests/test_lowering.py tests/test_lowering_masks.py tests/test_slots.py tests/test_every_key.py tests/playground/test_answers.py tests/playground/test_completions.py
RUNS ?= 100000
MODELS ?= 20000
PYTHONS ?= 3.11 3.12 3.13 3.14
# What a version of a dependency decides: how specs are read, arrays, templates, and what commands print.
OLDEST := tests/spec tests/ir tests/test_slots.py tests/playground/test_answers.py tests/cli/test_cli_summary.py
PYTEST := $(BIN)/python -m pytest -n 2 --no-loadscope-reorder

# Tests start many processes, each of which would compile the whole package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo install test test-all quick lowest gcc-only lint format site docs pictures docs-test wheel playground-test page-test playground playground-serve ci packages dist release matrix bench device fuzz clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): pyproject.toml conformance/pyproject.toml random_specs/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[all,dev]' --editable ./conformance --editable ./random_specs
	@touch $@ $(DEMO) $(INSTALLED) $(SITE_READY)

$(DEMO): pyproject.toml
	@echo "installing Keras and TensorFlow into $(VENV): about 1 minute and 2 GB"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[keras]'
	@touch $@

$(INSTALLED): pyproject.toml
	@echo "installing Keras, PyTorch, JAX and ONNX Runtime into $(VENV): about 5 minutes and 4 GB, more if PyTorch comes with CUDA"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@ $(DEMO)

$(TOOLS)/.ready:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet 'build>=1.2' 'twine>=7' 'uv>=0.5'
	@touch $@

$(SITE_READY): pyproject.toml conformance/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[docs]' --editable ./conformance
	@touch $@

demo: $(DEMO)  ## Set up Keras alone, and build the stacked LSTM
	$(BIN)/rnnspec build specs/stacked_lstm.yaml --backend keras
	@echo
	@echo "next: source $(BIN)/activate"
	@echo "      rnnspec codegen specs/stacked_lstm.yaml --backend keras"

install: $(INSTALLED)  ## Set up every backend, as the commands of the README need it
	@echo "next: source $(BIN)/activate"

test: $(READY)  ## Set up, and run the tests of the language, the backends and the commands
	$(PYTEST) --ignore tests/extended

test-all: $(READY)  ## Run those of tests/extended too: tools, examples, engines, signals, large samples
	$(PYTEST)

quick: $(READY)  ## Run the tests that need no framework
	$(BIN)/python -m pytest -n 2 $(QUICK)

gcc-only: $(READY)  ## Run the tests that call several compilers where gcc is the only one, as on a fresh Debian
	.ci/gcc-only $(BIN)/python -m pytest -k "not gcc" tests/backends/test_c_hostile.py tests/backends/test_c_mathematics.py

lowest: $(TOOLS)/.ready  ## Run tests of what dependencies do, on their oldest versions
	rm -rf $(LOWEST)
	$(TOOLS)/bin/uv venv --quiet --python $(TOOLS)/bin/python $(LOWEST)
	$(TOOLS)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct '.[test]'
	$(TOOLS)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --no-deps --editable .
	$(LOWEST)/bin/python -m pytest -W ignore::DeprecationWarning:typer $(OLDEST)

lint: $(READY)  ## Check style, types, imports, and the files for GitHub
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/import.yml

format: $(READY)  ## Format, and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

site: playground  ## Build the documentation with the playground in it, as a release publishes it (with Node 20)
	$(MAKE) docs
	@echo "its playground needs a server: $(PYTHON) -m http.server --directory build/site"

# The documentation takes in the playground that it finds, which is not to be half of one.
docs: $(SITE_READY) $(if $(filter page-test,$(MAKECMDGOALS)),| playground)  ## Build the documentation into build/site; a broken link is an error
	$(BIN)/python -m docs.generate
	cd build && ../$(BIN)/python -m zensical build --strict --clean -f mkdocs.yml
	@echo "open build/site/index.html in a browser"

pictures: $(SITE_READY)  ## Draw the pictures of the README and the documentation again
	$(BIN)/python -m docs.generate.written

docs-test: docs $(NODE_MODULES)  ## Build the documentation, and look at it in Chromium
	node --test playground/test/site.test.mjs

wheel: dist  ## Install all wheels by name in an empty environment of each of PYTHONS, and use them
	.ci/use-wheel $(DIST) $(TOOLS)/bin/uv $(PYTHONS)

dist: $(TOOLS)/.ready  ## Build wheels and source distributions, and check what they contain
	rm -rf $(DIST) && mkdir -p build
	for project in . conformance random_specs; do \
		$(TOOLS)/bin/python -m build --outdir $(DIST) $$project >$(DIST).log 2>&1 || { cat $(DIST).log; exit 1; }; \
	done
	$(TOOLS)/bin/python -m twine check --strict $(DIST)/*
	$(TOOLS)/bin/python .ci/check-dist $(DIST)

release:  ## Make the tree that of the first release, of OWNER on GitHub, and build and check what PyPI gets
	$(PYTHON) .ci/release $(OWNER) $(DATE)

matrix: dist  ## Use the wheel with each extra, the oldest and newest dependencies, on PYTHONS
	.ci/matrix $(DIST)/rnnspec-*.whl $(TOOLS)/bin/uv $(PYTHONS)

$(NODE_MODULES): playground/package-lock.json
	@command -v npm >/dev/null || { echo "the playground needs Node 20 with npm" >&2; exit 1; }
	npm --prefix playground ci --no-audit --no-fund
	@touch $@

$(WHEELS): playground/requirements.txt | $(SITE_READY)
	rm -rf $@
	$(BIN)/python -m pip download --quiet --dest $@ --requirement $< --require-hashes --no-deps --only-binary=:all: \
		--python-version 3.14 --implementation cp --abi cp314 --abi none \
		--platform pyemscripten_2026_0_wasm32 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64

playground: $(SITE_READY) $(NODE_MODULES) $(WHEELS)  ## Build the playground, as a site and as one file, into build/ (with Node 20)
	rm -rf $(PARTS) $(SITE)
	mkdir -p $(PARTS)
	$(BIN)/python playground/tools/collect.py $(WHEELS) $(PARTS)
	$(BIN)/python -m docs.generate.playground >$(PARTS)/links.html
	node playground/tools/compile.mjs $(PARTS)
	node playground/tools/bundle.mjs $(PARTS) $(SITE) build/rnnspec-playground.html
	@echo "open build/rnnspec-playground.html in a browser"

playground-test: page-test  ## Build the playground, and test it in Node and in Chromium
	$(BIN)/python -m pytest tests/playground tests/extended/playground

page-test: playground $(READY)
	node --test playground/test/python.test.mjs playground/test/page.test.mjs

playground-serve: playground  ## Build the playground, and serve it on this machine
	node playground/tools/serve.mjs $(SITE)

# Beside the installation, which takes one core for minutes, run what needs no framework.
ci:  ## Run what continuous integration runs, some of it side by side
	$(MAKE) -j2 --output-sync=target $(PACKAGES) $(READY) lowest wheel PYTHONS=$(TOOLS)/bin/python
	$(MAKE) -j2 --output-sync=target docs-test lint page-test gcc-only
	$(MAKE) test-all

packages:
	.ci/tools

bench: $(READY)  ## Measure against hand-written code, for about a quarter of an hour
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks

device: $(READY)  ## Run C on a Cortex-M4F and an M7 in QEMU (with arm-none-eabi-gcc, newlib and qemu-system-arm)
	$(MAKE) -C examples/embedded RNNSPEC=$(CURDIR)/$(BIN)/rnnspec

fuzz: $(READY)  ## Try hostile inputs, RUNS specs of each kind (100,000) and MODELS files (20,000); a failing one is kept in tests/
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	cd tests && ../$(BIN)/python -m fuzz bytes --runs $(RUNS)
	cd tests && ../$(BIN)/python -m fuzz specs --runs $(RUNS)
	cd tests && ../$(BIN)/python -m fuzz growth
	cd tests && ../$(BIN)/python -m fuzz models --runs $(MODELS)
	cd tests && ../$(BIN)/python -m fuzz onnx --runs $(MODELS)

clean:  ## Remove everything that was made
	rm -rf $(VENV) build *.egg-info playground/node_modules
