# Two commands set up a fresh machine: `make app` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: app test lint clean demo demo-quick

app: $(READY)
	$(BIN)/streamlit run app/main.py -- --runs checkpoints --runs output

test: lint
	$(BIN)/python -m pytest -n auto

# everything in checkpoints/, from nothing; goes on where it was stopped
demo: $(READY)
	$(BIN)/python train/make_demo.py

demo-quick: $(READY)
	$(BIN)/python train/make_demo.py --quick

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(READY): pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -r requirements.txt -e '.[dev,demo]'
	touch $@

clean:
	rm -rf $(VENV)
