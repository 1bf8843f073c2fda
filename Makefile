# Every target does its own set-up, in .venv, with nothing but Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
SEED ?=
PAIR ?=

.DEFAULT_GOAL := help
.PHONY: help demo demo-check test lint chaos soak format setup setup-dev lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "make %-12s %s\n", $$1, $$2}'

demo: .venv/run ## try everything without a token (Ctrl-C ends it)
	@$(BIN)/chatbridge demo $(ARGS)

demo-check: .venv/run ## the same headless: expected against seen, JSON as the last line
	@$(BIN)/chatbridge demo --check $(ARGS)

test: .venv/dev ## all tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: .venv/dev ## style, types, and the way imports go
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

chaos: .venv/dev ## kill, cut and delay everything at random, then count: make chaos SEED=7 PAIR=sqlite-valkey
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(PAIR),--pair $(PAIR)) $(ARGS)

soak: .venv/dev ## ten minutes of steady load: memory, queue and rows must stay flat
	@$(BIN)/python -m tests.chaos.soak $(ARGS)

format: .venv/dev ## put the code into form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

setup: .venv/run ## what the program needs to run

setup-dev: .venv/dev ## what its tests need as well

# The lock names versions and hashes only; where packages come from is pip's own setting.
lock: .venv/python ## bring lock/ up to date with pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	@for set in "run --extra build" "dev --extra build --extra dev"; do set -- $$set; name=$$1; shift; \
	$(BIN)/uv pip compile pyproject.toml "$$@" --universal --python-version 3.11 --upgrade \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --quiet --output-file lock/$$name.txt; done

clean: ## take the set-up away
	rm -rf .venv build *.egg-info

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Chatbridge needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
	@echo "setting up .venv (once) ..."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/python lock/run.txt pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r lock/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/python lock/dev.txt pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r lock/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ .venv/run
