# make demo: from nothing to a submission and a report.   make test: from nothing to green.
.PHONY: demo test test-lowest test-slow test-crashes test-ray chaos bench-loaders setup lint clean
.DEFAULT_GOAL := help

UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
PYTHON := .venv/bin/python
TWO_AT_ONCE := OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n 2  # of one thread each, for a machine of two cores
# To import all other tests takes half a minute of CPU.
marked = $(shell grep -rlF --include='test_*.py' mark.$(1) tests | sort)
export PYTHONWARNINGS := ignore::FutureWarning
# The tests start hundreds of processes: each would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

help:
	@sed -n '1p' Makefile && echo "make setup: .venv with everything.   make test-slow: crash and cluster tests.   make test-lowest: on the lowest versions that pyproject declares.   make chaos   make clean"

demo: setup  ## the embedded competition: 4 experiments x 5 folds on Ray Tune, a submission and report.html
	$(PYTHON) run.py digits
	@echo 'The command kaggle-ray is in .venv. In each new shell: source .venv/bin/activate'

test: lint  ## ruff, mypy --strict, the import floors, the tests
	$(TWO_AT_ONCE) -m "not slow" --dist loadfile

# TESTS="tests/data tests/decide": these alone.
test-lowest: $(UV)  ## the quick tests without Ray's, on the lowest versions that pyproject declares, of the extras, too
	$(UV) venv --quiet --allow-existing .venv-lowest
	$(UV) pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct --group dev --all-extras -r pyproject.toml -e .
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -q -n 2 -m "not slow and not ray" --dist loadfile $(TESTS)

test-slow: setup  ## crashes, kills and Ray: half an hour. Those of Ray mostly wait, so that the others run beside them
	$(MAKE) --jobs 2 test-crashes test-ray

test-crashes: setup
	$(TWO_AT_ONCE) -m "slow and not ray" $(call marked,slow)

test-ray: setup
	$(PYTHON) -m pytest -q -m "slow and ray" $(call marked,ray)

chaos: setup  ## 200 kills wherever a run is, 30 faults of a cluster of three nodes: minutes
	KAGGLE_RAY_CHAOS_KILLS=200 $(PYTHON) -m pytest -q tests/test_chaos.py
	KAGGLE_RAY_CHAOS_FAULTS=30 $(PYTHON) -m pytest -q tests/launch/test_faults.py

bench-loaders: setup  ## decoders, loaders beside torchvision's and timm's, what decoding once saves: minutes
	@test -n "$(PHOTOGRAPHS)" || { echo 'make bench-loaders PHOTOGRAPHS="FOLDER ...": folders of JPEG files'; exit 2; }
	$(PYTHON) tests/benchmarks/decoders.py $(PHOTOGRAPHS)
	$(PYTHON) tests/benchmarks/loaders.py $(PHOTOGRAPHS) --workers 0 --workers 1 --workers 2
	$(PYTHON) tests/benchmarks/decode_once.py $(firstword $(PHOTOGRAPHS))

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

setup: $(UV)  ## .venv with everything that uv.lock names
	@$(UV) sync --quiet --frozen --all-extras

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/python -m pip install --quiet uv

clean:
	rm -rf .venv .venv-lowest .uv .mypy_cache .pytest_cache .ruff_cache .hypothesis
