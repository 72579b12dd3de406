# Everything here makes its own virtual environment first; only Python >= 3.11 and make are needed.

PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: help run test check clean bench bench-peers bench-look-ahead bench-query \
	bench-approximations bench-accelerator

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

run: $(VENV)/installed  ## MLMOC beside random on real 8x8 digits, a minute, no network
	$(RUN) -m experiments.main --flagfile=digits.flags

test: $(VENV)/installed  ## the whole test suite, on all cores
	$(RUN) -m pytest --numprocesses=auto --dist=loadfile

check: $(VENV)/installed  ## lint, formatting and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Benchmarks take further flags as ARGS="--quick", or ARGS="--data_dir=...".

bench: $(VENV)/installed  ## the kernel beside its floor and neural-tangents, 20 minutes
	$(RUN) -m experiments.benchmarks.gram $(ARGS)

bench-peers: $(VENV)/installed  ## the kernel beside other libraries, in environments made for them
	$(RUN) -m experiments.benchmarks.peers $(ARGS)

bench-look-ahead: $(VENV)/installed  ## look-ahead beside dense solves and retraining, on MNIST
	$(RUN) -m experiments.benchmarks.look_ahead --sample=24 $(ARGS)

bench-query: $(VENV)/installed  ## images to the queried 20: time and memory of every strategy, on MNIST
	$(RUN) -m experiments.benchmarks.query $(ARGS)

bench-approximations: $(VENV)/installed  ## each look-ahead beside retraining to convergence, on digits
	$(RUN) -m experiments.benchmarks.approximations $(ARGS)

bench-accelerator: $(VENV)/installed  ## the CIFAR100 protocol at full size, for a GPU
	$(RUN) -m experiments.benchmarks.accelerator $(ARGS)

clean:  ## remove the virtual environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable '.[test]'
	touch $@
