# Everything a developer does, each target from a bare clone: `make` alone lists them.
# Stamps in .venv say what is done already, so that a target is quick when nothing changed.

PYTHON ?= python3
# One worker per processor, idle ones take from the others; every module has a database of its own.
PYTEST_ARGS ?= --numprocesses=logical --dist=worksteal
VENV := .venv
PY := $(VENV)/bin/python
GOLANGCI_LINT_VERSION := v2.15.0

# Without this, make would build the directory go from go.mod, as a Modula-2 source.
MAKEFLAGS += --no-builtin-rules
# The tools in .venv come first; where the machine has no suitable Go, Go is one of them.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Our own builds take no warning.
STRICT := HYPERN_STRICT=1
INSTALL := $(STRICT) $(PY) -m pip install --quiet --no-build-isolation --no-deps --editable .
BUILD := $(STRICT) $(PY) setup.py --quiet build_ext --inplace

RECIPES := pyproject.toml setup.py $(wildcard build_backend/*.py)
# With the directories, whose time changes when a file goes.
SOURCES := $(shell find go python/native -type d -o -name '*.go' -o -name '*.[ch]' -o -name '*.map')
PYTHON_CODE := $(wildcard setup.py build_backend tools python/hypern tests_py demo bench examples)
C_CODE := $(wildcard python/native/*.c python/native/*/*.c)
# Without go/abi, whose X-macros are laid out by hand.
C_FILES := $(C_CODE) $(wildcard python/native/*.h python/native/*/*.h)
GO_CODE := ./go/... ./tests/...
# The C extension alone is instrumented: the Go core and the interpreter are as ever.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g
ASAN_TESTS := tests_py/codec tests_py/types tests_py/differential/test_random_values.py \
    $(addprefix tests_py/test_,$(addsuffix .py,\
    async_cancel async_driven async_loops async_memory async_sessions async_tasks async_tls batch \
    async_turns async_wake async_watched bad_input execute_many finalize late_looks observability open_sessions \
    pool result row_scenarios row_types rows scope session stream transactions values))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo build test test/arm64 test/go test/peers test/poolers test/py test/race test/reliability test/servers \
    test/types test/asan test/versions test/wheels wheels audit release race asan soak bench lint \
    lint/tools lint/go lint/py lint/c fmt verify clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9\/]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## serve real requests on an embedded PostgreSQL, and prove that no money is lost
	$(PY) -m demo

build: $(VENV)/.built ## build the C extension and the Go core into python/hypern

test: test/go test/py ## run every test, on HYPERN_TEST_URL or an embedded PostgreSQL

test/go: build ## run the Go tests
	$(PY) -m tools.with_postgres go test -count=1 -timeout=10m $(GO_CODE)

test/py: build ## run the Python tests (PYTEST_ARGS=... for a few of them)
	$(PY) -m tools.run_tests $(PYTEST_ARGS)

test/reliability: build ## try every fault, fork and leftover; keeps docs/reliability.md (half an hour)
	HYPERN_RELIABILITY=full $(PY) -m pytest $(PYTEST_ARGS) tests_py/reliability \
	    tests_py/test_memory.py tests_py/test_processes.py tests_py/test_async_cancel.py \
	    tests_py/test_async_tasks.py
	HYPERN_RELIABILITY=full $(MAKE) --no-print-directory test/race
	$(MAKE) --no-print-directory test/asan

# Each pooler of Debian's unstable distribution, in each of its modes.
test/poolers: build ## try PgBouncer, Odyssey and Pgpool-II in each mode, downloaded once (15 minutes)
	$(PY) -m tools.poolers
	HYPERN_POOLERS=full $(PY) -m tools.run_tests $(PYTEST_ARGS) $(addprefix tests_py/test_,\
	    pgbouncer.py pooler_prepared.py pooler_setting.py listen.py execute_script.py result.py \
	    row_mismatch.py)

test/servers: build ## load and kill each web server; keeps docs/web-servers.md (10 minutes)
	HYPERN_RELIABILITY=full $(PY) -m pytest tests_py/web/test_servers.py \
		tests_py/web/test_atomic_servers.py

test/peers: build ## run others' suites on hypern and psycopg; keeps docs/peers.md (hours; PEERS_ARGS)
	PYTHONPATH=tests_py $(PY) -m tools.peers $(PEERS_ARGS)
	$(PY) -m tools.peers_django

test/types: build ## compare every type with other drivers, fuzz the decoders; keeps docs/types.md
	HYPERN_TYPES=full HYPERN_FUZZ_SECONDS=$${HYPERN_FUZZ_SECONDS:-60} $(PY) -m pytest \
	    tests_py/codec tests_py/types tests_py/differential

test/race: build ## run the Go tests with the race detector
	$(PY) -m tools.with_postgres go test -race -count=1 -timeout=20m $(GO_CODE)

# What test/race compiles, so that tests that measure time do not run beside a compiler.
race: build
	go test -race -count=1 -run='^$$' $(GO_CODE)

asan: build
	rm -rf build/asan && mkdir -p build/asan && cp -R python/hypern build/asan
	rm build/asan/hypern/_native.*.so
	CFLAGS="$(SANITIZE)" LDFLAGS="$(SANITIZE)" $(PY) setup.py --quiet build_ext \
	    --build-lib build/asan --build-temp build/asan-temp

