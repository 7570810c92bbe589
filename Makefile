# Two commands set up a fresh machine: `make app` and `make test`. `make help` lists the others.
PYTHON   ?= python3
CHROMIUM ?= install
UPGRADE  ?=
VENV     := .venv
BIN      := $(VENV)/bin
READY    := $(VENV)/.ready

.PHONY: app test browser lint lock clean demo demo-quick help

app: $(READY)  ## serve the app on http://localhost:8501
	$(BIN)/streamlit run app/main.py -- --runs checkpoints --runs output

test: lint browser  ## lint, types and tests; CHROMIUM=skip never installs Chromium
	$(BIN)/python -m pytest -n auto

lint: $(READY)  ## ruff, mypy and import-linter only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# everything in checkpoints/, from nothing; goes on where it was stopped
demo: $(READY)  ## build everything in checkpoints/ from nothing
	$(BIN)/python train/make_demo.py

demo-quick: $(READY)  ## the same at toy size
	$(BIN)/python train/make_demo.py --quick

lock: $(BIN)/pip  ## write requirements.lock again; UPGRADE=--upgrade takes the newest versions
	$(BIN)/pip install uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --annotation-style line --output-file requirements.lock --quiet $(UPGRADE)

clean:  ## remove the virtual environment
	rm -rf $(VENV)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

# The app's tests drive a real Chromium. Without one they are skipped.
browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then exit 0; fi; \
	if [ "$(CHROMIUM)" != skip ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium with apt-get for the app's browser tests. To avoid this: make test CHROMIUM=skip"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0; \
	fi; \
	echo "There is no Chromium here: the app's browser tests are skipped."

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed. To choose one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(READY): requirements.lock pyproject.toml | $(BIN)/pip
	@echo "Installing requirements.lock into $(VENV). The first time, this downloads about 3.4 GB on Linux" \
	  "(mostly PyTorch with CUDA; 7 GB on disk) or 0.4 GB on macOS, and takes 5 to 20 minutes."
	$(BIN)/pip install -r requirements.lock
	$(BIN)/pip install --no-deps -e .
	touch $@
