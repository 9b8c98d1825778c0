#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's VMGEXIT checks, compiled here from the same files: see ghcb/.

FUZZ=long: ten minutes of random requests instead of a second; with clang and
libFuzzer if they are here, and then testbed/unit/ghcb/corpus grows.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ghcb")
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SVM = os.path.join(TOP, "arch/x86/kvm/svm")
SOURCES = [os.path.join(HERE, "ghcb_unit.c"), os.path.join(SVM, "ghcb_events.c"),
           os.path.join(SVM, "ghcb_psc.c")]
HEADERS = """linux/bitfield.h linux/bits.h linux/build_bug.h linux/kvm_host.h linux/kvm_para.h
linux/kvm_types.h linux/nospec.h linux/overflow.h asm/fpu/xcr.h asm/msr.h asm/svm.h
asm/sev-common.h cpuid.h kvm_cache_regs.h svm.h x86.h""".split()
LONG = os.environ.get("FUZZ") == "long"


def build(work, compiler, *flags):
    """Headers of the kernel that are not ours lead to the stubs."""
    shims = os.path.join(work, "include")
    for h in HEADERS + ["asm/sev-ghcb.h"]:
        path = os.path.join(shims, h)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        target = "stubs.h" if h in HEADERS else os.path.join(TOP, "arch/x86/include", h)
        with open(path, "w") as f:
            f.write('#include "%s"\n' % target)
    program = os.path.join(work, os.path.basename(compiler))
    subprocess.run([compiler, "-g", "-O1", "-Wall", "-Werror", "-Wno-unused-function",
                    "-Wno-address-of-packed-member", "-Wno-unused-variable",
                    "-Wno-unused-but-set-variable", "-DCONFIG_KVM_AMD_SEV=1",
                    "-I", shims, "-I", HERE, "-I", SVM] + list(flags) + SOURCES + ["-o", program],
                   check=True)
    return program


class Ghcb(unittest.TestCase):
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

    def test_each_row(self):
        self.assertIn("events", self.run_it("table"))

    def test_corpus(self):
        files = glob.glob(os.path.join(HERE, "corpus", "*"))
        self.assertTrue(files)
        self.run_it(*files)

    def test_random(self):
        self.assertIn("inputs", self.run_it("fuzz", "300" if LONG else "1", limit=400))

    @unittest.skipUnless(LONG and shutil.which("clang"), "FUZZ=long and clang only")
    def test_libfuzzer(self):
        try:
            fuzzer = build(self.work, "clang", "-DLIBFUZZER", "-fsanitize=fuzzer,address,undefined")
        except subprocess.CalledProcessError:
            self.skipTest("this clang has no libFuzzer (libclang-rt-dev)")
        p = subprocess.run([fuzzer, "-max_total_time=300", "-verbosity=0",
                            os.path.join(HERE, "corpus")], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        self.assertEqual(p.returncode, 0, p.stdout[-4000:])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
