# `make check test` is what continuous integration runs (see .ci/run). PYTHON picks another interpreter.

PYTHON ?= python

.PHONY: help style check test test-slow smoke bench demo fuzz docs

help:
	@echo "make style      format the code and repair what ruff can repair"
	@echo "make check      lint, formatting and types; changes nothing"
	@echo "make test       the fast tests (offline, no GPU)"
	@echo "make test-slow  the slow tests alone"
	@echo "make fuzz       a million spoilt files and all bombs (about an hour; INPUTS=... for fewer)"
	@echo "make smoke      pre-train, fine-tune, resume, evaluate and adapt a tiny model"
	@echo "make docs       the documentation as a site, in site/"
	@echo "make bench      every benchmark, one after the other"
	@echo "make demo       train, evaluate, save and use a small model on synthetic signs"

style:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest

test-slow:
	$(PYTHON) -m pytest -n 0 -m "slow and not gpu" --timeout 1800

fuzz:
	OMP_NUM_THREADS=1 $(PYTHON) -m tests.fuzz.run --inputs $(or $(INPUTS),1000000)

smoke:
	$(PYTHON) examples/smoke.py

docs:
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --quiet

bench:
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(PYTHON) "$$script"; done

demo:
	$(PYTHON) -m modeling_sigma.cli.main demo
