# echosynth. `make demo` from a fresh clone sets everything up and ends with a page to look at.
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu     no GPU: saves some gigabytes
#   make setup PYTHON=python3.12                                    another interpreter (3.11 or newer)
#   make test WORKERS=8                                             as many processes at once; each takes about 1 GB

PYTHON      ?= python3
TORCH_INDEX ?=
VENV        := .venv
BIN         := $(VENV)/bin
WORKERS     ?= 2
STAMP       := $(VENV)/.echosynth-installed

.PHONY: help setup demo test test-fast test-all lint bench clean

help:
	@echo "make setup | demo | test-fast | test | test-all | lint | bench | clean"

setup: $(STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "echosynth needs Python 3.11 or newer, and '$(PYTHON)' is not: make setup PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch first, so that its build (CPU or CUDA) is chosen here and not by a dependency of a dependency
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q torch -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install -q -e '.[dev]' -c constraints.txt
	@touch $@

demo: setup
	$(BIN)/echosynth demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Each process runs the tests on one thread (tests/conftest.py).
PYTEST      := $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

# The loop of editing: laws, closed forms and units, under a minute.
test-fast: setup
	$(PYTEST) -m "not heavy and not slow and not gpu"

test: lint
	$(PYTEST)

# A later -m overrides the one in pyproject.toml. GPU tests skip themselves where there is no device; no two at once.
test-all: lint
	$(PYTEST) -m "not gpu"
	$(BIN)/python -m pytest -q -m gpu

bench: setup
	$(BIN)/echosynth bench

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find echosynth tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
