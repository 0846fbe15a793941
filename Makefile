# The habits of this project: one target each. CI calls only these (.ci/run).
# Every target installs what it needs and does not find (scripts/install-deps.sh), and says so.

.DEFAULT_GOAL := help

# Tracing takes root. Where there is no sudo, connledger itself says what it lacks.
SUDO := $(if $(filter-out 0,$(shell id -u)),$(shell command -v sudo 2>/dev/null))
RUN_AS_ROOT := $(if $(SUDO),--config 'target."cfg(unix)".runner="sudo"')

# bpf/ is laid out by version 14 (Debian 12), which is preferred where several are installed.
CLANG_FORMAT = $(shell command -v clang-format-14 2>/dev/null || echo clang-format)
BPF := $(wildcard bpf/*.h bpf/*.c)
SCRIPTS := $(wildcard scripts/*.sh packaging/deb/*.p*) .ci/run tests/vm/init

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build target/release/connledger
	@scripts/install-deps.sh build
	cargo build --release

.PHONY: run
run: ## build, then trace this machine until Ctrl-C; options: make run ARGS="-f table"
	@scripts/install-deps.sh build
	@cargo run --release $(RUN_AS_ROOT) -- $(ARGS)

.PHONY: test
test: ## run every test, as root where possible; options of cargo test: make test ARGS="--lib"
	@scripts/install-deps.sh build test deb rpm
	@scripts/python-env.sh
	@scripts/test.sh $(ARGS)

.PHONY: install
install: ## install what make build made: make install PREFIX=/usr (or /usr/local) DESTDIR=/tmp/root
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" SYSCONFDIR="$(SYSCONFDIR)" UNITDIR="$(UNITDIR)" ZSHDIR="$(ZSHDIR)" \
		BINARY="$(BINARY)" LICENSES="$(LICENSES)" scripts/install.sh

.PHONY: deb rpm package-binary
deb: ## make a package for Debian and Ubuntu in target/package/
	@scripts/install-deps.sh build deb
	@scripts/package.sh deb
rpm: ## make a package for Fedora and its kin in target/package/
	@scripts/install-deps.sh build rpm
	@scripts/package.sh rpm
package-binary: # the binary of both; for debian/rules and the spec
	@scripts/package-binary.sh

.PHONY: repeat
RUNS := 50
SUITES := kernel
repeat: ## run the kernel tests 50 times in a row, as root; others: make repeat RUNS=10 SUITES="outputs consumers readers"
	@scripts/install-deps.sh build test
	@SUITES="$(SUITES)" scripts/repeat.sh $(RUNS) $(ARGS)

.PHONY: bench
bench: ## measure the cost, beside other tools: one report in target/bench/, in some 15 minutes
	@scripts/install-deps.sh build bench
	@scripts/bench.sh

.PHONY: soak
MINUTES := 10
soak: ## load, pause, kill and restart it for 10 minutes, as root; shorter: make soak MINUTES=2
	@scripts/install-deps.sh build test
	cargo bench --bench soak $(RUN_AS_ROOT) -- --minutes $(MINUTES)

.PHONY: lint
lint: ## check the layout of all code, and what clippy and shellcheck have to say
	@scripts/install-deps.sh build lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	$(CLANG_FORMAT) --dry-run --Werror $(BPF)
	shellcheck $(SCRIPTS)

.PHONY: fmt
fmt: ## lay out all code
	@scripts/install-deps.sh build lint
	cargo fmt
	$(CLANG_FORMAT) -i $(BPF)

.PHONY: golden
golden: ## write the expected output of the golden tests anew; look at the difference
	@scripts/install-deps.sh build test
	GOLDEN=write cargo test --test golden

.PHONY: deps
deps: ## install what the other targets need, and do nothing else
	@scripts/install-deps.sh build test lint bench deb rpm
	@scripts/python-env.sh
