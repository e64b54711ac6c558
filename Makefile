# make help lists the targets.
TOOLS := $(or $(REGFERRY_TOOLS),$(HOME)/.cache/regferry/bin)
RUN   := go test -count=1 -timeout 60m -v
export REGFERRY_TOOLS := $(TOOLS)

.DEFAULT_GOAL := build
.PHONY: help build release tools test test-packages test-program test-short test-kill test-e2e test-live test-powercut test-matrix test-nfs test-ceph test-soak test-kubernetes test-memory bench fuzz lint example

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the binary, ./regferry
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o regferry ./cmd/regferry

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
OUT     ?= regferry
release: ## a static binary that is the same wherever it is built (OUT=FILE, VERSION=v1.2.3)
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.release=$(VERSION)" -o "$(OUT)" ./cmd/regferry

tools: ## installs what the tests run against (as root the first time)
	.ci/tools

test: tools ## everything CI tests: real registries, short kills and power cuts, race detector
	@$(MAKE) --no-print-directory -k -j 2 --output-sync=recurse test-packages test-program

test-packages: # all but the program, side by side with that
	go test -race -parallel 8 -timeout 60m $$(go list ./... | grep -v /cmd/)
	cd examples/kubernetes && go test ./... # a module of its own, so that nobody who uses ours gets Kubernetes'

# What these run is the program as users have it: the race detector would see
# only the test, at several times the cost.
BUILT := ^Test(Full|Kill|KillLargeLayer|KillThenPush|LiveRegistry|Matrix|Memory.*|MirrorSoak|MirrorStandsBy|NFS|NoSecretOfAServiceThatWorks|PowerCut|Preflight|Refusals|RefusedRights|Requests|ToxicNetwork)$$
test-program:
	go test -race -parallel 8 -timeout 60m -skip '$(BUILT)' ./cmd/regferry; raced=$$?; \
	go test -parallel 8 -timeout 60m -run '$(BUILT)' ./cmd/regferry && exit $$raced

test-short: ## no servers, no installing, seconds
	go test -short ./...

test-kill: tools ## 60 times kill -9 of one migration, each followed by a full check
	REGFERRY_CI=1 REGFERRY_KILLS=60 $(RUN) -run Kill ./...

test-e2e: tools ## real registries and clients on every pair of sides
	REGFERRY_CI=1 REGFERRY_E2E=full $(RUN) -run EndToEnd ./cmd/regferry

test-live: tools ## 5 migrations of a registry that is being pushed to
	REGFERRY_CI=1 REGFERRY_LIVE_RUNS=5 $(RUN) -run Live ./...

test-powercut: tools ## 10 power cuts of a User-Mode Linux
	REGFERRY_CI=1 REGFERRY_POWERCUTS=10 $(RUN) -run PowerCut ./...

test-matrix: tools ## every storage system as source and destination, with the registries that know it
	REGFERRY_CI=1 REGFERRY_MATRIX=full $(RUN) -run "^TestMatrix$$|^TestConformance$$" ./cmd/regferry ./backends/swift

test-nfs: tools ## volumes on real NFS mounts in a User-Mode Linux: restarts, stale handles, soft mounts, full servers
	REGFERRY_CI=1 REGFERRY_NFS=full $(RUN) -run '^TestNFS$$' ./cmd/regferry

test-soak: tools ## 30 minutes of a mirror with pushes, deletions, garbage collection and faults on both sides
	REGFERRY_CI=1 REGFERRY_SOAK=30m $(RUN) -run '^TestMirrorSoak$$' ./cmd/regferry

test-ceph: ## the conformance suite of S3 on Ceph, which CI leaves out for its 280 MB
	.ci/tools ceph
	REGFERRY_CI=1 REGFERRY_CEPH=1 $(RUN) -run Ceph ./backends/s3

test-kubernetes: ## what is in examples/kubernetes, tried on a real API server, which takes 5 minutes to build
	.ci/tools kubernetes
	cd examples/kubernetes && REGFERRY_CI=1 REGFERRY_KUBERNETES=1 $(RUN) -run APIServer ./...

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
	cd examples/kubernetes && go vet ./... && $(TOOLS)/staticcheck ./...

example: ## makes examples/registry anew
	examples/registry.sh
