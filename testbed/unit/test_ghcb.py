#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's VMGEXIT checks, compiled here from the same files: see ghcb/.

FUZZ=long: ten minutes of random requests instead of a second; with clang and
libFuzzer if they are here, and then testbed/unit/ghcb/corpus grows.
"""
import sys
import unittest

import userland

SOURCES = ["ghcb_unit.c", "ghcb_events.c", "ghcb_psc.c"]
HEADERS = """linux/bitfield.h linux/bits.h linux/build_bug.h linux/kvm_host.h linux/kvm_para.h
linux/kvm_types.h linux/nospec.h linux/overflow.h asm/fpu/xcr.h asm/msr.h asm/svm.h
asm/sev-common.h cpuid.h kvm_cache_regs.h svm.h x86.h""".split()
OWN = {"asm/sev-ghcb.h": "arch/x86/include/asm/sev-ghcb.h"}
FLAGS = ["-Wno-address-of-packed-member", "-Wno-unused-variable",
         "-Wno-unused-but-set-variable"]


class Ghcb(userland.Program):
    @classmethod
    def build(cls, name, compiler, *flags):
        build = userland.Build("ghcb", cls.work, HEADERS, OWN, FLAGS)
        return build.compile(name, SOURCES, *flags, compiler=compiler)

    def test_each_row(self):
        self.passes("events", "table")

    def test_corpus(self):
        self.corpus("ghcb")

    def test_random(self):
        self.fuzz("inputs")

    def test_libfuzzer(self):
        self.libfuzzer("ghcb")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
