# Needs Go and make; "make" lists what there is. GNU make 3.81 (macOS) will do.

GO       ?= go
FUZZTIME ?= 30s
SOAKTIME ?= 5m

# Such as -seed 7, -cluster, or -break to see that it can fail.
SOAKFLAGS ?=

# Such as -short, "-only steady,costs" or "-row steady-c64 -cpuprofile cpu.out" (in
# internal/benchmark); internal/benchmark/doc.go has them all.
BENCHFLAGS ?=

STATICCHECK   := honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.10.0

# Installs a program if it is missing and if it may.
INSTALL := internal/install.sh

# A folder with a go.mod of its own is another module, which ./... does not reach. The
# module for users is this folder's; what only we need is kept out of its go.mod. Each is
# built as its own go.mod says: no go.work may choose other versions.
MODULE  := github.com/seed-e8747a6b/ratelimit
MODULES := $(shell find . -name go.mod -not -path '*/.*/*' -exec dirname {} ';' | sort)
export GOWORK := off

# Runs a command in the folder of each, and ends at the first failure. No comma may be in it.
in-each-module = set -e; for module in $(MODULES); do (set -x; cd $$module; $(1)); done

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

# The programs are built and then run by themselves, not by "go run", which passes no
# signal on: Ctrl-C and kill must reach them, so that nothing stays behind.
.PHONY: build
build: ## build the example API and the demo into bin/
	@$(GO) build -buildvcs=false -o bin/ ./examples/api
	@$(GO) build -C internal/demo -buildvcs=false -o ../../bin/ .

.PHONY: demo
demo: build ## show two instances that share one quota; brings up Redis if it can
	@bin/demo -api bin/api -install $(INSTALL)

.PHONY: run
run: build ## serve the example API on PORT (3000); brings up Redis unless REDIS_URL is set
	@bin/demo -serve -api bin/api -install $(INSTALL)

.PHONY: importer
importer: ## import three million rows from four processes under one leased limit
	@$(INSTALL) redis || true
	@$(GO) build -C examples/importer -buildvcs=false -o ../../bin/ .
	@exec bin/importer

.PHONY: metrics
metrics: ## show what OpenTelemetry measures, in a Prometheus that checks the alerts
	@$(INSTALL) redis || true
	@$(INSTALL) prometheus
	@$(GO) build -C examples/metrics -buildvcs=false -o ../../bin/ .
	@exec bin/metrics

.PHONY: jobs
jobs: ## show eight worker processes that share what a partner's API allows
	@$(INSTALL) redis || true
	@$(GO) build -C examples/jobs -buildvcs=false -o ../../bin/ .
	@exec bin/jobs

.PHONY: llm
llm: ## show an LLM gateway with limits of requests and of tokens
	@$(INSTALL) redis || true
	@$(GO) build -C examples/llm -buildvcs=false -o ../../bin/ .
	@exec bin/llm

.PHONY: play
play: ## serve a page to try limits on, on PORT (3001); two instances if REDIS_URL is set
	@$(GO) build -buildvcs=false -o bin/ ./examples/playground
	@exec bin/playground

# A missing Redis is for the tests that need it to report. The race detector needs a C
# compiler on Linux: where there is none, better all tests without it than no test.
.PHONY: test
test: ## run every test, also on a real Redis, with the race detector
	@$(INSTALL) redis || true
	@if $(INSTALL) cc; then race=-race; export CGO_ENABLED=1; \
	else race=; echo "make test: WITHOUT the race detector, as there is no C compiler" >&2; fi; \
	$(call in-each-module,$(GO) test $$race -shuffle=on -count=1 -timeout 30m ./...)
	@echo "make test: the page of examples/playground is tested in a browser by make browser"

AXE := axe-core@4.14.1

# Such as "-screenshots $$PWD/docs/pictures", or "-chromium /opt/chrome/chrome".
BROWSERFLAGS ?=

# npm checks what it fetched against the registry's hash of that version.
.PHONY: browser
browser: ## test the playground's page in headless Chromium, also with axe-core
	@$(INSTALL) redis
	@$(INSTALL) chromium
	@$(INSTALL) npm
	@rm -rf bin/axe && mkdir -p bin/axe
	@cd bin/axe && npm pack --silent $(AXE) && tar -xzf axe-core-*.tgz package/axe.min.js
	@$(GO) vet -C examples/playground/browser -tags browser .
	$(GO) test -C examples/playground/browser -tags browser -count=1 -timeout 30m . -axe $(CURDIR)/bin/axe/package/axe.min.js $(BROWSERFLAGS)

# A program to run the tests by, such as qemu-i386; true runs none.
EXEC_386 ?=

