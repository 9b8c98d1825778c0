#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's check of records of encrypted vCPUs, compiled from the same file: see vmsa/.

FUZZ=long: ten minutes of random records instead of a second; with clang and
libFuzzer if they are here, and then testbed/unit/vmsa/corpus grows.
"""
import os
import subprocess
import sys
import unittest

import userland

HEADERS = """linux/kvm_host.h linux/kvm_types.h linux/string.h asm/fpu/xcr.h cpuid.h mmu.h svm.h
x86.h""".split()
RECORD = "uapi/linux/sev-vcpu-record.h"
FLAGS = ["-Wno-unused-const-variable", "-include", os.path.join(userland.UNIT, "vmsa/stubs.h")]

# Lines of the kernel's check, and what is left of the condition without each.
CHECKS = {
    "!(rec->flags & ~SEV_VCPU_FLAGS) &&": "",
    "rec->size >= sizeof(*rec) &&": "",
    "!memchr_inv(rec->reserved, 0, sizeof(rec->reserved))": "1",
    "!(rec->efer & EFER_SVME) &&": "",
    "!(rec->cr8 & CR8_RESERVED_BITS) &&": "",
    "rec->sev_features == sev->ctx->vmsa_features &&": "",
    "!debug_regs_ok(rec) ||": "",
    "!ghcb_msr_ok(vcpu, rec)": "0",
}


class Vmsa(userland.Program):
    @classmethod
    def build(cls, name, compiler, *flags, check="vmsa.c"):
        build = userland.Build("vmsa", cls.work, HEADERS, {RECORD: "include/" + RECORD}, FLAGS)
        return build.compile(name, ["vmsa_unit.c", check], *flags, compiler=compiler)

    def test_bits(self):
        self.passes("bits", "bits")

    def test_rules(self):
        self.passes("rules", "rules")

    def test_corpus(self):
        self.corpus("vmsa")

    def test_random(self):
        self.fuzz("taken")

    def test_a_lost_check_is_found(self):
        """Without any one of the lines of its checks, the program has to complain."""
        with open(os.path.join(userland.SVM, "vmsa.c")) as f:
            source = f.read()
        for check, left in CHECKS.items():
            self.assertEqual(source.count(check), 1, check)
            mutant = os.path.join(self.work, "mutant.c")
            with open(mutant, "w") as f:
                f.write(source.replace(check, left))
            program = self.build("mutant", "gcc", "-O1", check=mutant)
            p = subprocess.run([program, "rules"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=60)
            self.assertNotEqual(p.returncode, 0, check)

    def test_libfuzzer(self):
        self.libfuzzer("vmsa", "-max_len=128")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
