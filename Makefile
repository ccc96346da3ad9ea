# `make demo` and `make test` need Python 3.11 or later and make; they set up the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
EXTRAS := dev
CONFIG := configs/demo.yaml

# OpenMP spins while it waits unless told otherwise, which is slow where cores are shared.
export OMP_WAIT_POLICY ?= PASSIVE

# Two files of tests at a time, in their order; `make test PYTEST_WORKERS=0` runs one after the other.
PYTEST_WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

# `make gpu PYTHON_GPU=python3` runs with what that Python has and installs nothing.
PYTHON_GPU ?= $(BIN)/python
GPU_OPTIONS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo deploy docs reference test test-all nightly faults containers real paper check bench gpu teacher \
  clean

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP)  ## a virtual environment in .venv with the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or later is needed, found {v[0]}.{v[1]}; name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)  ## the whole pipeline on synthetic speech, in a few minutes
	$(BIN)/distillery run configs/demo.yaml

deploy: $(STAMP)  ## register CONFIG with the Prefect server that PREFECT_API_URL names
	$(BIN)/distillery deploy $(CONFIG)

test: $(STAMP)  ## the tests that a change needs, in a few minutes
	$(PYTEST) -m 'not slow and not nightly and not real and not faults and not containers'

test-all: $(STAMP)  ## every test but those of `make nightly` and `make faults`
	$(PYTEST) -m 'not nightly and not real and not faults and not containers' --durations 15

nightly: $(STAMP)  ## the tests that take many minutes: the demo, deployed on its schedule
	$(BIN)/python -m pytest -m nightly

containers: $(STAMP)  ## the composition in containers, killed, upgraded and restored
	PYTHON=$(BIN)/python .ci/containers

# Experiments go to whichever process is free, the page is written from their results, and the exit status is theirs.
faults: $(STAMP)  ## kill, starve and confuse runs for most of an hour, and write docs/reliability.md
	rm -rf build/faults
	DISTILLERY_FAULTS=build/faults $(BIN)/python -m pytest --numprocesses $(PYTEST_WORKERS) --dist worksteal \
	  -m faults --timeout 1800 --session-timeout 3500 tests/faults; \
	  status=$$?; $(BIN)/python -m tests.faults.report build/faults docs/reliability.md && exit $$status

# SPEECH is a folder as CONTRIBUTING.md describes it; FULL=1 uses all of it, which takes hours.
real: $(STAMP)  ## real speech and real Whisper weights: make real SPEECH=DIR
	@test -n '$(SPEECH)' || { echo 'name the folder of real speech: make real SPEECH=DIR'; exit 2; }
	DISTILLERY_SPEECH='$(abspath $(SPEECH))' DISTILLERY_SPEECH_FULL='$(FULL)' \
	  $(BIN)/python -m pytest -m real --timeout 14400 --durations 12 tests/real

check: $(STAMP)  ## lint, format and types
	$(BIN)/hadolint Dockerfile
	$(BIN)/compose-lint check --fail-on low --quiet docker-compose.yml
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)  ## the site in build/docs, from the pages in docs
	$(BIN)/python -m sphinx --fail-on-warning --quiet --builder html docs build/docs

reference: $(STAMP)  ## docs/reference, from the code
	$(BIN)/python -m docs.generator

bench: $(STAMP)  ## speed against other engines and the floor; also of TEACHER=DIR on AUDIO=TABLE
	$(BIN)/python -m benchmarks.normalise
	$(BIN)/python -m benchmarks.sphere
	$(BIN)/python -m benchmarks.label
ifdef TEACHER
	$(BIN)/python -m benchmarks.label --teacher '$(TEACHER)' --audio '$(AUDIO)' --windows 48 --rounds 3
endif
	$(BIN)/python -m benchmarks.label --memory stub
	$(BIN)/python -m benchmarks.filter
	$(BIN)/python -m benchmarks.browse
	$(BIN)/python -m benchmarks.distil
	$(BIN)/python -m benchmarks.loader
	$(BIN)/python -m benchmarks.orchestration

# Links SPEECH as speech/, fetches weights into models/, and goes on where it was.
paper: $(STAMP) models/base models/tiny.en  ## the paper in small: make paper SPEECH=DIR, which takes hours
	$(BIN)/python -m benchmarks.paper

models/%: | speech $(STAMP)
	$(BIN)/python speech/teacher $* $@

speech:
	@test -n '$(SPEECH)' || { echo 'name the folder of real speech: make paper SPEECH=DIR'; exit 2; }
	ln -s '$(abspath $(SPEECH))' $@

gpu: $(if $(filter $(BIN)/%,$(PYTHON_GPU)),$(STAMP))  ## check a GPU's results against the CPU's and transformers', and its speed
	$(PYTHON_GPU) -m benchmarks.gpu $(GPU_OPTIONS)

teacher: $(STAMP)  ## train the demo's teacher anew
	$(BIN)/python -m tasks.demo.teaching

clean:  ## remove what runs left here, not the environment
	rm -rf demo-data tiny-data .prefect .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
