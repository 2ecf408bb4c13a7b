# make demo      run the main job against an embedded S3 server and show the crops (PHOTOS=folder for your own)
# make test      the tests except the long ones below, in WORKERS=2 processes
# make check     style, types, spelling, structure, README
# make docs      build the documentation site into site/
# make bench     compare this tree with an earlier commit (BASE=...) and with other tools;  make bench-all: all benchmarks
# make test-slow | test-chaos | test-gpu: the long tests
# make nightly   a part of the long tests within 80 minutes; its results go into docs/RELIABILITY.md
# make mutants   plant small bugs and see whether the tests notice (MINUTES=20 JOBS=1 SEED=1 ROOMS=ledger,photo)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PHOTOS ?=
MINUTES ?= 20
SEED ?= 1
ROOMS ?=
JOBS ?= 1
WORKERS ?= 2
PARTS ?=

.PHONY: setup demo demo-picture test test-slow test-chaos test-gpu nightly mutants check bench bench-all gpu-proof docs clean

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/python jobs/demo.py $(if $(PHOTOS),--photos "$(PHOTOS)")

# Draws docs/demo.jpg from the demo's page; needs Chromium.
demo-picture: demo
	$(BIN)/python -m tests.support.demo_picture demo-output/index.html docs/demo.jpg

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-chaos: setup
	$(BIN)/python -m pytest -m chaos

test-gpu: setup
	$(BIN)/python -m pytest -m gpu

nightly: setup
	$(BIN)/python -m tests.nightly $(PARTS)

mutants: setup
	$(BIN)/python -m tests.mutation --minutes $(MINUTES) --jobs $(JOBS) --seed $(SEED) --write $(if $(ROOMS),--rooms $(ROOMS))

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/clang-format --dry-run --Werror cuda_ops/csrc/*
	$(BIN)/shellcheck .ci/run $(wildcard tests/*/*.sh)
	$(BIN)/python -m pytest -q tests/project

bench: setup
	@mkdir -p bench-output
	$(BIN)/python -m tests.bench.bench_base $(if $(BASE),--base $(BASE)) --json bench-output/base.json

bench-all: setup
	$(BIN)/python -m tests.bench

# The Python that has torch with CUDA there; WHEELS=folder brings what it lacks. No network.
gpu-proof:
	$(PYTHON) -m tests.gpu_proof $(if $(WHEELS),--wheels "$(WHEELS)")

docs: setup
	@NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --quiet
	@echo "open site/index.html"

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache demo-output bench-output mutants-output site