# An int has 32 bits there. Most kernels of amd64 run its programs; where this one does not,
# the tests are built all the same.
.PHONY: test-386
test-386: ## vet everything for GOARCH=386, and test what users import
	@$(INSTALL) redis || true
	@$(call in-each-module,GOARCH=386 $(GO) vet ./...)
	@export GOARCH=386; \
	if [ -n "$(EXEC_386)" ]; then exec="-exec $(EXEC_386)"; \
	elif $(GO) test -run '^$$' ./internal/subprocess >/dev/null 2>&1; then exec=; \
	else exec="-exec true"; echo "make test-386: BUILT, NOT RUN, as this kernel runs no 32-bit programs" >&2; fi; \
	set -x; $(GO) test $$exec -count=1 ./slidingwindow/... ./echomw/... ./config/...

.PHONY: test-containers
test-containers: ## run the integration tests on a Redis in a container; needs a Docker engine
	@$(INSTALL) redis || true
	REDIS_IN_CONTAINER=1 $(GO) test -C integration_test -count=1 -timeout 30m

# Such as -markdown=table.md, relative to the folder of the tests.
FAULTSFLAGS ?=

.PHONY: faults
faults: ## break Redis and the network under traffic, for minutes; prints a table
	@$(INSTALL) redis || true
	@$(INSTALL) cc || true
	$(GO) test -C integration_test -count=1 -timeout 20m ./faults -long -v $(FAULTSFLAGS)

.PHONY: clients
clients: ## show that curl and npm clients (Node.js 20, else left out) obey our Retry-After
	@GO="$(GO)" bash integration_test/clients/run.sh

.PHONY: cover
cover: ## run every test and print how much of the code they reach (cover.out)
	@$(INSTALL) redis || true
	@rm -rf bin/cover && mkdir -p bin/cover
	@$(call in-each-module,$(GO) test -count=1 -coverpkg=$(MODULE)/... ./... -args -test.gocoverdir=$(CURDIR)/bin/cover)
	@$(GO) tool covdata textfmt -i=bin/cover -o=cover.out
	@$(GO) tool covdata func -i=bin/cover | tail -n 1

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s) each
	@$(call in-each-module,set +x; \
		for package in $$($(GO) list ./...); do \
			for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
				echo "$$package $$target"; \
				$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
			done; \
		done)

.PHONY: soak
soak: ## look for violations for SOAKTIME (5m), while Redis and processes are disturbed
	@$(INSTALL) redis || true
	@$(GO) build -C internal/soak -buildvcs=false -o ../../bin/ .
	@exec bin/soak -for $(SOAKTIME) $(SOAKFLAGS)

.PHONY: bench
bench: ## compare with other limiters, on a private Redis; BENCHFLAGS=-short to try it
	@$(INSTALL) redis || true
	$(GO) build -C internal/benchmark -buildvcs=false -o ../../bin/ .
	cd internal/benchmark && exec ../../bin/benchmark $(BENCHFLAGS)

.PHONY: instructions
instructions: ## count redis-server's instructions a decision; CHECK=1 to compare
	@$(INSTALL) redis
	@$(INSTALL) valgrind
	@$(GO) build -C internal/instructions -buildvcs=false -o ../../bin/ .
	@exec bin/instructions $(if $(CHECK),-check)

.PHONY: pictures
pictures: ## draw docs/pictures from committed data; MEASURE=1 measures on Redis first
	@$(if $(MEASURE),$(INSTALL) redis)
	@$(GO) build -buildvcs=false -o bin/ ./internal/pictures
	@exec bin/pictures $(if $(MEASURE),-measure)

.PHONY: gobench
gobench: ## run the Go benchmarks, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./slidingwindow/... ./echomw
	$(GO) test -C echomw/echov5 -run '^$$' -bench . -benchmem .

.PHONY: fmt
fmt: ## format the code
	gofmt -w .

.PHONY: lint
lint: tidy-check ## check the format, go.mod, go vet and staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted, run make fmt:" >&2; echo "$$unformatted" >&2; exit 1; fi
	@$(call in-each-module,$(GO) vet ./...)
	@$(call in-each-module,$(GO) run $(STATICCHECK) ./...)

.PHONY: lint-all
lint-all: ## check with everything in .golangci.yml; builds golangci-lint first
	@$(call in-each-module,$(GO) run $(GOLANGCI_LINT) run)

.PHONY: vuln
vuln: ## look for known vulnerabilities with govulncheck; needs vuln.go.dev or GOVULNDB
	@$(call in-each-module,GO="$(GO)" $(CURDIR)/internal/vuln.sh)

.PHONY: outdated
outdated: ## list the direct dependencies that are behind their newest release
	@$(call in-each-module,set +x; $(GO) list -e -m -u \
		-f '{{with .Error}}not known: {{.Err}}{{end}}{{with .Update}}{{$$.Path}} {{$$.Version}} -> {{.Version}}{{end}}' \
		$$($(GO) list -m -f '{{if not (or .Main .Indirect .Replace)}}{{.Path}}{{end}}' all) | sed '/^$$/d')

.PHONY: tidy-check
tidy-check: ## check that go.mod and go.sum are as go mod tidy leaves them
	@$(call in-each-module,$(GO) mod tidy -diff)
