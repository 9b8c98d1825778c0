# SPDX-License-Identifier: GPL-2.0
# Thin: each target calls a script of testbed/, which says what it does.

MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.DEFAULT_GOAL := help

# Handed on to the scripts as they are, '$' included.
vars := T KERNEL KASAN CMD ADD SNP SMP MEM BENCH BENCH_GATE
$(foreach v,$(vars),$(if $(filter undefined,$(origin $(v))),,$(eval override $(v) := $$(value $(v)))$(eval export $(v))))

#: the two commands of the README (./run and ./test install what they need)
run: setup        # boot the emulated host, launch Debian in it, as each kind of guest
	@testbed/guest
test: setup       # every test of every rung, KTAP; T="name glob*" KERNEL=base
	@testbed/test
#: more tests
proof: setup      # on the unpatched base: the tests that prove a fix must fail
	@testbed/test --proof
unit:             # the userland rung alone: a minute, no kernel tree
	@testbed/test --unit
bench: setup      # measurements: name, base, series, ratio; BENCH="speed rate cost"
	@testbed/bench
check: setup      # checkpatch, sparse, W=1, each patch builds on its own; QUICK=1
	@testbed/check
#: by hand (also: testbed/vm)
shell: setup      # a prompt in the emulated host; KERNEL=base SNP=0 SMP= MEM= KASAN=1
	@testbed/vm shell
exec: setup       # run CMD='...' in the emulated host with ADD='files folders'
	@testbed/vm exec
#: the series (also: testbed/series help)
series: setup     # out/series/*.patch for 'git am', applied once to prove it
	@testbed/series linux verify
refresh: setup    # commits made in out/tree/{linux,qemu} back to patches and overlay
	@testbed/series linux refresh
	@test ! -e out/tree/qemu/.git || testbed/series qemu refresh
tree: setup       # assemble out/tree/linux and out/tree/qemu
	@testbed/series linux assemble
	@testbed/series qemu assemble
compile_commands.json: setup  # for clangd, from the last builds, at the overlay's paths
	@testbed/compile-commands
clean:            # remove out/ (the cache stays: see testbed/fetch)
	@testbed/series linux status
	@testbed/series qemu status
	rm -rf out compile_commands.json

setup:
	@testbed/setup

help:
	@echo 'kvm-sev: a KVM series for SEV-ES and SNP hosts, and the emulated host to prove it on'
	@sed -nE -e 's/^#: (.*)/\n\1/p' \
		-e 's/^([a-z_.]+):.*# (.*)/  make \1\t\2/p' Makefile | expand -t 8,28

.PHONY: run test proof unit bench check shell exec series refresh tree clean setup help compile_commands.json
