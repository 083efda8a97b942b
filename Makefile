# All that runs and is not committed lives in .outfeed/.

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .outfeed/venv
BIN := $(VENV)/bin
# A new environment whenever what it is made of changes.
STAMP := $(VENV)/stamp-$(shell cat requirements.txt requirements-dev.txt pyproject.toml | cksum | cut -d ' ' -f 1)
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11

.PHONY: setup demo test check test-hostile test-conformance test-distributed bench up down lock

setup: $(STAMP)

$(STAMP): | .outfeed
	$(PYTHON) -m venv $(VENV)
	# uv in the version and with the hashes of the lock file, then everything else by uv.
	awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements-dev.txt > .outfeed/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .outfeed/uv.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.txt -r requirements-dev.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	rm -f $(VENV)/stamp-*
	touch $@

.outfeed:
	mkdir -p $@

# The whole job once, for real, in .outfeed/demo; other ports: OUTFEED_AIRFLOW_PORT=…
demo: setup
	$(BIN)/python -m scripts.demo

# What takes seconds: style, types, the floors of the house, unit tests.
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=include:plugins $(BIN)/lint-imports
	$(BIN)/python -m scripts.requirements_report --check
	$(BIN)/pytest tests/unit -m "not servers"

# Everything that CI runs: `check`, then every other test, the slowest last.
test: setup
	scripts/install_test_servers.sh
	$(MAKE) check
	$(BIN)/pytest tests/unit -m servers
	$(BIN)/pytest tests --ignore=tests/unit --ignore=tests/distributed
	$(BIN)/pytest tests/distributed

# Two thousand seeded stories of servers that fail; about an hour. SEEDS=200 make test-hostile for fewer.
test-hostile: setup
	scripts/install_test_servers.sh
	$(BIN)/python -m tests.hostile --seeds $(or $(SEEDS),2000) --report docs/hostile.md

# Every case on every kind of destination in full size: 10,000 files, one above 5 GiB; about an hour, 20 GB of disk.
test-conformance: setup
	scripts/install_test_servers.sh
	rm -f .outfeed/conformance.json
	OUTFEED_CONFORMANCE=full $(BIN)/pytest tests/conformance
	$(BIN)/python -m scripts.connector_page

# Two Celery workers that share no disk.
test-distributed: setup
	scripts/install_test_servers.sh
	$(BIN)/pytest -m distributed

bench: setup
	scripts/install_test_servers.sh
	$(BIN)/python -m benchmarks.run_all

# Airflow with dags/ on this machine, its mail server on the port 55 below. Another home: OUTFEED_HOME=… make up;
# other ports: OUTFEED_AIRFLOW_PORT=…
up: setup
	$(BIN)/python -m scripts.airflow_local up

down: setup
	$(BIN)/python -m scripts.airflow_local down

# Pins everything that requirements.in and requirements-dev.in ask for, with hashes.
lock: setup
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
