#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What a guest has to say of itself, and each lack of it."""
import importlib.machinery
import importlib.util
import os
import sys
import unittest

BED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, BED)
loader = importlib.machinery.SourceFileLoader("guest", os.path.join(BED, "guest"))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_loader("guest", loader)
guest = importlib.util.module_from_spec(spec)
loader.exec_module(guest)

BOOT = ["cpus 4", "kernel 7.3.4", "worked 4", "stacks 4", "hotplugged 3", "report UkVQT1JU"]


def console(name, first=(), second=None, watched="watched 12"):
    """What the guest prints; @first, @second: without these lines."""
    memory = "memory " + guest.KINDS[name].memory
    lines = [l for l in [memory] + BOOT + [watched, "end"] if l not in first]
    if second is not None:
        lines += ["again"] + [l for l in [memory] + BOOT + ["end"] if l not in second]
    return ["[    1.5] guest: " + l for l in lines]


class Accepting:
    def problem(self, report, g):
        return "" if report == "UkVQT1JU" else "another report"


def judge(name, lines, status=0):
    g = guest.Guest(name, 4, "00")
    for line in lines:
        g.feed(line)
    g.status = status
    g.verify(Accepting())
    return g.problem(1)


class Boots(unittest.TestCase):
    def test_good(self):
        self.assertEqual(judge("sev-snp", console("sev-snp")), "")
        self.assertEqual(judge("sev-snp-next", console("sev-snp-next", second=())), "")
        self.assertEqual(judge("sev-snp-reset", console("sev-snp-reset", second=())), "")

    def test_each_line_of_each_boot_is_needed(self):
        for lack in [l for l in BOOT if not l.startswith("kernel")] + ["end"]:
            self.assertTrue(judge("sev-snp-next", console("sev-snp-next", [lack], ())), lack)
            self.assertTrue(judge("sev-snp-next", console("sev-snp-next", (), [lack])), lack)

    def test_the_second_boot_is_not_encrypted(self):
        lines = console("sev-snp-next", second=())
        lines = lines[:10] + [l.replace("SEV-SNP", "") for l in lines[10:]]
        self.assertIn("memory", judge("sev-snp-next", lines))

    def test_no_second_boot(self):
        self.assertIn("1 boots", judge("sev-snp-next", console("sev-snp-next")))

    def test_a_boot_too_many(self):
        self.assertIn("2 boots", judge("sev-snp", console("sev-snp", second=())))

    def test_another_report_after_kexec(self):
        lines = console("sev-snp-next", second=())
        lines[-2] = lines[-2].replace("UkVQT1JU", "AAAA")
        self.assertIn("another report", judge("sev-snp-next", lines))

    def test_killed(self):
        self.assertIn("137", judge("sev-snp", console("sev-snp"), 137))

    def test_host_died(self):
        self.assertIn("died", judge("sev-snp", console("sev-snp"), None))

    def test_complaint(self):
        lines = console("sev-snp") + ["guest: complaint [ 1.0] BUG: x"]
        self.assertIn("BUG", judge("sev-snp", lines))


class Hotplug(unittest.TestCase):
    def test_how_often(self):
        self.assertEqual([guest.KINDS[k].rounds(20) for k in ("plain", "sev-es", "sev-snp")],
                         [20, 20, 1])

    def test_one_too_few(self):
        lines = [l.replace("hotplugged 3", "hotplugged 2")
                 for l in console("sev-snp-next", second=())]
        self.assertIn("2, not 3", judge("sev-snp-next", lines))


class Watchpoint(unittest.TestCase):
    def hits(self, name, watched):
        second = () if guest.KINDS[name].boots > 1 else None
        return judge(name, console(name, second=second, watched=watched))

    def test_a_hit_less_or_more(self):
        for n in (0, 11, 13):
            self.assertIn("hits", self.hits("sev-snp-next", "watched %d" % n))

    def test_nothing_said(self):
        self.assertIn("nothing", self.hits("sev-snp-next", "kernel x"))

    def test_none_without_debug_swap(self):
        self.assertEqual(self.hits("sev-snp-watch", "watched 0"), "")
        self.assertIn("hits", self.hits("sev-snp-watch", "watched 12"))


if __name__ == "__main__":
    unittest.main()
