# Thin: what these do is in deploy/. PYTHON=... picks another interpreter, ARGS=... goes to pytest or bench.
PYTHON := $(shell PYTHON="$(PYTHON)" sh deploy/find-python)
BIN := .venv/bin
ARGS ?=
# The checks read the settings; they get development defaults and a data folder of their own.
CHECKED := DEBUG=1 PODI_DATA_DIR=$(CURDIR)/var/check
WORKERS ?= 2

.PHONY: run demo manage install install-dev test test-services check format bench openapi messages clean help

help:            ## this list
	@grep -hE '^[a-z-]+: .*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

run:             ## everything PODI needs, on this machine, until Ctrl-C
	@exec $(PYTHON) -m deploy.run

demo:            ## the same with a simulated ComfyUI node and something on every page
	@exec $(PYTHON) -m deploy.run --demo

manage:          ## manage.py as `make run` sees it: make manage ARGS="self_check"
	@$(PYTHON) -m deploy.manage $(ARGS)

install:         ## .venv with what PODI runs on (again, also what failed before)
	@$(PYTHON) -m deploy.install --again

install-dev:
	@$(PYTHON) -m deploy.install --dev

check: install-dev  ## format, lint, types, import contracts, missing migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(CHECKED) $(BIN)/mypy .
	$(CHECKED) $(BIN)/lint-imports
	$(CHECKED) $(BIN)/python manage.py makemigrations --check --dry-run

test: check      ## check, then every test on the embedded default
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

test-services: install-dev  ## every test on a throw-away MariaDB and Redis
	$(BIN)/python -m deploy.services -- $(BIN)/pytest -n $(WORKERS) $(ARGS)

format: install-dev  ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install   ## measure PODI against a provider that answers at once
	@PODI_DATA_DIR=$(CURDIR)/var/bench $(BIN)/python -m deploy.manage bench $(ARGS)

openapi: install-dev  ## write docs/openapi.json
	$(CHECKED) $(BIN)/python manage.py spectacular --lang en --format openapi-json --file docs/openapi.json

messages: install-dev  ## collect texts for translation (needs gettext) and compile them
	$(CHECKED) $(BIN)/python manage.py makemessages -l zh_Hans --no-location --no-wrap --no-obsolete \
		--ignore .venv --ignore var --ignore tests
	$(CHECKED) $(BIN)/python manage.py compilemessages --ignore .venv --ignore var

clean:           ## remove .venv and caches; var/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache var/check
