# Everything here makes its own virtual environment first; only Python >= 3.11 and make are needed.

PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

# A file of versions to keep to: make test VENV=.venv-oldest CONSTRAINTS=.ci/oldest.txt
CONSTRAINTS ?=
INSTALL = $(RUN) -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
# TensorFlow, 1.9 GB that neural-tangents requires and no test imports, is left out.
INSTALL_INFINITE = $(INSTALL) --no-deps neural-tangents==0.6.5 frozendict
PYTEST = $(RUN) -m pytest --numprocesses=auto

.PHONY: help run figures docs notebooks test thorough coverage test-label-studio quick fuzz kill mutate check wheel release-check clean bench bench-peers \
	bench-look-ahead bench-query bench-landmarks bench-pools bench-labels bench-scaling bench-sketches bench-evaluation-points bench-memory bench-approximations bench-calibration bench-accelerator

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

run: $(VENV)/experiments-installed  ## MLMOC beside random and margin on real 8x8 digits, three minutes, no data to download
	$(RUN) -m experiments.sweep --flagfile=quick_look.flags
	$(RUN) -m experiments.figures curves --workdir=runs/quick_look

test: $(VENV)/test-installed  ## the test suite on all cores
	$(PYTEST) --dist=worksteal $(ARGS)

# Measuring it makes the suite 1.4 times as long.
coverage: $(VENV)/test-installed  ## all that make thorough tests, and which lines of ntk_al it runs: 97 % at least
	$(PYTEST) --dist=worksteal -m '' --cov=ntk_al --cov-report=term:skip-covered --cov-fail-under=97 $(ARGS)

quick: $(VENV)/test-installed  ## the part of the suite that takes a minute
	$(PYTEST) --dist=worksteal -m 'quick and not thorough' $(ARGS)

thorough: $(VENV)/test-installed  ## the suite and what it leaves out: more cases, and quick runs of all benchmarks
	$(PYTEST) --dist=worksteal -m '' $(ARGS)

fuzz: $(VENV)/test-installed  ## thousands of random cases, minutes; FUZZ_SEED=1 draws others
	FUZZ_CASES=$(or $(FUZZ_CASES),full) $(PYTEST) tests/fuzz $(ARGS)

figures: $(VENV)/experiments-installed  ## every published figure, redrawn from experiments/results into docs/figures
	$(RUN) -m experiments.figures.published $(ARGS)

kill: $(VENV)/test-installed  ## runs and campaigns that are killed at random moments and go on, and damaged checkpoints
	FUZZ_CASES=$(or $(FUZZ_CASES),full) $(PYTEST) tests/fuzz/test_resume.py tests/fuzz/test_campaign.py $(ARGS)

notebooks: $(VENV)/docs-installed  ## docs/notebooks/*.ipynb of the scripts beside them
	$(VENV)/bin/jupytext --quiet --to ipynb docs/notebooks/*.py

docs: $(VENV)/docs-installed  ## the site of docs/ in .site, its links checked; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --config-file .mkdocs.yml

# Its SDK does not agree with the newest NumPy, so that the server has an environment of its own.
LABEL_STUDIO_VENV ?= .venv-label-studio
test-label-studio: $(LABEL_STUDIO_VENV)/installed  ## the exchange with a Label Studio server on this machine, 1.5 GB, minutes
	NTK_AL_LABEL_STUDIO=$(LABEL_STUDIO_VENV)/bin/label-studio $(LABEL_STUDIO_VENV)/bin/python -m pytest tests/labeling/label_studio $(ARGS)

mutate: $(VENV)/dev-installed  ## small changes of the code that tests should notice, hours; MUTANTS=5 samples fewer
	$(RUN) -m tests.mutation

check: $(VENV)/dev-installed  ## lint, formatting and types
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

bench-landmarks: $(VENV)/installed  ## look-ahead from landmarks beside the whole kernel, on MNIST
	$(RUN) -m experiments.benchmarks.landmarks $(ARGS)

bench-pools: $(VENV)/installed  ## look-ahead over pools of a thousand to a hundred thousand, ten minutes
	$(RUN) -m experiments.benchmarks.pools $(ARGS)

bench-labels: $(VENV)/installed  ## conjugate gradients beside the Cholesky factor by the number of labels, on MNIST, hours
	$(RUN) -m experiments.benchmarks.labels $(ARGS)

bench-scaling: $(VENV)/installed  ## what each of 1 to 8 devices does, as candidates grow with them
	$(RUN) -m experiments.benchmarks.scaling $(ARGS)

bench-sketches: $(VENV)/installed  ## sketches of gradients at equal length, on MNIST
	$(RUN) -m experiments.benchmarks.sketches $(ARGS)

bench-evaluation-points: $(VENV)/installed  ## samples of evaluation points at equal size, on MNIST
	$(RUN) -m experiments.benchmarks.evaluation_points $(ARGS)

bench-memory: $(VENV)/installed  ## the memory that is planned beside what is taken, on random cases
	$(RUN) -m experiments.benchmarks.memory $(ARGS)

bench-approximations: $(VENV)/installed  ## each look-ahead beside retraining to convergence, on digits
	$(RUN) -m experiments.benchmarks.approximations $(ARGS)

bench-calibration: $(VENV)/experiments-installed  ## class probabilities made of a network's outputs, by how honest they are
	$(RUN) -m experiments.benchmarks.calibration $(ARGS)

bench-accelerator: $(VENV)/installed  ## the CIFAR100 protocol at full size, for a GPU
	$(RUN) -m experiments.benchmarks.accelerator $(ARGS)

wheel: $(VENV)/dev-installed  ## build a source distribution and a wheel into dist/
	rm -rf dist
	$(RUN) -m build --outdir dist

release-check: wheel  ## install the wheel into empty environments and use it there
	PYTHON=$(PYTHON) .ci/check-wheel dist/*.whl

clean:  ## remove the virtual environment, builds and caches; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .coverage* *.egg-info

# Each stamp says which extra was installed; a target asks for the smallest that it needs.

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip

$(VENV)/%-installed: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(INSTALL) --editable '.[$*]'
	$(if $(filter test dev,$*),$(INSTALL_INFINITE))
	touch $@

$(LABEL_STUDIO_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(LABEL_STUDIO_VENV)
	$(LABEL_STUDIO_VENV)/bin/python -m pip install --quiet 'label-studio>=1.23' pytest selenium --editable '.[labeling]'
	touch $@

$(VENV)/installed: $(VENV)/test-installed  # what benchmarks need
	touch $@
