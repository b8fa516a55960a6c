# Everything a person or CI runs. `make help` lists it. Nothing here needs Docker.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.10.1
UV := $(or $(shell command -v uv),.local/bootstrap/bin/uv)
PY := .venv/bin/python
# What .venv is made with. A distribution's Python is built with profile-guided optimisation, pyenv's is not unless told to:
# an eighth of the router's processor time (docs/measurements.md). Where there is none, uv takes what PATH names.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13))
PYTEST := $(PY) -m pytest
# A company network may have an authority of its own: trust what the system trusts, as pip and Maven do.
export UV_SYSTEM_CERTS ?= 1
CODE := $(wildcard contracts deploy ingest router runtime store tests)
# Named explicitly below: uv would otherwise fill whichever environment happens to be activated.
INSTALLED := .venv/.installed
PREPARED := .local/cache/.prepared
VALIDATOR := contracts/validate/node_modules/.installed
MATRIX := 4.4.0:18 4.3.1:18 4.4.0:16 4.4.0:15
# Erasure's protocol and executors speak more SQL than anything else.
MATRIX_TESTS := tests/integration tests/privacy/erasure/driven tests/privacy/erasure/executors tests/privacy/desk

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) $(PREPARED) ## Make .venv from requirements.lock and fetch Kafka, both checked by hash

.local/bootstrap/bin/uv:
	@echo "installing uv, which installs the rest (into .local)"
	@python3 -m venv .local/bootstrap
	@.local/bootstrap/bin/pip install --quiet uv==$(UV_VERSION)

$(INSTALLED): pyproject.toml requirements.lock | $(UV)
	@echo "installing Python packages from requirements.lock (into .venv)"
	@test -x $(PY) || $(UV) venv --quiet $(if $(PYTHON),--python $(PYTHON)) .venv
	@$(UV) pip sync --quiet --python $(PY) --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(PY) --no-deps --editable .
	@touch $@

$(PREPARED): $(INSTALLED) deploy/local/kafka/pom.xml deploy/local/kafka/libs.sha256
	@echo "fetching Kafka by Maven and preparing its start (into .local; once, half a minute)"
	@$(PY) -m deploy.local prepare
	@touch $@

.PHONY: run
run: install ## Kafka, Postgres, every process and demo traffic, until Ctrl-C; SECURE=1: certificates, permissions, passwords
	@MKC_SECURE=$(SECURE) exec $(PY) -m deploy.local.run

.PHONY: demo
demo: install ## The same once through, then stop (SECURE=1 as above)
	@MKC_SECURE=$(SECURE) exec $(PY) -m deploy.local.run --demo

.PHONY: test
test: install ## The whole suite on real Kafka and Postgres, each folder within its time budget
	@exec $(PY) -m tests.budget

.PHONY: check
check: $(INSTALLED) ## Format, lint, types, import borders and unit tests
	.venv/bin/ruff format --check $(CODE)
	.venv/bin/ruff check $(CODE)
	.venv/bin/mypy --strict $(CODE)
	.venv/bin/lint-imports
	$(PYTEST) tests/unit
	@echo "dependencies: pinned by hash, not audited (no advisory data can be had offline): make audit, where there is a network"

.PHONY: audit
audit: | $(UV) ## Look up known vulnerabilities of everything in requirements.lock; needs PyPI's advisory service
	$(UV) tool run --quiet pip-audit@$(PIP_AUDIT_VERSION) --requirement requirements.lock --disable-pip --require-hashes --strict --progress-spinner off

.PHONY: fmt
fmt: $(INSTALLED) ## Format the code and repair what the linter can
	.venv/bin/ruff check --fix $(CODE)
	.venv/bin/ruff format $(CODE)

.PHONY: test-unit
test-unit: $(INSTALLED) ## Tests of decisions: no sockets, no files
	$(PYTEST) tests/unit

.PHONY: test-contract
test-contract: $(INSTALLED) ## Tests of what processes agree on: schemas, examples, vectors
	$(PYTEST) tests/contract

.PHONY: test-integration
test-integration: install ## Tests of adapters against real Kafka and Postgres
	$(PYTEST) tests/integration

.PHONY: test-fault
test-fault: install ## Kill, suspend and cut: nothing lost, nothing stored twice, recovery without restart
	$(PYTEST) tests/fault

.PHONY: test-privacy
test-privacy: install ## Post canaries and search every byte for them
	$(PYTEST) tests/privacy

.PHONY: test-e2e
test-e2e: install ## The processes together, from webhook to encrypted row
	$(PYTEST) tests/e2e

