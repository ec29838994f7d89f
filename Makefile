# Everything a person or CI runs. `make help` lists it.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
LOCKS := ingest reviewer coder publisher runner ops dev
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-emit-find-links --python-version 3.11 --custom-compile-command "make lock" pyproject.toml

.PHONY: help setup setup-dev up demo test chaos check docs images images-tar helm cluster cluster-down \
	test-cluster bench format lock golden clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

setup: ## virtual environment, locked packages, Copilot CLI
	@$(if $(PYTHON),,echo "no Python 3.11 to 3.14 found (package python3, python3-venv)" >&2; exit 1)
	@$(PYTHON) services/ops/bootstrap.py ops

setup-dev: setup
	@$(PYTHON) services/ops/bootstrap.py dev

up: setup ## the whole system on this machine; simulated GitLab, Jira and model unless GITLAB_URL is set
	@$(BIN)/python -m services.ops up

demo: setup ## like up, but ends when review, commit and Draft merge request are there
	@$(BIN)/python -m services.ops up --demo

test: setup-dev ## all tests; says at the end what was skipped and why
	@$(BIN)/python -m pytest -rs -n auto --dist loadfile --no-loadscope-reorder

chaos: setup-dev ## the long proof under kill -9, on one NATS and on three (about 30 minutes)
	@$(BIN)/python -m tests.chaos --poll $(CHAOS_FLAGS)
	@$(BIN)/python -m tests.chaos --poll --nodes 3 $(CHAOS_FLAGS)

check: setup-dev ## format, lint, types, import rules, generated documents
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m documents --check

docs: setup-dev ## write the documents that are made from the code
	@$(BIN)/python -m documents

images: ## all images with docker, podman or buildah (IMAGE_TAG, IMAGE_REGISTRY, BASE, NODE, NAMES)
	@$(PYTHON) services/ops/images.py $(NAMES)

images-tar: ## the same, and each as a docker archive in images/
	@IMAGE_TARS="$${IMAGE_TARS:-images}" $(PYTHON) services/ops/images.py $(NAMES)

helm: setup-dev ## helm for the tests of the charts, built from its Go module (needs go, some minutes once)
	@$(BIN)/python -m tests.cluster.machine tools helm

cluster: setup-dev ## a real cluster on this machine (needs root), or the one KUBECONFIG names
	@$(BIN)/python -m tests.cluster.machine up

cluster-down: setup-dev ## end that cluster and remove every trace of it
	@$(BIN)/python -m tests.cluster.machine down

test-cluster: setup-dev ## the stories on a real cluster; `make cluster` first
	@$(BIN)/python -m pytest -rs tests/cluster

bench: setup-dev ## measure speed and size; writes docs/performance.md (some minutes)
	@$(BIN)/python -m bench

format: setup-dev ## format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

golden: setup-dev ## rewrite the golden files; read the diff
	@GOLDEN=1 $(BIN)/python -m pytest -q -k golden

lock: setup-dev ## resolve the lock files anew; each service's agrees with dev
	@$(LOCK) --group dev -o requirements/dev.txt $(LOCK_FLAGS)
	@for name in $(filter-out dev,$(LOCKS)); do \
		$(LOCK) --group $$name --constraint requirements/dev.txt -o requirements/$$name.txt || exit 1; \
	done

clean: ## remove the virtual environment and local state
	@rm -rf .venv .gca .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
