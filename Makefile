# `make demo` and `make test` set up everything they need from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check soak results docs clean

demo: $(READY)
	$(BIN)/scalor-ppl demo --out runs/demo

# A worker for each core, and one thread each: more would fight for the cores.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --dist worksteal

# Kill commands at random moments, spoil files, and see that nothing is lost: an hour or so.
KILLS ?= 50
soak: $(READY)
	$(BIN)/python tests/soak/soak.py --kills $(KILLS)
	SCALOR_PPL_MUTATIONS=1500 $(BIN)/python -m pytest tests/soak/test_file_mutations.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The tables of RESULTS.md and README.md, from the lines in results/.
results: $(READY)
	$(BIN)/scalor-ppl reproduce --table

# The site, strictly: a warning is an error. Nothing is fetched while it is built.
docs: $(READY) $(VENV)/.docs
	rm -rf docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

$(VENV)/.docs: pyproject.toml constraints.txt | $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build docs/_build *.egg-info