.PHONY: test-matrix
test-matrix: install ## Integration tests, and erasure's own, on each supported pair of Kafka and PostgreSQL
	@for pair in $(MATRIX); do \
	  kafka=$${pair%:*}; postgres=$${pair#*:}; \
	  echo "Kafka $$kafka, PostgreSQL $$postgres"; \
	  $(PY) -m deploy.local prepare --kafka-version $$kafka; \
	  MKC_KAFKA_VERSION=$$kafka MKC_POSTGRES_VERSION=$$postgres $(PYTEST) $(MATRIX_TESTS); \
	done

.PHONY: browser
browser: ## A Chromium without a window for the status page's test, where there is none (as root, from the system's packages)
	@command -v chromium chromium-headless-shell chromium-browser google-chrome > /dev/null || \
	  { apt-get update -q && apt-get install --yes --no-install-recommends chromium-headless-shell; }

.PHONY: bench
bench: install ## Measure against the bars
	$(PY) -m tests.bench

.PHONY: storm-erasure
storm-erasure: install ## 1,000 erasures against writers, kills and cuts; counts what came back or was lost (ERASURES=1000)
	@exec $(PY) -m tests.drills.storm_erasure --erasures $(or $(ERASURES),1000)

.PHONY: drill-keys
drill-keys: install ## Lose a database one minute after a rotation of keys and recover it (WAIT_S=60)
	@exec $(PY) -m tests.drills.drill_keys --wait-s $(or $(WAIT_S),60)

.PHONY: drill-restore
drill-restore: install ## Put an older backup in the place of the database: erased people stay erased (PEOPLE=10 of each kind)
	@exec $(PY) -m tests.drills.drill_restore --people $(or $(PEOPLE),10)

OPENBAO := .local/openbao/bao
$(OPENBAO): $(wildcard tests/support/openbao/*)
	@command -v go > /dev/null || { echo "OpenBao is built with Go 1.24.6 or newer: there is none here"; exit 1; }
	@echo "building OpenBao from its Go modules (into .local; once, ten minutes to half an hour on two cores)"
	@mkdir -p $(dir $@)
	cd tests/support/openbao && CGO_ENABLED=0 GOTOOLCHAIN=local go build -mod=readonly -trimpath -ldflags "-s -w" -o $(CURDIR)/$@ .

.PHONY: openbao
openbao: $(OPENBAO) ## Build OpenBao for the tests of keys behind Transit: pinned modules, checked by go.sum; needs Go

.PHONY: drill-transit
drill-transit: install $(OPENBAO) ## Keys in OpenBao itself: the providers' suite, its double held to it, every format, an outage, an erasure, a rotation
	@MKC_TEST_OPENBAO=1 exec $(PYTEST) tests/security/keys/test_providers.py tests/security/keys/test_transit_service.py \
	  tests/security/keys/test_double_is_strict.py tests/security/formats/test_formats.py -k 'OpenBao or double_is_strict'

.PHONY: lock
lock: $(INSTALLED) ## Re-make requirements.lock and the checksums of Kafka's jars; read the diff
	$(UV) pip compile pyproject.toml --quiet --upgrade --universal --group dev --group local \
	  --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock
	$(PY) -m deploy.local relock

$(VALIDATOR): contracts/validate/package.json contracts/validate/package-lock.json
	npm ci --prefix contracts/validate --ignore-scripts --no-audit --no-fund --silent
	touch $@

.PHONY: contracts
contracts: $(INSTALLED) $(VALIDATOR) ## Generated files are fresh, nothing breaks readers (BASE=revision they have), examples and AsyncAPI are valid
	$(PY) -m contracts.generate --check $(if $(BASE),--base $(BASE))
	$(PYTEST) -q tests/contract/test_generated.py tests/contract/test_breaking.py -k "not own_parser"
	node contracts/validate/validate.js contracts/asyncapi.json

NODE_READER := contracts/readers/node/node_modules/.installed
$(NODE_READER): contracts/readers/node/package.json contracts/readers/node/package-lock.json
	npm ci --prefix contracts/readers/node --ignore-scripts --no-audit --no-fund --silent
	touch $@

.PHONY: readers
readers: $(INSTALLED) $(NODE_READER) ## The readers in Python, Node and (where there is one) Go against the published vectors
	$(PYTEST) -q tests/contract/test_vectors.py tests/contract/test_reader.py
	npm test --prefix contracts/readers/node
	if command -v go > /dev/null; then cd contracts/readers/go && go vet ./... && go test -count=1 ./...; fi

.PHONY: contracts-wheel
contracts-wheel: $(INSTALLED) ## dist/: the contracts as a wheel of their own, installed alone and tried
	rm -rf build/contracts && mkdir -p build/contracts/src
	tar --create --file=- --exclude=node_modules --exclude=__pycache__ --directory=contracts . | tar --extract --directory=build/contracts/src
	$(UV) build --quiet --wheel --out-dir dist build/contracts/src
	for extra in "" "[kafka]"; do \
	  $(UV) venv --quiet --clear build/contracts/venv; \
	  $(UV) pip install --quiet --python build/contracts/venv/bin/python "$$(echo dist/mkchannels_contracts-*.whl)$$extra"; \
	  build/contracts/venv/bin/python -I tests/contract/read_with_little.py contracts/vectors $$(test -n "$$extra" && echo --consumer || echo aiokafka); \
	done

.PHONY: docs
docs: $(INSTALLED) ## Regenerate the generated documents
	$(PY) -m docs.generate

.PHONY: clean-data
clean-data: $(INSTALLED) ## Stop the local stack and remove its data, keys and logs
	$(PY) -m deploy.local clean-data

.PHONY: clean
clean: ## Remove everything that is not committed: data, downloads, environment, caches
	if test -x $(PY); then $(PY) -m deploy.local clean-data; fi
	rm -rf .venv .local build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
