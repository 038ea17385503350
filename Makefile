# The way in. `make` lists the targets. PYTHON chooses the interpreter (3.11 to 3.13), e.g. make PYTHON=python3.12 run

PYTHON ?= python3
BIN := .venv/bin
LOCKED := $(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes

.DEFAULT_GOAL := help
.PHONY: help install run test check bench prove lock charts

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

install: .venv/.runtime static/vendor/.copied ## Install what the program needs into .venv and static/vendor
	@:

run: install ## Start the program: the page is on http://127.0.0.1:8000 unless .env says otherwise
	@$(BIN)/gunicorn wsgi:app

test: .venv/.dev static/vendor/.copied ## Run all tests, and a share of the slow proofs
	@bash .ci/system
	@$(BIN)/python -m pytest -q --proofs=30

check: .venv/.dev ## Check format, lint, types and the rules of the house
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_tidy.py

bench: .venv/.dev ## Measure the parts that must be quick
	@$(BIN)/python -m bench

prove: .venv/.dev static/vendor/.copied ## Run every slow proof
	@bash .ci/system
	@$(BIN)/python -m pytest -q -m prove

lock: .venv/.dev ## Renew the lock files after a change of requirements*.in
	@for name in requirements requirements-dev requirements-uv; do \
	  $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	    --custom-compile-command "make lock" $$name.in -o $$name.txt || exit 1; \
	done

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else \
	  f"Python 3.11 to 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}. Choose another: make PYTHON=python3.13 run")'
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv

# uv installs the locked packages in a fraction of pip's time (docs/decisions/0002-repository.md).
$(BIN)/uv: requirements-uv.txt | $(BIN)/python
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

.venv/.runtime: requirements.txt $(BIN)/uv
	@echo "Installing $<"
	@$(LOCKED) -r $<
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	@echo "Installing $<"
	@$(LOCKED) -r $<
	@touch $@

charts: static/vendor/.copied ## Install the page's chart library (part of install)

# The page works without Node; it only lacks the charts then.
static/vendor/.copied: frontend/package-lock.json
	@if ! command -v npm >/dev/null; then \
	  echo "Node is not installed: the page will have no charts."; \
	elif npm ci --prefix frontend --ignore-scripts --silent && mkdir -p static/vendor/uplot && \
	  cp frontend/node_modules/uplot/dist/uPlot.esm.js frontend/node_modules/uplot/dist/uPlot.min.css static/vendor/uplot/ && \
	  cp frontend/node_modules/uplot/LICENSE static/vendor/uplot/LICENSE; then \
	  touch $@; \
	else \
	  echo "The chart library could not be installed: the page will have no charts."; \
	fi
