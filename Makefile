# Each target calls a command or a tool; the logic lives in those.
# The first target that needs it makes .venv and installs the lab into it, once per change of
# pyproject.toml. Another interpreter: make PYTHON=/path/to/python3.12 lab

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help lab test test-all coverage bench mutation clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(READY) ## open JupyterLab at the first notebook
	$(BIN)/python -m kextlab lab

test: $(READY) ## style, types, layers, tests and notebooks (under 10 minutes on two cores)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n auto -m "not slow"

test-all: $(READY) ## the tests that are slow or start servers
	$(BIN)/pytest -m slow

coverage: $(READY) ## lines and branches of the kernel: all reached by unit and hand-written tests
	$(BIN)/pytest -q -n auto -m "not slow" -k "not generated-" tests/unit tests/conformance --ignore-glob="tests/unit/test_course_*" \
		--cov-branch --cov-report=term-missing --cov-fail-under=100 \
		$(addprefix --cov=kextlab/,abi sched trace bsd osfmk iokit kernel)

bench: $(READY) ## run every benchmark and rewrite benchmarks/README.md's table
	$(BIN)/python -m benchmarks --all --write

mutation: $(READY) ## mutate the kernel control, kernel event and socket buffer code (an hour)
	$(BIN)/pip install --quiet --editable ".[mutation]"
	$(BIN)/python tools/mutation.py

clean: ## remove .venv and everything tools left behind
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis mutants
	rm -rf build dist htmlcov .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; ok = sys.version_info >= (3, 11); ok or sys.exit("kextlab needs Python 3.11 or newer, but $(PYTHON) is %d.%d; name another: make PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[lab,test,bench]"
	@touch $@
