# `make demo` and `make test` each do all the set-up they need on a fresh machine; the other targets are for later.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# The first interpreter that really runs and that the project supports (a pyenv shim may exist and not run).
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# What Python has compiled is kept, also where the shell says otherwise: hundreds of processes of the tests read the same modules.
unexport PYTHONDONTWRITEBYTECODE
EXTRAS_TEST := embedded,export,intake,api,tracing,top,docs,test
# On Python 3.13 the wheel that holds tritonserver comes without its dependencies (see pyproject.toml): only its files are used.
TRITON_ALONE := $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 13))' && \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps nvidia-pytriton==0.7.0 || true

.PHONY: help demo test slow lint types loops quality eval-demo train-demo faults full-size bench images docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Respray needs Python 3.11 to 3.13 and found none. Debian, Ubuntu: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment. Debian, Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# Stamps: installing again only when the dependencies change.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,api]'
	@$(TRITON_ALONE)
	@touch $@

$(VENV)/.test: pyproject.toml scripts/setup_test_tools.sh tests/studio/node/package.json | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS_TEST)]'
	@$(TRITON_ALONE)
	scripts/setup_test_tools.sh
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## edit the demo photos through the real pipeline and print where to look
	$(BIN)/respray demo

lint: $(VENV)/.test  ## ruff (rules and format), the direction of imports, and the studio's page (tsc, eslint)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports
	npm run --silent --prefix tests/studio/node check

# The models of the repository are all modules named `model`: one call each.
types: $(VENV)/.test  ## mypy
	$(BIN)/mypy
	for model in model_repository/*/1/model.py; do $(BIN)/mypy "$$model"; done

# Loops over pixels, of edits and of the renderer of rooms, compiled into __pycache__ once: each part of the tests would compile them otherwise.
loops: $(VENV)/.test
	@$(BIN)/python -c "from respray.triton.models.applier import warm_up; warm_up()"
	@$(BIN)/python -c "from training import scenes; scenes.render(scenes.sample_room(1), 64, 48)"

# What is no test goes two at a time. A file's tests stay together, so that what it starts for them is started once; the longest are not last.
test: $(VENV)/.test  ## lint, types and all fast tests, against real servers
	@$(MAKE) --no-print-directory -j 2 types lint loops
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder  # two parts side by side, each with a server of its own

slow: $(VENV)/.test  ## the slow proofs that `make test` leaves out (some minutes)
	$(BIN)/python -m pytest -n 2 -m slow

quality: $(VENV)/.test  ## the edit quality suite: table, JSON and pictures in build/quality
	$(BIN)/python -m benchmarks.quality

eval-demo: $(VENV)/.test  ## IoU of the demo model on 200 rooms that training never saw
	$(BIN)/python -m training.eval_demo

train-demo: $(VENV)/.test  ## train the demo model (hours; resumes where it stopped)
	$(BIN)/python -m training.train_vision
	$(BIN)/python -m training.train_demo --vision .cache/demo-train/vision.pt

faults: $(VENV)/.test  ## the fault table: kill, restart and break everything under load
	$(BIN)/python -m tests.faults

full-size: $(VENV)/.test  ## export, serve and run the 848M architecture with random weights
	$(BIN)/python -m benchmarks.full_size

bench: $(VENV)/.test  ## the benchmarks: pipeline, overhead, sweep, perf_analyzer, and one HTML report in build/bench
	@mkdir -p build/bench
	$(BIN)/respray bench pipeline --json build/bench/pipeline.json
	$(BIN)/respray bench overhead --json build/bench/overhead.json
	$(BIN)/respray bench sweep --json build/bench/sweep.json
	benchmarks/perf_analyzer.sh build/bench/perf
	$(BIN)/respray bench report

images: $(VENV)/.test  ## build and run both images without a Docker engine (root, buildah, podman; half an hour)
	$(BIN)/python -m tools.images

docs: $(VENV)/.test  ## the documentation site, warnings as errors
	tools/docs/build.sh

clean:  ## remove what was built (not the virtual environment)
	rm -rf build out .pytest_cache .mypy_cache .ruff_cache
