# Mailwicket. `make demo` and `make test` need Python 3.11 or newer, pip and make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Debian's python3 without python3-venv has no ensurepip; pip of the outside can fill the environment all the same.
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check
INSTALL := $(PIP) install --quiet --require-hashes --no-deps

.DEFAULT_GOAL := help
.PHONY: help demo test check unit soak bench notebooks lock clean

help:           ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: $(VENV)/.runtime  ## a desk on loopback ports, and a story played through it; KEEP=1 lets it stand
	@$(BIN)/python -m gateway demo $(if $(KEEP),--keep)

test: check unit ## everything CI runs

check: $(VENV)/.dev     ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.dev      ## the tests; core/ must be covered to its last branch; ARGS=tests/cli for some of them
	$(BIN)/python -m pytest $(or $(ARGS),-n 3 --dist loadfile --cov=gateway/core --cov-report=)
	$(if $(ARGS),,$(BIN)/coverage report --include='gateway/core/*' --show-missing --skip-covered --fail-under=100)

soak: $(VENV)/.dev      ## the long ones: crashes, floods, fuzzing
	$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

bench: $(VENV)/.dev     ## how fast it is, beside Postfix; QUICK=1 takes two minutes, not fifteen; ARGS=--help for more
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick) --cache .cache/bench $(ARGS)

notebooks: $(VENV)/.dev ## JupyterLab on the demo's snapshot
	@$(BIN)/python -m gateway demo --snapshot .cache/demo >/dev/null
	cd notebooks && PYTHONPATH="$(CURDIR)" MAILWICKET_SNAPSHOTS='$(CURDIR)/.cache/demo' ../$(BIN)/jupyter lab

lock:           ## pin anew what pyproject.toml asks for (needs uv)
	uv pip compile pyproject.toml $(LOCK) -o requirements.lock
	uv pip compile pyproject.toml --extra dev -c requirements.lock $(LOCK) -o requirements-dev.lock
LOCK := --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet

clean:          ## forget environment, caches and the demo's state
	rm -rf $(VENV) .cache .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "mailwicket needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -n 1)."; \
	  echo "Install one (Debian 12: apt install python3 python3-pip) or name it: make PYTHON=/path/to/python3.11"; \
	  exit 1; } >&2
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
	  echo "mailwicket needs pip for $(PYTHON) (Debian 12: apt install python3-pip)."; exit 1; } >&2
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV); }

# The first lines of the script are pip's way round blanks in paths, which a #! line cannot hold.
define SCRIPT
#!/bin/sh
'''exec' "$(CURDIR)/$(BIN)/python" "$$0" "$$@"
' '''
import sys
sys.path.insert(0, "$(CURDIR)")
from gateway.cli import main
sys.exit(main())
endef
export SCRIPT

$(VENV)/.runtime: requirements.lock | $(VENV)/bin/python
	@test -e $(VENV)/.dev || { echo "installing the libraries into $(VENV) …"; $(INSTALL) -r requirements.lock; }
	@printf '%s\n' "$$SCRIPT" > $(BIN)/mailwicket && chmod +x $(BIN)/mailwicket
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "installing the libraries for tests and notebooks into $(VENV) …"; $(INSTALL) -r requirements-dev.lock
	@touch $@
