#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What is read from a log of exits."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import exits

A, B, GHCB = 0x4fff000100000004, 0x4fff000200000004, 0x1234000
RULE = exits.Rule("4fff0001 4fff0002 1 2")
ROUND = [(0x403, A), (0x403, GHCB), (0x403, B)]


class Judge(unittest.TestCase):
    def test_good(self):
        self.assertEqual(exits.judge(RULE, [ROUND + [(0x60, GHCB)] + ROUND, []]), [])

    def test_rounds_on_several_cpus(self):
        self.assertEqual(exits.judge(RULE, [ROUND, ROUND]), [])

    def test_an_exit_too_many(self):
        bad = [(0x403, A), (0x403, GHCB), (0x64, GHCB), (0x403, B)]
        wrong = exits.judge(RULE, [ROUND + bad + ROUND])
        self.assertEqual(len(wrong), 1)
        self.assertIn("403 64", wrong[0])

    def test_an_exit_missing(self):
        self.assertEqual(len(exits.judge(RULE, [ROUND + [(0x403, A), (0x403, B)] + ROUND])), 1)

    def test_the_hosts_interrupts_do_not_count(self):
        late = [(0x403, A), (0x403, GHCB), (0x60, GHCB), (0x403, B)]
        self.assertEqual(exits.judge(RULE, [ROUND + late + ROUND]), [])
        self.assertIn("1 times", exits.judge(RULE, [ROUND + late])[0])
        self.assertIn("0 times", exits.judge(RULE, [late * 100])[0])

    def test_too_few_rounds(self):
        self.assertIn("1 times", exits.judge(RULE, [ROUND])[0])
        self.assertIn("0 times", exits.judge(RULE, [])[0])

    def test_second_mark_missing(self):
        self.assertIn("0 times", exits.judge(RULE, [ROUND[:2] + ROUND[:2]])[0])

    def test_files(self):
        with tempfile.TemporaryDirectory() as d:
            name = os.path.join(d, "log")
            for cpu in range(2):
                with open("%s.%d" % (name, cpu), "w") as f:
                    f.write("".join("%x %x 100 0\n" % e for e in ROUND) + "403 12")
            self.assertEqual(exits.judge_files(RULE, name), [])


if __name__ == "__main__":
    unittest.main()
