# The comment after each target says what it does; make without a target prints them.

SEEDS ?= 3000
FUZZTIME ?= 10s
ARGS ?=

# Without cgo, the programs do not depend on whether a C compiler is installed.
export CGO_ENABLED := 0

# Programs and tests know the commit they were built from, so that a failure can
# name it. git may refuse a checkout of another owner; then they do without.
export GOFLAGS := $(GOFLAGS) -buildvcs=$(if $(shell git rev-parse HEAD 2>/dev/null),true,false)

.PHONY: menu run build test test-long sim mutants determinism compare bench bench-moves fuzz lint vuln clean
.DEFAULT_GOAL := menu

menu: ## print this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: bin/dkv ## start a cluster of five nodes on this machine (ARGS="--data DIR" and other flags of dkv local)
	@bin/dkv local $(ARGS)

build: bin/dkv bin/dkvsim ## build bin/dkv and bin/dkvsim

test: ## run what CI runs: vet, staticcheck, all tests, the race detector, the simulation and a short campaign
	@scripts/test.sh

test-long: ## run what has to pass before an issue is closed: test, determinism, fuzz, campaigns of all profiles, mutants (SEEDS=3000)
	@SEEDS=$(SEEDS) scripts/test-long.sh

sim: bin/dkvsim ## run a campaign of simulated clusters (SEEDS=3000, SEEDS=A-B, or ARGS="--budget 10m", "--store pebble-raw")
	@bin/dkvsim run $(if $(findstring --budget,$(ARGS)),,--seeds $(SEEDS)) $(ARGS)

mutants: ## plant each known bug and check that the campaign catches it (ARGS="--only NAME")
	@go run ./internal/mutants $(ARGS)

compare: ## check that this commit runs the schedules of another one as it does (BASE=COMMIT, ARGS="SEEDS SEEDS-OF-OTHER-PROFILES")
	@scripts/compare.sh $(BASE) $(ARGS)

determinism: ## check that seven ways of building from two clones give the same trace hashes (SEEDS=12)
	@scripts/determinism.sh $(if $(filter command line environment,$(origin SEEDS)),$(SEEDS))

bench: bin/dkv ## measure a cluster on this machine (ARGS="--clients 64" and other flags of dkv bench)
	@scripts/bench.sh $(ARGS)

bench-moves: ## measure a cluster that grows and shrinks under load (ARGS="-moves-keys 100000" and other flags)
	@scripts/bench-moves.sh $(ARGS)

fuzz: ## fuzz every decoder for FUZZTIME=10s each
	@scripts/fuzz.sh $(FUZZTIME)

lint: ## check form, imports, bans and words, run staticcheck, and check that everything compiles for macOS
	go vet ./...
	go test -count=1 ./internal/tidy
	go tool -modfile=tools/go.mod staticcheck ./...
	GOOS=darwin GOARCH=arm64 go vet ./...

vuln: ## report known vulnerabilities in the dependencies and the Go version in use
	@scripts/vuln.sh $(ARGS)

clean: ## remove what was built (keeps the data of a local cluster)
	rm -rf bin

# The go command decides what has to be rebuilt.
.PHONY: bin/dkv bin/dkvsim
bin/dkv bin/dkvsim:
	@go build -o $@ ./cmd/$(notdir $@)
