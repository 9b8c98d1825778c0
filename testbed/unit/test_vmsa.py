#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's check of records of encrypted vCPUs, compiled from the same file: see vmsa/.

FUZZ=long: ten minutes of random records instead of a second; with clang and
libFuzzer if they are here, and then testbed/unit/vmsa/corpus grows.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vmsa")
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SVM = os.path.join(TOP, "arch/x86/kvm/svm")
RECORD = "uapi/linux/sev-vcpu-record.h"
SOURCES = [os.path.join(HERE, "vmsa_unit.c"), os.path.join(SVM, "vmsa.c")]
HEADERS = """linux/kvm_host.h linux/kvm_types.h linux/string.h asm/fpu/xcr.h cpuid.h mmu.h svm.h
x86.h""".split()
LONG = os.environ.get("FUZZ") == "long"


def shims(work):
    """Headers of the kernel that are not ours lead to the stubs."""
    folder = os.path.join(work, "include")
    for h in HEADERS + [RECORD]:
        path = os.path.join(folder, h)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        target = "stubs.h" if h in HEADERS else os.path.join(TOP, "include", h)
        with open(path, "w") as f:
            f.write('#include "%s"\n' % target)
    return folder


def build(work, compiler, *flags, sources=SOURCES):
    program = os.path.join(work, os.path.basename(compiler))
    subprocess.run([compiler, "-g", "-O1", "-Wall", "-Werror", "-Wno-unused-function",
                    "-Wno-unused-const-variable", "-include", os.path.join(HERE, "stubs.h"),
                    "-I", shims(work), "-I", HERE, "-I", SVM] + list(flags) + sources +
                   ["-o", program], check=True)
    return program


class Vmsa(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix="kvm-sev-unit-")
        cls.program = build(cls.work, "gcc", "-fsanitize=address,undefined",
                            "-fno-sanitize-recover=all")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work)

    def run_it(self, *args, limit=60):
        p = subprocess.run([self.program] + list(args), stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=limit)
        self.assertEqual(p.returncode, 0, p.stdout)
        return p.stdout

    def test_bits(self):
        self.assertIn("bits", self.run_it("bits"))

    def test_rules(self):
        self.assertIn("rules", self.run_it("rules"))

    def test_corpus(self):
        files = glob.glob(os.path.join(HERE, "corpus", "*"))
        self.assertTrue(files)
        self.run_it(*files)

    def test_random(self):
        self.assertIn("taken", self.run_it("fuzz", "300" if LONG else "1", limit=400))

    def test_a_lost_check_is_found(self):
        """Without any one of the lines of its checks, the program has to complain."""
        with open(os.path.join(SVM, "vmsa.c")) as f:
            source = f.read()
        checks = ["!(rec->flags & ~SEV_VCPU_FLAGS) &&", "rec->size >= sizeof(*rec) &&",
                  "!memchr_inv(rec->reserved, 0, sizeof(rec->reserved))",
                  "!(rec->efer & EFER_SVME) &&", "!(rec->cr8 & CR8_RESERVED_BITS) &&",
                  "rec->sev_features == sev->ctx->vmsa_features &&",
                  "!debug_regs_ok(rec) ||", "!ghcb_msr_ok(vcpu, rec)"]
        for check in checks:
            self.assertEqual(source.count(check), 1, check)
            without = "0" if check.startswith("!ghcb") else "1" if check.startswith("!mem") else ""
            mutant = os.path.join(self.work, "mutant.c")
            with open(mutant, "w") as f:
                f.write(source.replace(check, without))
            folder = os.path.join(self.work, "mutant")
            os.makedirs(folder, exist_ok=True)
            program = build(folder, "gcc", sources=[SOURCES[0], mutant])
            p = subprocess.run([program, "rules"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=60)
            self.assertNotEqual(p.returncode, 0, check)

    @unittest.skipUnless(LONG and shutil.which("clang"), "FUZZ=long and clang only")
    def test_libfuzzer(self):
        try:
            fuzzer = build(self.work, "clang", "-DLIBFUZZER", "-fsanitize=fuzzer,address,undefined")
        except subprocess.CalledProcessError:
            self.skipTest("this clang has no libFuzzer (libclang-rt-dev)")
        p = subprocess.run([fuzzer, "-max_total_time=300", "-verbosity=0", "-max_len=128",
                            os.path.join(HERE, "corpus")], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        self.assertEqual(p.returncode, 0, p.stdout[-4000:])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
