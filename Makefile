# Two commands set up a fresh machine: `make app` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: app test browser lint clean demo demo-quick

app: $(READY)
	$(BIN)/streamlit run app/main.py -- --runs checkpoints --runs output

test: lint browser
	$(BIN)/python -m pytest -n auto

# the app's tests drive a real Chromium; where there is none and none can be had they skip, saying so
browser:
	@command -v chromium chromium-browser >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
	  echo "no Chromium, and none could be installed: the app's browser tests are skipped"

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
