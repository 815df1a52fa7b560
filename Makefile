# The verbs of this project.  Each does its own set-up in .venv; what a person runs here is what CI runs.
SHELL := /bin/sh
BIN := .venv/bin

# The question may hold quotes, dollars and backticks: it reaches the program through the environment, and make never expands it.
Q ?= Write a small Python function that returns the n-th Fibonacci number, with a docstring.
export QUESTION := $(value Q)
unexport Q
export ONLY ?=
JOBS ?= 2
MODE ?= plain
CASES ?= quixbugs
FIRST ?= 0
LAST ?= 40
MODEL ?= qwen2.5-coder-1.5b

.DEFAULT_GOAL := help
.PHONY: help ask test test-clients check soak train-tiny bench-trainers bench-ask vsix bench-fix bench-plot bench-lsp docs bench-engine bench-engine-full clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

ask: ## Ask a model on this machine for a small Python function; Q="…" asks something else.
	@scripts/bootstrap ask
	@$(BIN)/assistant ask -y -- "$$QUESTION" </dev/null

test: ## Run the tests, two files at a time; JOBS=4 runs more at a time, JOBS=0 one after the other.
	@scripts/bootstrap test
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-clients: ## Run the editor clients in the real editors, headless; installs the editors outside the clone.
	@scripts/bootstrap test
	@scripts/editors/install
	@$(BIN)/python -m pytest -m clients tests/editor_clients

check: ## Check format, lint, types and layers; of the client for VS Code where there is a Node.
	@scripts/bootstrap test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@scripts/editors/vscode-client check

soak: ## Run the tests with the full counts of the promises, for hours, and resume; ONLY="…" picks some, as pytest's -k does.
	@scripts/bootstrap test
	@STARCHAT_SCALE=1 $(BIN)/python -m pytest -p tests.resuming -m "not clients" --timeout 14400 -k "$$ONLY"

train-tiny: ## Train a tiny StarChat on two CPU ranks, in minutes; writes runs/tiny.
	@scripts/bootstrap train
	@$(BIN)/python -m training tiny

bench-trainers: ## Measure our training loop against the Trainer of transformers and trl, on two CPU ranks.
	@scripts/bootstrap test
	@$(BIN)/python -m pip install -q --disable-pip-version-check trl==1.16.0
	@$(BIN)/python -m benchmarks.trainers

bench-ask: ## Measure how quick an answer is; prints each figure beside its goal.
	@scripts/bootstrap test
	@$(BIN)/python -m benchmarks.ask

bench-engine: ## Measure the engines against each other and against their goals, in half an hour; writes bench/engine.*.
	@scripts/bootstrap test
	@$(BIN)/python -m pip install -q --disable-pip-version-check ctranslate2==4.8.5 gguf==0.19.0 onnxruntime-genai==0.18.0 onnx==1.23.2 onnx-ir==1.1.0
	@$(BIN)/python -m benchmarks.engine

bench-engine-full: ## The same with all bugs and prompts, for hours; goes on where it was ended.
	@scripts/bootstrap test
	@$(BIN)/python -m pip install -q --disable-pip-version-check ctranslate2==4.8.5 gguf==0.19.0 onnxruntime-genai==0.18.0 onnx==1.23.2 onnx-ir==1.1.0
	@$(BIN)/python -m benchmarks.engine --full

bench-fix: ## Measure how many bugs are fixed; MODE=plain or doctest, CASES=quixbugs or humanevalpack, FIRST=, LAST=; resumes.
	@scripts/bootstrap test
	@$(BIN)/python -m benchmarks.fix --mode $(MODE) --cases $(CASES) --first $(FIRST) --last $(LAST)

bench-plot: ## Measure how many of three figures come out as asked, first and after repairs; MODEL=a catalogue name.
	@scripts/bootstrap test
	@$(BIN)/python -m benchmarks.plot --model $(MODEL)

vsix: ## Package the client for VS Code, with the server inside; prints its size.
	@scripts/bootstrap test
	@scripts/editors/vscode-client package

docs: ## Write the pages that are made from the code: docs/errors.md and docs/training-plans.md.
	@scripts/bootstrap test
	$(BIN)/python scripts/errors_page.py >docs/errors.md
	PYTHONPATH=. $(BIN)/python docs/training_plans.py >docs/training-plans.md

bench-lsp: ## Measure how quick the language server is; prints each figure beside its goal.
	@scripts/bootstrap test
	@$(BIN)/python -m benchmarks.lsp

clean: ## Remove .venv and everything that was built; models and settings stay.
	rm -rf .venv build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache .soak
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
