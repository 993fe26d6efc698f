# Every target sets up what it needs itself: a virtual environment of the project's own, filled from PyPI.
PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
# Files of tests, two at a time.
TWO := --numprocesses 2 --dist loadfile
# What of the slow ones starts servers, kills processes or measures time has the machine for itself.
ALONE := $(addprefix tests/,benchmarks deploy records service cli/test_serve.py cli/test_serve_network.py)

BIN := $(VENV)/bin
# Written last, so that a setup that was cut off is done again; older than pyproject.toml, it is brought up to date.
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-container check format clean

help:
	@echo "make demo            the whole way on generated data, from images to a verdict and a report (under 5 minutes)"
	@echo "make test            the tests, without those that take long (under 10 minutes)"
	@echo "make test-slow       those that train or wait for seconds (about 12 minutes)"
	@echo "make test-container  builds and runs the serving image; needs root, buildah and debootstrap"
	@echo "make check           format, lint, strict types, import directions (under 1 minute)"
	@echo "make format          brings the code into the form that check asks for"
	@echo "make venv            only the virtual environment, in $(VENV)"
	@echo "make clean           removes the virtual environment, caches and the demo's output"
	@echo "PYTHON=python3.12 make test   with another Python (3.11 or newer)"

venv: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "onspec needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "setting up $(VENV) from pyproject.toml; the first time this takes some minutes"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/onspec demo --out demo

# Training in a process of its own: in one with every inference engine loaded before it, torch crashed.
test: $(READY)
	$(BIN)/python -m pytest -m "not slow and not container" $(TWO) --ignore tests/training $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "not slow" $(TWO) tests/training $(PYTEST_ARGS)

test-slow: $(READY)
	$(BIN)/python -m pytest -m "slow and not container" $(ALONE) $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m slow $(TWO) $(foreach path,$(ALONE) tests/training,--ignore $(path)) $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m slow $(TWO) tests/training $(PYTEST_ARGS)

test-container: $(READY)
	$(BIN)/python -m pytest -m container --timeout 1500 $(PYTEST_ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist demo
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
