# limitd: every target does its own set-up (scripts/setup) on a fresh Debian 12.
# `make help` lists the targets.

.DEFAULT_GOAL := help
SHELL := /bin/bash

# Tests and benchmarks run optimised: the engine's promises are about that code.
SWIFT_TEST := swift test --disable-xctest -c release -Xswiftc -enable-testing
export LIMITD_WARNINGS_AS_ERRORS

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## Install what building needs, where it is missing
	@scripts/setup

.PHONY: run
run: setup ## Replay a sample trace against the example policy
	swift build -c release --product limitctl
	.build/release/limitctl replay --config examples/policy.yaml --format report examples/sample-trace.csv

.PHONY: test
test: LIMITD_WARNINGS_AS_ERRORS = 1
test: setup lint ## Check the format, build with warnings as errors, run all tests
	$(SWIFT_TEST) --skip limitdTests
	@# The real daemon's tests start processes and flood them: they have the machine to themselves.
	$(SWIFT_TEST) --skip-build --filter limitdTests

.PHONY: lint
lint: ## Check the format and the house rules
	swift format lint --strict --recursive Package.swift Sources Tests Benchmarks
	scripts/check-style

.PHONY: format
format: ## Format the code in place
	swift format --in-place --recursive Package.swift Sources Tests Benchmarks

.PHONY: bench
bench: setup ## Print nanoseconds per decision, pinned to one processor
	@swift build -c release --product EngineBenchmark
	@taskset -c 0 .build/release/EngineBenchmark one
	@.build/release/EngineBenchmark two

.PHONY: bench-policy
bench-policy: setup ## Time and memory of loading a policy of 100,000 tenants
	@swift build -c release --product limitctl
	@scripts/bench-policy

.PHONY: model
model: ## Check the Spin models of the table, every state of the small ones
	@scripts/setup spin gcc
	Tests/Models/run.sh full

.PHONY: test-models
test-models: ## Check the Spin models in bounded time, as CI does
	@scripts/setup spin gcc
	Tests/Models/run.sh bounded

.PHONY: test-threads
test-threads: setup ## Run the tests with real threads under ThreadSanitizer
	swift test --disable-xctest --scratch-path .build-tsan --sanitize=thread -Xswiftc -DSANITIZED \
	  --filter RealThreads

.PHONY: test-memory
test-memory: setup ## Run the engine's, the policy loader's and the protocol's tests under AddressSanitizer
	swift test --disable-xctest --scratch-path .build-asan --sanitize=address -Xswiftc -DSANITIZED \
	  --filter 'LimitEngineTests|LimitPolicyTests|LimitProtocolTests'

.PHONY: test-replay
test-replay: setup ## Show that replay's memory does not grow with the trace
	@swift build -c release --product limitctl
	scripts/test-replay-memory

.PHONY: test-docs
test-docs: setup ## Run the commands that the README shows
	@swift build -c release --product limitctl
	scripts/test-docs

.PHONY: clean
clean: ## Remove what was built
	rm -rf .build .build-tsan .build-asan
