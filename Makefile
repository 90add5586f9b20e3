# segdepth: `make` prints what there is to do. Every target sets up what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SEGDEPTH := $(BIN)/python -m experiments

NAME ?=
PROFILE ?= quick
DEVICES ?= auto
ARGS ?=
CONFIGS = --config $(NAME) $(if $(DATA_ROOT),,--config data/rooms) --config profile/$(PROFILE)

export DATA_ROOT
# the first import compiles, every later start is three times as fast
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show this help
	@echo "segdepth: how much does segmentation help monocular depth, and by which mechanism?"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r target text; do printf '  make %-11s %s\n' "$$target" "$$text"; done
	@echo
	@echo "  make exp NAME=shed_hybrid                            train and test on Rooms, the built-in set, in minutes"
	@echo "  make exp NAME=shed_hybrid DATA_ROOT=/data            the same on NYUv2 (DATA_ROOT holds nyuv2/)"
	@echo "  make exp NAME=shed_hybrid DATA_ROOT=/data PROFILE=paper DEVICES=1    as published"
	@echo "  make exp NAME=shed_hybrid ARGS='--trainer.max_epochs 3'              any option overridden"
	@echo
	@echo "  experiments:"
	@echo "$(sort $(basename $(notdir $(wildcard experiments/*.yaml))))" | fold -s -w 110 | sed 's/^/    /'

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "segdepth needs Python 3.11 or newer: make ... PYTHON=python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "python cannot make virtual environments (Debian: apt-get install python3-venv)" >&2; exit 2; }
	@echo "setting up $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(READY) ## Make .venv from requirements.lock

.PHONY: exp
exp: $(READY) ## Train and test an experiment: NAME=... [DATA_ROOT=...] [PROFILE=quick|lite|paper] [DEVICES=n] [ARGS="..."]
	@test -n "$(NAME)" || { echo "name an experiment: make exp NAME=shed_hybrid" >&2; exit 2; }
	@$(SEGDEPTH) exp $(CONFIGS) --trainer.devices $(DEVICES) $(ARGS)

SWEEP ?= shed_segments_quick
.PHONY: sweep
sweep: $(READY) ## Run every point of a sweep file, those not run yet: SWEEP=shed_segments_quick [PROFILE=...] [ARGS="--jobs 2"]
	@$(SEGDEPTH) sweep $(SWEEP) $(ARGS) -- $(if $(DATA_ROOT),,--config data/rooms) --config profile/$(PROFILE)

PAPER ?=
.PHONY: ablation
ablation: $(READY) ## Run every row of a paper's tables, those not run yet, and print them: PAPER=semantic_md [PROFILE=...] [ARGS="--jobs 2"]
	@test -n "$(PAPER)" || { echo "name a paper: make ablation PAPER=semantic_md" >&2; exit 2; }
	@$(SEGDEPTH) ablation $(PAPER) $(ARGS) -- $(if $(DATA_ROOT),,--config data/rooms) --config profile/$(PROFILE)

CLAIMS ?= shed
claims: PROFILE = claims
.PHONY: claims
claims: $(READY) ## Train a comparison's arms alike and judge the paper's claims: CLAIMS=shed [PROFILE=...] [ARGS="--jobs 2"]
	@$(SEGDEPTH) claims $(CLAIMS) $(ARGS) -- $(if $(DATA_ROOT),,--config data/rooms) --config profile/$(PROFILE)

.PHONY: doctor
doctor: $(READY) ## Say what is wrong with this machine, and what to do about it
	@$(SEGDEPTH) doctor $(ARGS)

.PHONY: compare
compare: $(READY) ## Put runs side by side: a table, and the page runs/compare.html
	@$(SEGDEPTH) compare $(ARGS)

# a file's tests stay in one process, for what they share; each process imports torch, so a few are enough
PARALLEL = --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: test
test: $(READY) ## Run the fast tests
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: test-slow
test-slow: $(READY) ## Run the slow and the two-process tests
	@$(BIN)/python -m pytest $(PARALLEL) -m 'slow or ddp' --ignore tests/callbacks $(ARGS)
	@$(BIN)/python -m pytest -m 'slow or ddp' tests/callbacks # read W&B's files back, which earlier runs of a process disturb

.PHONY: lint
lint: $(READY) ## Check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

.PHONY: bench
bench: $(READY) ## Measure cost and speed against peers, as ratios
	@$(BIN)/python -m benchmarks.cost shed $(ARGS)
	@$(BIN)/python -m benchmarks.cost mti_net $(ARGS)
	@$(BIN)/python -m benchmarks.loader_throughput $(ARGS)
	@$(BIN)/python -m benchmarks.metric_speed $(ARGS)
	@$(BIN)/python -m benchmarks.trainer_overhead $(ARGS)
	@$(BIN)/python -m benchmarks.region_support_speed $(ARGS)
	@$(BIN)/python -m benchmarks.cost region_support --quick

.PHONY: gpu-check
gpu-check: ## On a machine with a GPU: check and time training in four minutes [ARGS="--against OTHER_CHECKOUT --long"]
	@$(or $(wildcard $(BIN)/python),$(PYTHON)) -m benchmarks.gpu_check $(ARGS)

.PHONY: lock
lock: $(READY) ## Renew requirements.lock from pyproject.toml (keeps pins that still fit)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-annotate --no-header \
		pyproject.toml --output-file requirements.lock

.PHONY: clean
clean: ## Remove .venv and caches; runs and data stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
