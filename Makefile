# make help lists the targets.
TOOLS := $(or $(REGFERRY_TOOLS),$(HOME)/.cache/regferry/bin)
RUN   := go test -count=1 -timeout 60m -v
export REGFERRY_TOOLS := $(TOOLS)

.DEFAULT_GOAL := build
.PHONY: help build tools test test-short test-kill test-live test-powercut test-memory bench fuzz lint example

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the binary, ./regferry
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o regferry ./cmd/regferry

tools: ## installs what the tests run against (as root the first time)
	.ci/tools

test: tools ## everything CI tests: real registries, short kills and power cuts, race detector
	go test -race -timeout 30m ./...

test-short: ## no servers, no installing, seconds
	go test -short ./...

test-kill: tools ## 60 times kill -9 of one migration, each followed by a full check
	REGFERRY_CI=1 REGFERRY_KILLS=60 $(RUN) -run Kill ./...

test-live: tools ## 5 migrations of a registry that is being pushed to
	REGFERRY_CI=1 REGFERRY_LIVE_RUNS=5 $(RUN) -run Live ./...

test-powercut: tools ## 10 power cuts of a User-Mode Linux
	REGFERRY_CI=1 REGFERRY_POWERCUTS=10 $(RUN) -run PowerCut ./...

test-memory: ## peak memory with 20,000 and 400,000 objects, and with one blob of 4 GB
	REGFERRY_MEMORY=full $(RUN) -run Memory ./cmd/regferry

bench: ## compares with rclone and cp -a, on tmpfs, and prints ratios
	.ci/tools bench
	REGFERRY_BENCH=full $(RUN) -run Compare ./cmd/regferry

fuzz: ## 60 seconds for each fuzz test
	@for f in $$(grep -rlE --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$f); do \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime 60s ./$$(dirname $$f) || exit 1; \
		done; \
	done

lint: ## gofmt, vet, staticcheck
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "not formatted: $$out"; exit 1; }
	go vet ./...
	$(TOOLS)/staticcheck ./...

example: ## makes examples/registry anew
	examples/registry.sh