test/asan: asan ## run the extension's tests under AddressSanitizer and UBSan (gcc)
	$(PY) -m tools.with_postgres env PYTHONPATH=build/asan PYTHONMALLOC=malloc \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0 UBSAN_OPTIONS=print_stacktrace=1 \
	    $(PY) -m tools.run_tests -p no:cacheprovider $(PYTEST_ARGS) $(ASAN_TESTS)

wheels: $(VENV)/.wheels ## build the wheels for each CPython and processor into dist/, and check them
	$(STRICT) nice $(PY) -m tools.wheels $(WHEELS_ARGS)

test/wheels: $(VENV)/.wheels ## install each wheel of dist/ in clean systems and try it (root; PLACES_ARGS)
	PYTHONPATH=tests_py nice $(PY) -m tools.wheels.places $(PLACES_ARGS)
	nice $(PY) -m tools.wheels.twice

test/arm64: $(VENV)/.wheels ## run the Python tests on arm64 by qemu, with a wheel of dist/ (root; hours)
	nice $(PY) -m tools.arm64 $(ARM64_ARGS)

audit: $(VENV)/.wheels ## look for known vulnerabilities in Go modules and in what the extras install
	$(PY) -m tools.audit

release: $(VENV)/.wheels ## check that dist/ is a release (RELEASE_TAG=v0.2.0), add the sdist and checksums
	$(PY) -m tools.release --tag "$(RELEASE_TAG)"

release/system: ## install what building and trying wheels needs of Debian or Ubuntu (root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends debian-archive-keyring \
	    debootstrap gcc libc6-dev make postgresql python3-dev python3-venv qemu-user-static

docs: build ## build the documentation site into build/site, and take no warning
	$(PY) -m mkdocs build --strict --quiet

docs/serve: build ## serve the documentation on http://127.0.0.1:8000, built again at each change
	$(PY) -m mkdocs serve

test/versions: $(VENV)/.wheels ## run the Python tests on each CPython and PostgreSQL there is (hours)
	PYTHONPATH=tests_py $(PY) -m tools.versions $(VERSIONS_ARGS)

soak: build ## mixed load and killed backends for SOAK_SECONDS (600): nothing lost, nothing grown
	PYTHONPATH=tests_py $(PY) -m reliability.soak $${SOAK_SECONDS:-600}

bench: build ## measure
	$(PY) -m bench

lint: lint/go lint/py lint/c ## check style, types and warnings in every language

lint/tools: $(VENV)/.golangci-lint-$(GOLANGCI_LINT_VERSION)

lint/go: lint/tools
	go vet $(GO_CODE)
	golangci-lint run $(GO_CODE)

lint/py: build
	ruff check $(PYTHON_CODE)
	ruff format --check $(PYTHON_CODE)
	mypy $(PYTHON_CODE)
	pyright --pythonpath $(PY) tests_py/typed_results.py tests_py/typed_rows.py \
	    tests_py/typed_sql.py
	stubtest hypern._native

lint/c: $(VENV)/.requirements
	@echo "compiler warnings: $(words $(C_CODE)) files of python/native"
	@$${CC:-cc} -fsyntax-only $$($(STRICT) $(PY) -m build_backend.extensions) $(C_CODE)
	clang-format --dry-run --Werror $(C_FILES)
	@echo "clang-tidy: see .clang-tidy for its checks"
	@printf '%s\n' $(C_CODE) | xargs -P $$(nproc) -I{} clang-tidy --quiet {} -- \
	    $$($(PY) -m build_backend.extensions)

fmt: $(VENV)/.requirements ## format C, Go and Python
	clang-format -i $(C_FILES)
	go fmt $(GO_CODE)
	ruff check --fix-only --select I $(PYTHON_CODE)
	ruff format $(PYTHON_CODE)

verify: build ## check that what is generated is up to date, and that the sdist builds
	go mod tidy -diff
	$(PY) tools/gen_sqlstate.py --check
	$(PY) tools/gen_saslprep.py --check
	$(PY) -m tools.check_exports
	$(PY) -m tools.third_party --check
	$(PY) -m build --quiet --no-isolation --outdir build/dist

clean: ## remove what was built, and .venv
	rm -rf $(VENV) build dist python/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f python/hypern/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.requirements: requirements-dev.txt go.mod build_backend/toolchain.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
	    "hypern needs Python 3.10 or later: make PYTHON=/path/to/one")'
	@echo "Python environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --requirement requirements-dev.txt \
	    $$($(PY) -m build_backend.toolchain)
	@touch $@

# A new recipe installs the package anew, which builds it too; new sources are only built.
$(VENV)/.built: $(VENV)/.requirements $(RECIPES) $(SOURCES)
	$(if $(filter $(VENV)/.requirements $(RECIPES),$?),$(INSTALL),$(BUILD))
	@touch $@

$(VENV)/.wheels: $(VENV)/.built requirements-wheels.txt
	$(PY) -m pip install --quiet --requirement requirements-wheels.txt
	@touch $@

$(VENV)/.golangci-lint-$(GOLANGCI_LINT_VERSION): $(VENV)/.requirements
	@echo "golangci-lint $(GOLANGCI_LINT_VERSION) (some minutes the first time)"
	GOBIN=$(CURDIR)/$(VENV)/bin go install \
	    github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@touch $@
