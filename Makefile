# Sluice. `make help` lists what can be made.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

# The binary needs no C library. Only the race detector does, so only `make test` and its kin turn CGO on.
export CGO_ENABLED := 0

TOOL     := $(GO) tool -modfile=test/tools/go.mod
RACE     := CGO_ENABLED=1 $(GO) test -race
FUZZTIME ?= 30s
KILLS    ?= 20
BENCH    ?= all

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/sluice, static and stamped with the version (VERSION=…)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sluice ./cmd/sluice

.PHONY: test
test: race-ready ## Run every test under the race detector, the end-to-end tests in their short form included
	$(RACE) -timeout 10m $$($(GO) list ./... | grep -v /test/e2e)
	$(RACE) -timeout 10m ./test/e2e/... # alone: they time what a whole gateway does

.PHONY: test-e2e
test-e2e: race-ready ## Run the end-to-end tests alone, against a freshly built binary
	$(RACE) -count=1 -timeout 10m ./test/e2e/...

.PHONY: test-crash
test-crash: ## Kill -9 a loaded sluice KILLS times (20) and check every event against the ledger
	SLUICE_E2E_KILLS=$(KILLS) $(GO) test -count=1 -timeout 20m -v -run '^TestKilled' ./test/e2e/

.PHONY: lint
lint: ## Check format, vet, static analysis and the import rules
	$(TOOL) golangci-lint run ./...

.PHONY: fmt
fmt: ## Format the code as lint wants it
	$(TOOL) golangci-lint fmt ./...

.PHONY: bench
bench: build ## Measure throughput, latency, CPU and memory of bin/sluice (BENCH=all|load|postgres|isolation|backlog, ARGS='-short -profile')
	$(GO) build -trimpath -o bin/sluice-bench ./test/bench
	bin/sluice-bench $(ARGS) -sluice bin/sluice -out test/bench/results $(BENCH)

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (30s); FUZZBUDGET=SECONDS shares a total among them
	@FUZZTIME=$(FUZZTIME) GO=$(GO) test/fuzz.sh

.PHONY: tidy-check
tidy-check: ## Fail if go.mod or go.sum is not what `go mod tidy` would write
	$(GO) mod tidy -diff

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin test/bench/results

.PHONY: race-ready
race-ready:
	@command -v "$$($(GO) env CC)" >/dev/null || { \
	  echo "the race detector needs a C compiler and there is no '$$($(GO) env CC)': install gcc (Debian: apt-get install gcc libc6-dev)," >&2; \
	  echo "or test without it: CGO_ENABLED=0 go test ./..." >&2; exit 1; }
