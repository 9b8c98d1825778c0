#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What tests want said on the console, and hosts that are to end."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import console
import host
import ktap

RULE = console.Rule(r"""
	stores to PFN (?P<pfn>0x[0-9a-f]+), RMP entry (?P<entry>\[.*\])
	BUG: unable to handle page fault
	PF: error_code\(0x80000003\) - RMP violation
	SEV-SNP: PFN {pfn}, RMP entry: {entry}
	Kernel panic
""", dies=True)

BOOT = "[    0.000000] Linux version 6.12.117\n### begin a_test".split("\n")
DEATH = """# the host stores to PFN 0x1009de, RMP entry [0x4010000100000001 - 0x000000000000000f]
[    6.123766] BUG: unable to handle page fault for address: ffff8881009de000
[    6.125890] #PF: error_code(0x80000003) - RMP violation
[    6.127062] SEV-SNP: PFN 0x1009de, RMP entry: [0x4010000100000001 - 0x000000000000000f]
[    6.127257] Oops: Oops: 0003 [#1] SMP
[    6.133421] Call Trace:
[    6.139990] Kernel panic - not syncing: Fatal exception""".split("\n")


def judge(lines, results=(), status=None, rule=RULE, firmware=()):
    return [(v.kind, v.why) for v in ktap.judge_boot(["a_test"], lines, results, status,
                                                     {"a_test": rule}, firmware)]


def without(word):
    return [l for l in DEATH if word not in l]


class Dies(unittest.TestCase):
    def fails(self, lines, word, **more):
        kind, why = judge(BOOT + lines, **more)[0]
        self.assertEqual(kind, "fail")
        self.assertIn(word, why)

    def test_as_described(self):
        self.assertEqual(judge(BOOT + DEATH), [("pass", "")])

    def test_lives_on(self):
        alive = ["ok 1 private", "### end a_test", "[ 9.0] reboot: Power down"]
        self.fails(DEATH[:1] + alive, "lived on", results=[("a_test", 0, 1.0)], status=0)
        self.fails(DEATH[:1] + ["not ok 1 private"] + alive[1:], "lived on",
                   results=[("a_test", 1, 1.0)], status=0)

    def test_skips(self):
        v = judge(BOOT + ["1..0 # SKIP no /dev/mem", "### end a_test"], [("a_test", 4, 1.0)], 0)
        self.assertEqual(v[0][0], "skip")

    def test_hangs(self):
        self.fails(DEATH[:1] + ["# testbed: no end after 240 s, killed"], "lacks")

    def test_another_fault(self):
        other = DEATH[2].replace("0x80000003", "0x0003").replace("RMP", "permissions")
        self.fails(DEATH[:2] + [other] + DEATH[4:], "RMP violation")

    def test_rmp_bit_alone(self):
        self.fails(without("RMP violation"), "RMP violation")

    def test_another_page(self):
        self.fails([l.replace("SEV-SNP: PFN 0x1009de", "SEV-SNP: PFN 0x1009df") for l in DEATH],
                   "{pfn}")

    def test_another_state_of_the_page(self):
        self.fails([l.replace("entry: [0x4010", "entry: [0x0010") for l in DEATH], "{entry}")

    def test_no_panic(self):
        self.fails(without("panic"), "Kernel panic")

    def test_trouble_before(self):
        bad = "[ 6.0] WARNING: CPU: 1 PID: 77 at arch/x86/kvm/svm/sev.c:1 f+0x1/0x2"
        self.fails(DEATH[:1] + [bad] + DEATH[1:], "before")

    def test_second_oops(self):
        self.fails(DEATH[:-1] + ["[ 6.2] Oops: Oops: 0000 [#2] SMP"] + DEATH[-1:], "2 oopses")

    def test_trouble_at_boot_is_the_boots(self):
        bad = "[ 0.1] BUG: unable to handle page fault for address: 0"
        self.assertEqual([k for k, _ in judge([bad] + BOOT + DEATH)], ["pass", "fail"])

    def test_never_began(self):
        self.assertEqual(judge(BOOT[:1])[0][0], "fail")


class Says(unittest.TestCase):
    RULE = console.Rule("first \\d\nsecond")
    END = ["### end a_test"]

    def judge(self, lines, rc=0):
        return judge(BOOT + lines + self.END, [("a_test", rc, 1.0)], 0, self.RULE)[0][0]

    def test_said(self):
        self.assertEqual(self.judge(["first 1", "more", "second"]), "pass")

    def test_not_all_said(self):
        self.assertEqual(self.judge(["first 1"]), "fail")
        self.assertEqual(self.judge(["second"]), "fail")

    def test_in_another_order(self):
        self.assertEqual(self.judge(["second", "first 1"]), "fail")

    def test_said_and_failed(self):
        self.assertEqual(self.judge(["first 1", "second"], 1), "fail")

    def test_said_and_complained(self):
        self.assertEqual(self.judge(["first 1", "[ 1.0] BUG: x", "second"]), "fail")


class Trouble(unittest.TestCase):
    def test_rmp_iommu_psp(self):
        for line in ("SEV-SNP: RMPUPDATE failed for PFN 1234, pg_level: 1, ret: 3",
                     "SEV-SNP: Leaking PFN range 0x1-0x2",
                     "SEV-SNP: Memory for the RMP table has not been reserved by BIOS",
                     "AMD-Vi: IOMMU PFN 1001 not assigned in RMP table",
                     "AMD-Vi: SNP: IOMMU SNP feature not enabled, SNP cannot be supported.",
                     "AMD-Vi: Event logged [IO_PAGE_FAULT device=00:1f.2 address=0x0]",
                     "AMD-Vi: Completion-Wait loop timed out",
                     "ccp 0000:00:02.0: SEV-SNP firmware shutdown failed, rc -5, error 0xf",
                     "ccp 0000:00:02.0: SNP IOMMU shutdown failed",
                     "ccp 0000:00:02.0: sev command 0x86 timed out, disabling PSP",
                     "Failed to reclaim firmware-owned pages while issuing SEV legacy command."):
            self.assertTrue(host.TROUBLE.search("[    1.000000] " + line), line)

    def test_what_is_said_anyway(self):
        for line in ("AMD-Vi: IOMMU SNP support enabled.",
                     "AMD-Vi: Applying erratum: Increase Event log size to 0x80000",
                     "SEV-SNP: RMP table physical range [0x000000017e600000 - 0x000000017fffffff]",
                     "PCI-DMA: Using software bounce buffering for IO (SWIOTLB)",
                     "ccp 0000:00:02.0: SEV-SNP API:1.55 build:21",
                     "kvm_amd: SEV-SNP enabled (ASIDs 1 - 99)"):
            self.assertFalse(host.TROUBLE.search("[    1.000000] " + line), line)


if __name__ == "__main__":
    unittest.main()
