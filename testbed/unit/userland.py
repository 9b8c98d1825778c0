# SPDX-License-Identifier: GPL-2.0
"""Files of the kernel, compiled as programs of this machine.

What such a file includes is a header of its own or of the series, taken as it
is, or stands in for the rest of the kernel: then it leads to the stubs.h of the
program's folder, which says what each piece of KVM is there.
"""
import atexit
import glob
import os
import shutil
import subprocess
import tempfile
import unittest

UNIT = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(UNIT))
SVM = os.path.join(TOP, "arch/x86/kvm/svm")
SANITIZE = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
LONG = os.environ.get("FUZZ") == "long"


class Build:
    """How a program is made: @folder has its own files and stubs.h, @stubbed names
    the headers that lead there, @own those of the series: {name: path in the project}."""

    def __init__(self, folder, work, stubbed, own=None, flags=()):
        self.folder, self.work = os.path.join(UNIT, folder), work
        shims = os.path.join(work, "include")
        leads = {h: os.path.join(self.folder, "stubs.h") for h in stubbed}
        leads.update((h, os.path.join(TOP, path)) for h, path in (own or {}).items())
        for header, target in leads.items():
            path = os.path.join(shims, header)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write('#include "%s"\n' % target)
        self.flags = ["-g", "-Wall", "-Werror", "-Wno-unused-function",
                      "-DCONFIG_KVM_AMD_SEV=1", "-I", shims, "-I", self.folder,
                      "-I", UNIT, "-I", SVM] + list(flags)

    def path(self, source):
        """Of the kernel's or the program's own, by its name."""
        own = os.path.join(self.folder, source)
        return own if os.path.exists(own) else os.path.join(SVM, source)

    def objects(self, sources):
        """{source: its object}, for programs that differ in one of many."""
        objects = {s: os.path.join(self.work, os.path.basename(s) + ".o") for s in sources}
        for source, o in objects.items():
            subprocess.run(["gcc", "-c"] + self.flags + [self.path(source), "-o", o], check=True)
        return objects

    def compile(self, name, sources, *flags, compiler="gcc"):
        program = os.path.join(self.work, name)
        subprocess.run([compiler] + self.flags + list(flags) +
                       [self.path(s) for s in sources] + ["-o", program], check=True)
        return program


class Program(unittest.TestCase):
    """Tests of one such program; a class of tests has a build() of its own."""

    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix="kvm-sev-unit-")
        atexit.register(shutil.rmtree, cls.work)    # upon Ctrl-C as well
        cls.program = cls.build("program", "gcc", *SANITIZE)

    def passes(self, word, *args, limit=120):
        p = subprocess.run([self.program] + list(args), stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=limit)
        self.assertEqual(p.returncode, 0, p.stdout)
        self.assertIn(word, p.stdout)

    def corpus(self, folder):
        files = glob.glob(os.path.join(UNIT, folder, "corpus", "*"))
        self.assertTrue(files)
        self.passes("", *files)

    def fuzz(self, word):
        """Seconds of random input; the length by FUZZ."""
        self.passes(word, "fuzz", "300" if LONG else "1", limit=400)

    def libfuzzer(self, folder, *flags):
        """The same with a fuzzer that sees which way the code goes; the corpus grows."""
        if not LONG or not shutil.which("clang"):
            self.skipTest("FUZZ=long and clang only")
        try:
            fuzzer = self.build("fuzzer", "clang", "-O1", "-DLIBFUZZER",
                                "-fsanitize=fuzzer,address,undefined")
        except subprocess.CalledProcessError:
            self.skipTest("this clang has no libFuzzer (libclang-rt-dev)")
        p = subprocess.run([fuzzer, "-max_total_time=300", "-verbosity=0", *flags,
                            os.path.join(UNIT, folder, "corpus")], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        self.assertEqual(p.returncode, 0, p.stdout[-4000:])
