# Needs only make and Python 3.11 or newer. uv is used when it is on the PATH.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help serve sync test pages screenshots long check campaign bench mutation lock docs clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "LLMHive needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Installing into $(VENV) …"
ifeq ($(UV),)
	@$(PYTHON) -m venv $(VENV)
else
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
endif
	@touch $@

$(VENV)/.installed: $(VENV)/.python requirements.lock pyproject.toml
ifeq ($(UV),)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
else
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --editable .
endif
	@touch $@

$(VENV)/.developing: $(VENV)/.installed requirements-dev.lock
ifeq ($(UV),)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
else
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r requirements-dev.lock
endif
	@touch $@

$(VENV)/.heavy: $(VENV)/.developing requirements-heavy.lock
ifeq ($(UV),)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-heavy.lock
else
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r requirements-heavy.lock
endif
	@touch $@

# Chromium, and axe-core by npm: a root gets Debian's packages, others are told what is missing
$(VENV)/.browser: $(VENV)/.developing tests/pages/package-lock.json
	@missing=; \
	$(BIN)/python -m tests.pages.chromium >/dev/null || missing="chromium fonts-dejavu-core"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $$missing …"; \
		apt-get -qq update; \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $$missing >/dev/null; \
	elif [ -n "$$missing" ]; then \
		echo "The tests in a browser need $$missing: install them, or name a Chromium in LLMHIVE_CHROMIUM" >&2; exit 1; \
	fi
	@cd tests/pages && npm ci --silent --no-audit --no-fund
	@touch $@

serve: $(VENV)/.installed ## Install what is needed, sync, and serve the catalog on http://127.0.0.1:8080
	@exec $(BIN)/llmhive serve

sync: $(VENV)/.installed ## Install what is needed and sync the catalog
	@$(BIN)/llmhive sync

test: $(VENV)/.developing ## Lint, types, import contracts and the tests, on both databases
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n auto --dist worksteal -m "not long and not browser" --ignore tests/pages

pages: $(VENV)/.browser ## The tests of the pages, most in a real browser (Chromium; a root gets it installed)
	$(BIN)/pytest -n auto --dist worksteal -m "browser or not long" tests/pages

screenshots: $(VENV)/.browser ## Write the pictures of docs/images anew
	$(BIN)/python -m tests.pages.screenshots

long: $(VENV)/.heavy ## The tests that `make test` leaves out: the two years, twenty seconds of faults, Spark, peers
	$(BIN)/pytest -n auto --dist worksteal -m "long and not browser"

check: $(VENV)/.developing ## The quick part: lint, types, import contracts, tests without the two years
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n auto --dist worksteal -m "not history and not long and not browser" --ignore tests/pages

campaign: $(VENV)/.developing ## Three minutes of faults over several replicas and one PostgreSQL
	$(BIN)/python -m tests.chaos.campaign

bench: $(VENV)/.heavy $(VENV)/.browser ## Measure the ratios of docs/performance.md
	$(BIN)/python -m tests.benchmarks

mutation: $(VENV)/.developing ## Mutation testing of catalog/ (long)
	$(BIN)/mutmut run

docs: $(VENV)/.developing ## Write the generated tables of the docs anew
	$(BIN)/python -m tests.docs.generate

lock: ## Pin all packages anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 pyproject.toml --group dev -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 pyproject.toml --group dev --group heavy -c requirements-dev.lock -o requirements-heavy.lock

clean: ## Remove what was installed and cached
	rm -rf $(VENV) tests/pages/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis mutants dist build
