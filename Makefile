PYTHON ?= python3
BIN := .venv/bin

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

.PHONY: env lock train test test-fast kills readme pages lint clean

# The environment, from the package index alone: about 3 minutes and 7 GB on a fresh Linux machine. Every byte is
# compared with requirements.txt. What builds a package from source comes first, from the same file; nothing else is
# fetched for a build.
env: .venv/installed

.venv/installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	sed -nE '/^(pip|setuptools)==/,/[^\\]$$/p' requirements.txt >.venv/builders.txt
	$(BIN)/python -m pip install --quiet --require-hashes --requirement .venv/builders.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	touch $@

# Resolve requirements.txt again after a change of pyproject.toml; what it has stays unless `LOCK=--upgrade` says otherwise.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv
	UV_CUSTOM_COMPILE_COMMAND="make lock" build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --extra dev --output-file requirements.txt $(LOCK) \
		pyproject.toml

# The main job, from nothing to a trained and measured model.
train: env
	$(BIN)/python train.py experiment=clip_final

test: env
	$(BIN)/python -m pytest -n 2 --dist worksteal -rs --durations=25

test-fast: env
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not e2e"

# Kill commands at each of their changes of files (a sweep at some), and fill disks; writes docs/results/kills.json.
kills: env
	$(BIN)/python -m tests.kills

# Every command of README and docs as written, in a fresh clone; writes docs/results/readme.json. Goes on where it was stopped.
readme: env
	$(BIN)/python -m tests.readme $(if $(FROM),--from $(FROM))

# The tables and numbers of README and docs again, from the results that the benchmarks have stored in docs/results.
pages: env
	$(BIN)/python -m benchmarks.pages

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m benchmarks.pages --check
	$(BIN)/python -m benchmarks.codebase --check src tests

clean:
	rm -rf outputs/* .venv build
