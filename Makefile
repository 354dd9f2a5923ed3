# Andon. `make` alone lists what can be made; every target does its own set-up.
# A machine with Rust and Node 20 is enough; as root on Debian what is missing is installed, elsewhere it is named.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

ANDON_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/andon
CARGO_TARGET_DIR ?= $(ANDON_CACHE)/target
# The Python of the end-to-end tests.
ANDON_VENV ?= $(ANDON_CACHE)/venv
# The clients of npm that the end-to-end tests drive.
ANDON_PEERS ?= $(ANDON_CACHE)/peers
ANDON_NODE_RED ?= $(ANDON_CACHE)/node-red
export ANDON_CACHE CARGO_TARGET_DIR ANDON_VENV ANDON_PEERS ANDON_NODE_RED

WEB_SOURCES := $(shell find web/src web/public web/index.html web/package.json web/*.config.* web/tsconfig.json -type f 2>/dev/null)
BENCHES := $(patsubst crates/%.rs,%,$(subst /examples/,:,$(wildcard crates/*/examples/bench_*.rs)))
# Given to `andon demo` by `make run`, e.g. `make run ARGS="--http 127.0.0.1:8090"`.
ARGS ?=

.PHONY: help run test lint bench prove web notices setup-run setup-test

help: ## Show this list
	@echo "make <target>"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  %-9s %s\n", $$1, $$2 }'
	@echo "Builds go to $(CARGO_TARGET_DIR); set CARGO_TARGET_DIR for another place."

run: setup-run web ## Build everything and start the demo: a made-up plant and house over real protocols
	cargo build --workspace --bin andon
	exec "$(CARGO_TARGET_DIR)/debug/andon" demo $(ARGS)

test: setup-test web ## Run all tests: web, Rust, end to end with foreign clients
	cd web && npm test && npm run e2e
	cargo test --workspace
	fuzz/run.sh
	tests/e2e/run.sh
	tests/e2e/browser.sh
	"$(ANDON_VENV)/bin/python" -B tests/bench/history/selftest.py

lint: setup-run web ## Check format, lints, habits, types, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cd fuzz && cargo fmt --all --check
	cd fuzz && CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)/fuzz" cargo clippy --locked --all-targets -- -D warnings
	cargo xtask tidy
	cd web && npm run check
	scripts/deny.sh

bench: setup-test web ## Measure: the crates' bench examples and tests/bench/*.sh
	cargo build --workspace --bin andon --examples
	for bench in $(BENCHES); do \
		echo "== $$bench"; \
		cargo run --quiet --package "andon-$${bench%%:*}" --example "$${bench##*:}"; \
	done
	for script in tests/bench/*.sh; do \
		if [[ -x "$$script" ]]; then echo "== $$script"; "$$script"; fi; \
	done

prove: setup-test web ## Run the long forms of the tests and add the counts to docs/ledger.jsonl
	scripts/prove.sh

notices: web ## Write THIRD-PARTY-NOTICES.md
	cargo xtask notices

web: web/dist/index.html ## Build the user interface, if its sources changed

setup-run:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

web/node_modules/.package-lock.json: web/package-lock.json | setup-run
	cd web && npm ci --no-audit --no-fund
	touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	cd web && npm run build
	touch $@
