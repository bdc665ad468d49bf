PYTHON ?= python3
BIN := .venv/bin

.PHONY: env train test test-fast lint clean

# The environment, from the package index alone: about 3 minutes and 7 GB on a fresh Linux machine.
env: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# The main job, from nothing to a trained and measured model.
train: env
	$(BIN)/python train.py experiment=clip_final

test: env
	$(BIN)/python -m pytest -n 2 --dist worksteal -rs
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=600 notebooks

test-fast: env
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not e2e"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf outputs/* .venv build
