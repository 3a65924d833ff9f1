# limitd: every target does its own set-up (scripts/setup) on a fresh Debian 12.
# `make help` lists the targets.

.DEFAULT_GOAL := help
SHELL := /bin/bash

# Two sets of products, so that no target undoes what another built (docs/decisions/0050):
#   .build           what is tried and tested: optimised, and open to tests
#   .build-release   what is installed and measured
DEVELOPED := -c release -Xswiftc -enable-testing
# SwiftPM writes a package's traits into each compile command in the order of a Set: with hashes of a
# random seed, in another order now and then, which builds everything anew.
SWIFT := SWIFT_DETERMINISTIC_HASHING=1 swift
SWIFT_BUILD := $(SWIFT) build $(DEVELOPED)
# Testable as the rest of DEVELOPED: swift test would say it a second time, which is another command.
SWIFT_TEST := $(SWIFT) test --disable-xctest --disable-testable-imports $(DEVELOPED)
SWIFT_RELEASE := $(SWIFT) build -c release --scratch-path .build-release --static-swift-stdlib
RELEASED := .build-release/release
# Empty where warnings shall not be errors.
export LIMITD_WARNINGS_AS_ERRORS ?= 1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## Install what building needs, where it is missing
	@scripts/setup

.PHONY: run
run: setup ## Start limitd with the example policy, send it a sample trace, leave it running
	$(SWIFT_BUILD) --product limitd
	$(SWIFT_BUILD) --product limitctl
	@scripts/run

.PHONY: test-run
test-run: setup ## Show that `make run` ends without a terminal, and undoes nothing of `make test`
	@SWIFT_TEST='$(SWIFT_TEST)' scripts/test-run

.PHONY: stop
stop: ## End the limitd that `make run` left running
	@scripts/run stop

.PHONY: test
test: setup lint ## Check the format, build with warnings as errors, run all tests
	$(SWIFT_TEST) --skip 'limitdTests|PreconditionTests'
	@# The real daemon's tests start processes and flood them: they have the machine to themselves. Who
	@# awaits a process's end in swift-testing keeps a processor busy until a thread is free for him.
	$(SWIFT_TEST) --skip-build --filter 'limitdTests|PreconditionTests'

.PHONY: lint
lint: ## Check the format and the house rules
	swift format lint --strict --recursive Package.swift Sources Tests Benchmarks Fuzz/Targets
	scripts/check-style
	@command -v python3 >/dev/null || scripts/setup python3
	scripts/check-docs

.PHONY: format
format: ## Format the code in place
	swift format --in-place --recursive Package.swift Sources Tests Benchmarks Fuzz/Targets

.PHONY: bench
bench: setup ## Print limitd beside a bare echo and Redis, and write bench.json; then all that follows
	@$(SWIFT_RELEASE) --product limitd
	@$(SWIFT_RELEASE) --product EngineBenchmark
	@scripts/setup gcc python3
	@scripts/bench $(RELEASED)
	@$(MAKE) --no-print-directory bench-engine
	@$(MAKE) --no-print-directory bench-state
	@$(MAKE) --no-print-directory bench-client
	@# An aim that is missed is said, and no reason to fail here; anything else is.
	@scripts/bench-admin $(RELEASED) || [ $$? = 3 ]

.PHONY: bench-engine
bench-engine: setup ## Print nanoseconds per decision, pinned to one processor
	@$(SWIFT_RELEASE) --product EngineBenchmark
	@taskset -c 0 $(RELEASED)/EngineBenchmark one
	@$(RELEASED)/EngineBenchmark two

.PHONY: bench-state
bench-state: setup ## What the live state and snapshots cost
	@$(SWIFT_RELEASE) --product StateBenchmark
	@scripts/bench-state $(RELEASED)

.PHONY: bench-client
bench-client: setup ## Calls per second and allocations per call through the client
	@$(SWIFT_RELEASE) --product limitd
	@$(SWIFT_RELEASE) --product limitctl
	@$(SWIFT_RELEASE) --product ClientBenchmark
	@scripts/setup python3
	@scripts/bench-client $(RELEASED)

.PHONY: bench-fairness
bench-fairness: setup ## What one user's flood of connections costs another user; fails beyond bounds
	@$(SWIFT_RELEASE) --product limitd
	@scripts/setup gcc
	@LIMITD_BINARIES=$(RELEASED) scripts/bench-fairness

.PHONY: bench-admin
bench-admin: setup ## Time the admin interface with 100,000 tenants, and what it costs clients
	@$(SWIFT_RELEASE) --product limitd
	@$(SWIFT_RELEASE) --product limitctl
	@scripts/setup python3 gcc
	@scripts/bench-admin $(RELEASED)

