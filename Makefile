# SPDX-License-Identifier: Apache-2.0

BIN := .venv/bin
SHELL_SCRIPTS := bootstrap.sh .ci/run
# What the distribution's Python runs as root. Ruff knows the syntax of its oldest
# version (see pyproject.toml), vermin also the standard library.
AGENT := skbnb/agent skbnb/config.py skbnb/errors.py skbnb/wire.py

# Jupyter refuses to run as root unasked, and complains where there is no browser.
LAB_OPTIONS := $(if $(filter 0,$(shell id -u)),--allow-root) \
	$(if $(BROWSER)$(DISPLAY)$(WAYLAND_DISPLAY),,--no-browser)

.PHONY: help setup setup-test demo lab docs lint test test-kernels recordings test-browser soak bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing, from the distribution and in .venv
	@./bootstrap.sh

setup-test:
	@./bootstrap.sh --for test

demo: setup ## trace a first notebook; leaves a page to look at in build/
	@$(BIN)/python notebooks/run.py notebooks/01-first-trace.ipynb --out build

lab: setup ## open the notebooks in JupyterLab, on this machine only
	@$(BIN)/jupyter-lab --ip=127.0.0.1 $(LAB_OPTIONS) notebooks

docs: setup-test ## build the documentation in build/docs
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning \
		--doctree-dir build/doctrees docs build/docs

lint: setup-test ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/vermin --quiet --target=3.8- --violations --no-tips $(AGENT)
	shellcheck $(SHELL_SCRIPTS)

test: lint ## lint, then run every test; the live ones need root, and boot two kernels
	$(BIN)/pytest

test-kernels: setup-test ## run the live tests under every kernel, and say so in README.md
	$(BIN)/pytest tests/guest --kernels=all --table=README.md

recordings: setup-test ## make the lessons' recordings anew, here and in two guests
	$(BIN)/python -m tests.lessons.record

test-browser: setup-test ## use the panel in JupyterLab as a person does; needs Chromium
	$(BIN)/pytest tests/browser

soak: setup-test ## read a million garbled inputs, and trace for an hour
	$(BIN)/pytest -m soak -rP --faults=docs/faults.md tests/fuzz tests/live

bench: setup-test ## measure the cost of tracing
	$(BIN)/python -m tests.bench

lock: ## choose newer dependencies, and write them to requirements.lock
	python3 -m venv build/uv
	build/uv/bin/pip install --quiet uv
	build/uv/bin/uv pip compile --quiet --universal --upgrade --generate-hashes \
		--python-version 3.11 --group dev --custom-compile-command "make lock" \
		--output-file requirements.lock pyproject.toml

clean: ## remove all that was built, .venv included
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
