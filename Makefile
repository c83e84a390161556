PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test test-real check docs

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY)  ## set everything up and run the main job: a teacher, a student without it, a student with it
	$(BIN)/python -m kdlab.train

test: $(READY)  ## the test suite, a process per core with a thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not real_data" --numprocesses auto --dist loadfile --no-loadscope-reorder --durations=20

test-real: $(READY)  ## the long checks, on real CIFAR-10 and published weights where they are at hand
	$(BIN)/python -m pytest -m real_data

check: $(READY)  ## ruff, mypy and the layers that imports respect
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## the site of docs/, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --config-file .mkdocs.yml
	@echo build/site/index.html

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # on all cores, where pip uses one; old files may fail
	touch $@
