# demo, test, check, bench and fuzz each install what they need first: Debian packages when one is
# missing, and a virtual environment that follows the lock file.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What wgctl runs with, then what its tests and the demo look through; nmcli and networkd read our
# configs, and QEMU boots a kernel that has WireGuard.
DEBIAN := python3-venv wireguard-go wireguard-tools nftables iproute2 \
          bind9-dnsutils curl iputils-ping procps
test test-%: DEBIAN += groff-base network-manager systemd dmsetup unbound knot-dnsutils \
                       pebble openssl
test test-% bench bench-gateway: DEBIAN += qemu-system-x86 busybox-static cpio kmod e2fsprogs xz-utils

PARTS := test-unit-1 test-unit-2 test-system-1 test-system-2 test-guest test-server
.PHONY: help venv demo test test-unit test-system $(PARTS) check bench bench-dns bench-gateway \
        fuzz format lock install uninstall packages compiled collected clean

# What tests/kernel boots: Debian's kernel and systemd-resolved, unpacked and not installed.
CACHE := .cache/kernel
GUEST := $(CACHE)/initramfs
# What pip installs there, where no index can be reached.
WHEELS := $(CACHE)/wheels/.ready
# Tests that make whole hosts, and all others, each in two halves of a length, since they wait a lot;
# tests/kernel makes whole machines.
SYSTEM := tests/system tests/systemd tests/examples
SYSTEM_1 := $(wildcard tests/system/test_[a-m]*.py)
SYSTEM_2 := $(filter-out $(SYSTEM_1),$(wildcard tests/system/test_*.py)) tests/systemd tests/examples
UNIT_2 := tests/daemon tests/drivers tests/peers tests/services tests/store

help:
	@echo "make venv    Debian packages, and a virtual environment in .venv with the command wgctl"
	@echo "make demo    a private network in namespaces of its own, shown command by command"
	@echo "make test    every test (as root: some make network namespaces); test-unit, test-system,"
	@echo "             test-guest and test-server are its parts"
	@echo "make check   lint, format, types, and the floors of the house"
	@echo "make bench   the figures"
	@echo "make bench-dns  those of the resolver alone; QUICK=1: beside NSD alone, in a minute or two"
	@echo "make bench-gateway  those of programming a gateway; QUICK=1: with fewer peers"
	@echo "make fuzz    made-up messages, RUNS each of askers and of upstreams, against the rules of"
	@echo "             the resolver's replies"
	@echo "make format  mend what the formatter can"
	@echo "make lock    write both lock files anew, at the newest versions"
	@echo "make clean   take away the virtual environment and every cache"
	@echo
	@echo "make install    as root: wgctl below /opt/wgctl, units, man pages; again for an upgrade"
	@echo "make uninstall  takes that away, and leaves state, config and users"

venv: packages compiled

demo: packages compiled
	@WGCTL=$(abspath $(BIN))/wgctl examples/demo

# All at once, and each to its end: a guest has one processor, and tests of hosts wait a lot.
test: packages $(READY) $(GUEST) $(WHEELS) compiled collected
	@$(MAKE) --no-print-directory --jobs=6 --keep-going $(PARTS)

# Guests take the longest: they get twice as much of a processor, and no more, since what waits for a
# process that gets none fails.
test-unit-% test-system-%: PYTEST := nice -n 3 $(BIN)/pytest
test-guest test-server: PYTEST := $(BIN)/pytest

test-unit: test-unit-1 test-unit-2
test-unit-1: packages $(READY)
	$(PYTEST) $(foreach part,$(UNIT_2) $(SYSTEM) tests/kernel,--ignore=$(part))

test-unit-2: packages $(READY)
test-unit-2: TESTS := $(UNIT_2)
test-system: test-system-1 test-system-2
test-system-1 test-system-2: packages $(READY) $(WHEELS)
test-guest test-server: packages $(READY) $(GUEST) $(WHEELS)
test-system-1: TESTS := $(SYSTEM_1)
test-system-2: TESTS := $(SYSTEM_2)
test-guest: TESTS := tests/kernel/test_guest.py
test-server: TESTS := tests/kernel/test_server.py

# Their lines come when they have ended, not between those of the others.
test-unit-2 test-system-1 test-system-2 test-guest test-server:
	@mkdir -p .cache; said=.cache/$@.log; \
	echo "$(PYTEST) $(TESTS)   (to follow it: tail -f $$said)"; \
	$(PYTEST) $(TESTS) >$$said 2>&1; \
	status=$$?; echo; cat $$said; exit $$status

# Where Python may write no bytecode, each of the hundreds of processes would compile it all; an
# installed wgctl never does, so that nothing else is to be measured.
compiled: $(READY)
	@$(BIN)/python -m compileall -q wgctl peers tests

# An emulated process takes half a minute for what pytest makes of the tests.
collected: compiled
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --collect-only -qq >/dev/null || true

check: packages $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# What our resolver is compared with.
bench bench-dns: DEBIAN += nsd unbound dnsmasq-base
bench-dns: packages compiled
	@$(BIN)/python -m tests.bench.dns

bench: packages compiled bench-gateway
	$(BIN)/python -m tests.bench.dns
	$(BIN)/python -m tests.bench.start
	$(BIN)/python -m tests.bench.propagation
	$(BIN)/python -m tests.bench.forwarding
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.api

# What programming a gateway costs, beside wg; with QUICK=1 in a minute or two.
bench-gateway: packages compiled $(GUEST)
	$(BIN)/python -m tests.bench.gateway

# What reaches new code is kept, and is where the next run begins.
RUNS ?= 1000000
FUZZ = $(BIN)/python -m tests.fuzz
FUZZING = -runs=$(RUNS) -max_len=512 -artifact_prefix=.cache/fuzz/
fuzz: packages $(READY)
	@mkdir -p .cache/fuzz/responder .cache/fuzz/upstream
	$(FUZZ) responder $(FUZZING)responder-crash- .cache/fuzz/responder
	$(FUZZ) upstream $(FUZZING)upstream-crash- .cache/fuzz/upstream

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url

# All for a checkout; then, at the same versions, what an installed wgctl runs with.
lock: $(READY)
	$(LOCK) --extra dev --upgrade --output-file requirements.lock pyproject.toml
	$(LOCK) --constraint requirements.lock --output-file runtime.lock pyproject.toml

install: packages
	@DESTDIR=$(DESTDIR) systemd/install

uninstall:
	@DESTDIR=$(DESTDIR) systemd/install remove

packages:
	@there=$$(dpkg-query --show --showformat='/$${Package} $${db:Status-Status}/' $(DEBIAN) \
		2>/dev/null); \
	missing=""; \
	for package in $(DEBIAN); do \
		case $$there in *"/$$package installed/"*) ;; *) missing="$$missing $$package" ;; esac; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing Debian packages:$$missing"; \
		if [ "$$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi; \
		$$sudo apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -qq --yes \
			--no-install-recommends $$missing >/dev/null; \
	fi

$(GUEST): tests/kernel/prepare tests/kernel/init tests/kernel/hidden | packages
	@tests/kernel/prepare $(@D)

$(WHEELS): runtime.lock | $(READY)
	@rm -rf $(@D)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes \
		--requirement runtime.lock --dest $(@D)
	@touch $@

$(READY): requirements.lock pyproject.toml
	@echo "installing Python packages of requirements.lock into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
