#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What testbed/vm and testbed/test make of bad input: no build, and a message that
names what is wrong; and which lines of the console are a command's."""
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import unittest

TESTBED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, TESTBED)
import host

loader = importlib.machinery.SourceFileLoader("vm", os.path.join(TESTBED, "vm"))
sys.dont_write_bytecode = True
vm = importlib.util.module_from_spec(importlib.util.spec_from_loader("vm", loader))
loader.exec_module(vm)

# The words that choose the host are the caller's own: none of them here.
CLEAN = {k: v for k, v in os.environ.items() if k not in """T KERNEL KASAN CMD ADD SNP SEV SMP
MEM QEMU QEMU_ARGS TIMEOUT HEAVY MAKEFLAGS""".split()}


class BadInput(unittest.TestCase):
    def refused(self, why, tool, *args, **environment):
        p = subprocess.run([os.path.join(TESTBED, tool)] + list(args), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=60,
                           env=dict(CLEAN, **environment))
        self.assertEqual(p.returncode, 1, p.stderr)
        self.assertRegex(p.stderr, "^error: [^\n]*\n$")      # not even a step of a build
        self.assertIn(why, p.stderr)

    def test_settings(self):
        for name, value in (("SMP", "9"), ("SMP", "0"), ("SMP", "two"), ("MEM", "4"), ("MEM", "lots"),
                            ("TIMEOUT", "x"), ("KASAN", "yes"), ("SNP", "2"), ("KERNEL", "7.3"),
                            ("QEMU", "/nonsense"), ("QEMU_ARGS", "'"), ("ADD", "'")):
            self.refused("%s=%s: " % (name, value), "vm", "exec", "true", **{name: value})
        self.refused("SMP=9: ", "test", SMP="9")
        self.refused("KERNEL=7.3: ", "guest", KERNEL="7.3")

    def test_files(self):
        self.refused("no such file to add: /nonsense", "vm", "exec", "true", "/nonsense")
        self.refused("no such file to add: /nonsense", "vm", "shell", ADD="/ /nonsense")
        self.refused("no such file to add: /nonsense", "vm", "pair", "a", "b", "/nonsense")

    def test_nothing_to_run(self):
        self.refused("nothing to run", "vm", "exec")
        self.refused("two commands", "vm", "pair", "true")

    def test_proof_of_nothing(self):
        self.refused("none of these proves a fix", "test", "--proof", T="sev_smoke_test")
        self.refused("none of these is a unit test", "test", "--unit", T="sev_smoke_test")


class Said(unittest.TestCase):
    def said(self, *lines):
        said, out = vm.Said("> "), []
        vm.print = lambda text, flush: out.append(text)
        for line in lines:
            said.show(line)
        return out

    def test_begin_and_end(self):
        self.assertEqual(self.said("boot", "### go", "a", "### b", "### gone", "power down"),
                         ["> a", "> ### b"])

    def test_no_end_of_line(self):
        self.assertEqual(self.said("### go", "a### gone", "power down"), ["> a"])

    def test_status_is_the_commands(self):
        for status in (0, 3):
            p = subprocess.run(["sh", "-c", vm.Said.script("printf 'a b'; exit %d" % status)],
                               stdout=subprocess.PIPE, text=True)
            self.assertEqual((p.returncode, p.stdout), (status, "### go\na b### gone\n"))


class End(unittest.TestCase):
    def told(self, *lines):
        h = host.Host.__new__(host.Host)
        h.lines, h.console_log = list(lines), "/log"
        return host.died(h)

    def test_each(self):
        self.assertIn("did not start", self.told("qemu-system-x86_64: -m lots: wrong"))
        self.assertIn("died before its command ended", self.told("[    1.000000] Linux version"))
        self.assertIn("TIMEOUT", self.told("[    1.000000] Linux", host.EXPIRED + " 9 s, killed"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
