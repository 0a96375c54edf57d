# The targets of this project. `make` alone lists them.

.DEFAULT_GOAL := help

SERVICES := tests/services.sh run

# The hot crates of long campaigns, optimized without a second build of the dependencies.
OPTIMIZED := $(foreach crate,snorri-core snorri-definition snorri-engine snorri-wire snorri-broker testkit, \
	--config 'profile.dev.package.$(crate).opt-level=2')

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the optimized binary, target/dist/snorri
	cargo build --profile dist --features jemalloc --locked

.PHONY: demo
demo: ## Watch sagas run and roll back, with nothing else installed
	cargo run --release --locked -- demo

.PHONY: test
test: ## Run all tests, on a RabbitMQ and a PostgreSQL of their own (installed if missing)
	$(SERVICES) cargo test --workspace --locked
	$(MAKE) contract
	$(MAKE) planted

# Cheapest first, so that failures are early.
.PHONY: verify
verify: ## Check everything that CI checks: format, words, lints, dependencies, tests, docs
	cargo fmt --all --check
	cargo test --locked --test house words
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo check --manifest-path fuzz/Cargo.toml --locked
	cargo machete --version >/dev/null 2>&1 || cargo install cargo-machete --locked
	cargo machete
	cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny --locked check
	$(MAKE) test
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace --locked

.PHONY: contract
contract: ## Check the admin API against its OpenAPI document, with schemathesis (installed if missing)
	tests/contract.sh

.PHONY: bench
bench: ## Measure throughput and latency on the real broker and database
	$(SERVICES) cargo bench --features jemalloc --locked --bench orders

.PHONY: instructions
instructions: ## Count the instructions of decisions, encoding and decoding (needs valgrind)
	cargo bench -p snorri-engine --bench hot_path --locked --config 'target."cfg(all())".runner = "$(CURDIR)/benches/instructions.sh"'
.PHONY: bench-peers
bench-peers: ## Measure the order saga on Restate, DBOS and Temporal too (needs npm and Go; some 20 minutes)
	$(SERVICES) python3 benches/peers/run.py

.PHONY: exhaustive
exhaustive: ## Measure how the model check grows with the size of a definition
	cargo bench --locked --bench exhaustive

.PHONY: planted
planted: ## Plant faults: the check of the shipped definitions or the tests must find each
	cargo test --locked --test planted -- --ignored --nocapture --test-threads=1

.PHONY: crash
crash: ## Kill orchestrator, broker and database again and again, and count the money
	SNORRI_CRASH_KILLS=100 SNORRI_CRASH_SAGAS=20000 $(SERVICES) cargo test --locked --test crash -- --nocapture

.PHONY: conditions
conditions: build ## Measure the optimized binary under each fault of broker, database, disk, clock and message
	SNORRI_CONDITIONS_TABLE=$(CURDIR)/docs/reliability/conditions.md SNORRI_TEST_BINARY=$(CURDIR)/target/dist/snorri \
		$(SERVICES) cargo test --locked --test conditions -- --ignored --test-threads=1 --nocapture

.PHONY: simulate
simulate: ## Run the whole engine on 100,000 seeds of faults
	SNORRI_SIMULATION_SEEDS=100000 cargo test --locked --test engine_simulation \
		$(OPTIMIZED) -- --nocapture

.PHONY: properties
properties: ## Run the core over 240,000 random definitions and networks
	SNORRI_PROPERTY_CASES=60000 cargo test --locked --test properties $(OPTIMIZED)

# Findings stay in fuzz/artifacts, new inputs in fuzz/corpus.
.PHONY: fuzz
fuzz: ## Run each fuzz target for a minute (needs a nightly toolchain)
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked
	mkdir -p fuzz/corpus/parser fuzz/corpus/expression fuzz/corpus/evaluation \
		fuzz/corpus/envelope fuzz/corpus/frames
	cp sagas/*.yaml tests/broken/*.yaml fuzz/corpus/parser
	cp fuzz/seeds/expression/* fuzz/corpus/expression
	cp fuzz/seeds/evaluation/* fuzz/corpus/evaluation
	cp fuzz/seeds/envelope/* fuzz/corpus/envelope
	for target in parser expression evaluation envelope frames; do \
		cargo +nightly fuzz run $$target -- -max_total_time=60 -rss_limit_mb=2048 -timeout=10 || exit 1; \
	done

.PHONY: services
services: ## Open a shell in which the test services run
	$(SERVICES) "$${SHELL:-bash}"

.PHONY: clean
clean: ## Remove build results
	cargo clean