.PHONY: test-instructions
test-instructions: setup ## Count the instructions of a decision, and compare with those on record
	@$(SWIFT_RELEASE) --product limitd
	@$(SWIFT_RELEASE) --product limitctl
	@$(SWIFT_RELEASE) --product EngineBenchmark
	@$(SWIFT_RELEASE) --product ClientBenchmark
	@scripts/setup valgrind python3
	scripts/test-instructions $(RELEASED)

.PHONY: bench-policy
bench-policy: setup ## Time and memory of loading a policy of 100,000 tenants
	@$(SWIFT_RELEASE) --product limitctl
	@scripts/bench-policy

.PHONY: model
model: ## Check the Spin models of the table, every state of the small ones
	@scripts/setup spin gcc
	Tests/Models/run.sh full

.PHONY: test-models
test-models: ## Check the Spin models in bounded time, as CI does
	@scripts/setup spin gcc
	Tests/Models/run.sh bounded

THREADS := --disable-xctest --scratch-path .build-tsan --sanitize=thread -Xswiftc -DSANITIZED
# Optimised: so the tests take a seventh of the time.
MEMORY := --disable-xctest --scratch-path .build-asan --sanitize=address -Xswiftc -DSANITIZED -Xswiftc -O

.PHONY: test-threads
test-threads: setup ## Run the tests with real threads under ThreadSanitizer
	LIMITD_SANITIZED=thread $(SWIFT) test $(THREADS) --filter 'RealThreads|LimitClientTests'

.PHONY: test-memory
test-memory: setup ## Run the tests of what reads memory or bytes under AddressSanitizer
	LIMITD_SANITIZED=address $(SWIFT) test $(MEMORY) --skip 'RealThreads|PreconditionTests' \
	  --filter 'LimitClientTests|LimitEngineTests|LimitPolicyTests|LimitProtocolTests|LimitStoreTests'

.PHONY: fuzz
fuzz: setup ## Fuzz what reads bytes of others, a minute each
	scripts/fuzz

.PHONY: build-checks
build-checks: setup ## Build what the longer checks need, and run nothing
	LIMITD_SANITIZED=thread $(SWIFT) build --build-tests $(THREADS)
	LIMITD_SANITIZED=address $(SWIFT) build --build-tests $(MEMORY)
	scripts/fuzz 0
	$(MAKE) --no-print-directory release

.PHONY: test-crash
test-crash: setup ## Kill a loaded daemon 200 times and count every decision, as CI does
	$(SWIFT_BUILD) --build-tests --disable-xctest
	LIMITD_CRASH_KILLS=200 $(SWIFT_TEST) --skip-build --filter SurvivalTests

.PHONY: crash
crash: setup ## The same 5,000 times
	$(SWIFT_BUILD) --build-tests --disable-xctest
	LIMITD_CRASH_KILLS=5000 $(SWIFT_TEST) --skip-build --filter SurvivalTests

.PHONY: test-replay
test-replay: setup ## Show that replay's memory does not grow with the trace
	@$(SWIFT_BUILD) --product limitctl
	scripts/test-replay-memory

.PHONY: test-docs
test-docs: setup ## Run what the README shows, and see that scripts/check-docs finds what is amiss
	@$(SWIFT_BUILD) --product limitd
	@$(SWIFT_BUILD) --product limitctl
	@scripts/setup python3 man-db bsdutils curl
	scripts/test-docs
	Tests/Scripts/check_docs_tests.py

.PHONY: man
man: setup ## Make the manual pages, into .build/man
	@$(SWIFT_BUILD) --product limitd
	@$(SWIFT_BUILD) --product limitctl
	scripts/make-man

.PHONY: release
release: setup ## Build what is installed, with the Swift library inside, into .build-release
	$(SWIFT_RELEASE) --product limitd
	$(SWIFT_RELEASE) --product limitctl

PREFIX ?= /usr/local
.PHONY: install
install: ## Install what `make release` built, under PREFIX (/usr/local) of DESTDIR
	scripts/install "$(DESTDIR)" "$(PREFIX)"

.PHONY: test-install
test-install: release ## Show that make install honours DESTDIR and PREFIX, and that what it installs is whole
	scripts/test-install

.PHONY: deb
deb: release ## Make a Debian package, into .build-deb
	scripts/make-deb

.PHONY: test-sandbox
test-sandbox: ## Show how exposed the service is, as systemd reckons it; at most 0.3
	@scripts/setup systemd
	systemd-analyze security --offline=true --threshold=3 --no-pager systemd/limitd.service

.PHONY: test-systemd
test-systemd: release ## Run the package under a real systemd, in a container; as root
	scripts/test-systemd

.PHONY: clean
clean: ## Remove what was built
	scripts/run stop
	rm -rf .build .build-release .build-deb .build-nspawn .build-tsan .build-asan .build-fuzz .run
