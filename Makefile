# Recipes for people and for CI. Everything runs in `.venv`, made at first use.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
RUN := .venv/bin
SINCE ?= HEAD
# `.ci/run` puts tools there that no package manager has.
export PATH := $(CURDIR)/.cache/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help venv test lint types check breaking proto sdk fmt demo bench clean

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

venv: .venv/installed ## the virtual environment, with what pyproject.toml and constraints.txt say

.venv/installed: pyproject.toml constraints.txt
	$(if $(PYTHON),,$(error leadgate needs Python 3.11 or newer: name one, as in `make PYTHON=/path/to/python3.12`))
	test -x $(RUN)/python || $(PYTHON) -m venv .venv
	$(RUN)/pip install -qq --disable-pip-version-check -e '.[dev]' -c constraints.txt && touch $@

test: venv ## all tests; ARGS="-k words" for some
	$(RUN)/pytest $(ARGS)

lint: venv ## style of code, contract and imports
	$(RUN)/ruff check && $(RUN)/ruff format --check
	$(RUN)/lint-imports --no-logo
	$(RUN)/python scripts/buf.py lint

types: venv ## mypy, strict
	$(RUN)/mypy

check: lint types test ## what CI runs

breaking: venv ## would readers of the contract at SINCE=HEAD break?
	$(RUN)/python scripts/buf.py breaking $(SINCE)

proto: venv ## leadgate/v1 anew from protos/
	$(RUN)/python scripts/gen_protos.py

sdk: ## evidence/static/sdk.js anew from sdk/; needs npm
	cd sdk && npm ci --silent && npm run --silent build

fmt: venv ## format the code and mend what can be mended
	$(RUN)/ruff check --fix --exit-zero
	$(RUN)/ruff format

demo: venv ## everything on this machine, end to end; KAFKA=1 over a real Kafka
	@$(if $(KAFKA),$(RUN)/python scripts/kafka.py --) $(RUN)/leadgate demo $(ARGS)

bench: venv ## measure throughput and latency, side by side with bare baselines
	$(RUN)/python -m benchmarks $(ARGS)

clean: ## remove everything that can be made again
	rm -rf .venv .cache .demo .*_cache .hypothesis build dist *.egg-info
