#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Hosts that shut their secure processor down, and hosts that do not."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import firmware
import ktap

GOOD = [("PLATFORM_STATUS", 0), ("SNP_INIT_EX", 0), ("SNP_DF_FLUSH", 0), ("INIT", 0),
        ("LAUNCH_START", 7), ("SHUTDOWN", 0), ("SNP_PAGE_RECLAIM", 0), ("SNP_SHUTDOWN_EX", 0)]


def without(*names):
    return [c for c in GOOD if c[0] not in names]


class Judge(unittest.TestCase):
    def wrong(self, commands, word, snp=True):
        complaints = firmware.judge(commands, snp)
        self.assertTrue(complaints and word in complaints[0], complaints)

    def test_good(self):
        self.assertEqual(firmware.judge(GOOD, True), [])

    def test_good_without_snp(self):
        self.assertEqual(firmware.judge(without("SNP_INIT_EX", "SNP_SHUTDOWN_EX"), False), [])

    def test_sent_again_after_a_df_flush(self):
        again = GOOD[:-1] + [("SNP_SHUTDOWN_EX", 15), ("SNP_DF_FLUSH", 0), ("SNP_SHUTDOWN_EX", 0)]
        self.assertEqual(firmware.judge(again, True), [])

    def test_nothing_sent(self):
        self.wrong([], "no command")

    def test_snp_not_shut_down(self):
        self.wrong(without("SNP_SHUTDOWN_EX"), "SNP was initialized")

    def test_sev_not_shut_down(self):
        self.wrong(without("SHUTDOWN"), "SEV was initialized")

    def test_shutdown_refused(self):
        self.wrong(GOOD[:-1] + [("SNP_SHUTDOWN_EX", 15)], "SNP was initialized")

    def test_initialized_again(self):
        self.wrong(GOOD + [("SNP_INIT_EX", 0)], "SNP was initialized")

    def test_used_after_the_shutdown(self):
        self.wrong(GOOD + [("PLATFORM_STATUS", 0)], "PLATFORM_STATUS after")

    def test_never_initialized(self):
        self.wrong(without("SNP_INIT_EX"), "never initialized")
        self.wrong([(n, 1 if n == "SNP_INIT_EX" else s) for n, s in GOOD], "never initialized")

    def test_complaint_fails_the_boot(self):
        lines = ["### begin a", "### end a"]
        v = ktap.judge_boot(["a"], lines, [("a", 0, 1.0)], 0, firmware=["firmware: no command"])
        self.assertEqual([(x.name, x.kind) for x in v], [("a", "pass"), ("boot", "fail")])

    def test_read(self):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("amd_psp_command 0x86 SNP_SHUTDOWN_EX buffer 0x10033c000 -> 0x0\n"
                    "CPU Reset (CPU 0)\namd_psp_command 0x30 LAUNCH_START buffer 0x0 -> 0x16\n")
            f.flush()
            self.assertEqual(list(firmware.read(f.name)), [("SNP_SHUTDOWN_EX", 0),
                                                           ("LAUNCH_START", 0x16)])


if __name__ == "__main__":
    unittest.main()
