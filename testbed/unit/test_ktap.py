#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The verdicts on boots that went well and boots that did not."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ktap

GOOD = """[    0.000000] Linux version 6.12.117
### begin a_test
ok 1 first
### end a_test
### begin b_test
1..0 # SKIP - Requirement not met: kvm_cpu_has(X86_FEATURE_SEV)
### end b_test
[    9.000000] reboot: Power down""".split("\n")

PANIC = """### begin a_test
ok 1 first
### end a_test
### begin b_test
[    5.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    5.000001] Kernel panic - not syncing: Fatal exception""".split("\n")


def kinds(verdicts):
    return [(v.name, v.kind) for v in verdicts]


class Boots(unittest.TestCase):
    def test_good(self):
        v = ktap.judge_boot(["a_test", "b_test"], GOOD, [("a_test", 0, 1.0), ("b_test", 4, 0.1)], 0)
        self.assertEqual(kinds(v), [("a_test", "pass"), ("b_test", "skip")])
        self.assertIn("X86_FEATURE_SEV", v[1].why)

    def test_panic(self):
        v = ktap.judge_boot(["a_test", "b_test"], PANIC, [("a_test", 0, 1.0)], None)
        self.assertEqual(kinds(v), [("a_test", "pass"), ("b_test", "fail"), ("boot", "fail")])

    def test_result_missing(self):
        v = ktap.judge_boot(["a_test", "b_test"], GOOD, [("a_test", 0, 1.0)], 0)
        self.assertEqual(v[1].kind, "fail")
        self.assertIn("no result", v[1].why)

    def test_end_missing(self):
        v = ktap.judge_boot(["a_test"], GOOD, [("a_test", 0, 1.0)], None)
        self.assertEqual(kinds(v)[-1], ("boot", "fail"))

    def test_complaint_fails_a_test_that_exits_0(self):
        for line in ("[ 3.1] WARNING: CPU: 1 PID: 77 at arch/x86/kvm/svm/sev.c:1 f+0x1/0x2",
                     "[ 3.1] WARNING: possible circular locking dependency detected",
                     "[ 3.1] rcu: INFO: rcu_preempt self-detected stall on CPU",
                     "[ 3.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!"):
            lines = GOOD[:2] + [line] + GOOD[2:]
            v = ktap.judge_boot(["a_test"], lines, [("a_test", 0, 1.0)], 0)
            self.assertEqual(v[0].kind, "fail", line)

    def test_complaint_between_tests(self):
        lines = GOOD + ["[ 9.1] WARNING: CPU: 0 PID: 1 at x.c:1"]
        v = ktap.judge_boot(["a_test"], lines, [("a_test", 0, 1.0)], 0)
        self.assertEqual(kinds(v), [("a_test", "pass"), ("boot", "fail")])

    def test_not_ok_with_exit_0(self):
        lines = ["### begin a_test", "not ok 2 second", "### end a_test"]
        v = ktap.judge_boot(["a_test"], lines, [("a_test", 0, 1.0)], 0)
        self.assertEqual(v[0].kind, "fail")

    def test_program_missing(self):
        v = ktap.judge_boot(["c_test"], GOOD, [], 0)
        self.assertEqual(v[0].kind, "fail")
        self.assertIn(ktap.NOT_RUN, v[0].why)

    def test_plan_not_kept(self):
        lines = ["### begin a_test", "1..3", "ok 1 first", "ok 2 second", "### end a_test"]
        v = ktap.judge_boot(["a_test"], lines, [("a_test", 0, 1.0)], 0)
        self.assertEqual(v[0].kind, "fail")
        self.assertIn("planned 3", v[0].why)

    def test_plan_kept(self):
        lines = ["### begin a_test", "1..2", "ok 1 first", "ok 2 second", "### end a_test"]
        v = ktap.judge_boot(["a_test"], lines, [("a_test", 0, 1.0)], 0)
        self.assertEqual(v[0].kind, "pass")

    def test_skip_in_plain_words(self):
        lines = ["### begin a_test", "Random seed: 0x1", "MCG_CMCI_P is not supported",
                 "[    3.1] kvm: a line of the kernel", "### end a_test"]
        v = ktap.judge_boot(["a_test"], lines, [("a_test", 4, 1.0)], 0)
        self.assertEqual((v[0].kind, v[0].why), ("skip", "MCG_CMCI_P is not supported"))

    def test_killed(self):
        v = ktap.judge_boot(["a_test"], GOOD, [("a_test", 137, 60.0)], 0)
        self.assertEqual(v[0].kind, "fail")


class Pairs(unittest.TestCase):
    def judge(self, west, east):
        return ktap.both([("west", ktap.Verdict("a_test", *west)),
                          ("east", ktap.Verdict("a_test", *east))])

    def test_good_on_both(self):
        v = self.judge(("pass", "", 3.0), ("pass", "", 4.0))
        self.assertEqual((v.kind, v.why, v.seconds), ("pass", "", 4.0))

    def test_bad_on_either(self):
        for sides in ((("fail", "x"), ("pass",)), (("pass",), ("fail", "x")),
                      (("skip", "y"), ("fail", "x"))):
            v = self.judge(*sides)
            self.assertEqual(v.kind, "fail")
            self.assertRegex(v.why, "^(west|east): x$")

    def test_skip_on_one_is_no_pass(self):
        v = self.judge(("pass",), ("skip", "no SEV"))
        self.assertEqual((v.kind, v.why), ("skip", "east: no SEV"))


class Known(unittest.TestCase):
    def test_failure_is_a_skip_with_the_reason(self):
        v = ktap.known_failure(ktap.Verdict("x", "fail", "exit status 254"), "no #AC in TCG")
        self.assertEqual(v.kind, "skip")
        self.assertIn("no #AC", v.why)

    def test_complaint_stays_a_failure(self):
        v = ktap.known_failure(ktap.Verdict("x", "fail", "the kernel complained: BUG"), "r")
        self.assertEqual(v.kind, "fail")

    def test_hang_and_absence_stay_failures(self):
        for why in ("exit status 137", ktap.NOT_RUN, "no result: the host died"):
            self.assertEqual(ktap.known_failure(ktap.Verdict("x", "fail", why), "r").kind, "fail")

    def test_pass_is_said(self):
        v = ktap.known_failure(ktap.Verdict("x", "pass"), "no #AC in TCG")
        self.assertEqual(v.kind, "pass")
        self.assertIn("although", v.why)


class Proof(unittest.TestCase):
    def proved(self, lines, result, status=0):
        return ktap.proved(ktap.judge_boot(["b_test"], lines, result, status)[0], "a fix").kind

    def test_failure_proves(self):
        self.assertEqual(self.proved(GOOD, [("b_test", 254, 0.1)]), "pass")

    def test_panic_in_it_proves(self):
        self.assertEqual(self.proved(PANIC, [], None), "pass")

    def test_absent_program_proves_nothing(self):
        self.assertEqual(self.proved(GOOD[:4], []), "fail")
        self.assertEqual(self.proved(GOOD, [("b_test", 127, 0.1)]), "fail")

    def test_pass_and_skip_prove_nothing(self):
        self.assertEqual(self.proved(GOOD, [("b_test", 0, 0.1)]), "fail")
        self.assertEqual(self.proved(GOOD, [("b_test", 4, 0.1)]), "fail")


class Counts(unittest.TestCase):
    def report(self, *kinds):
        lines = []
        r = ktap.Report(len(kinds), lines.append)
        for k in kinds:
            r.add(ktap.Verdict("t", k, "why" if k != "pass" else ""))
        return r.end(), lines

    def test_last_line(self):
        rc, lines = self.report("pass", "skip", "pass")
        self.assertEqual((rc, lines[-1]), (0, "2 passed, 0 failed, 1 skipped"))

    def test_failure_is_an_error(self):
        self.assertEqual(self.report("pass", "fail")[0], 1)

    def test_nothing_passed_is_an_error(self):
        self.assertEqual(self.report("skip")[0], 1)
        self.assertEqual(self.report()[0], 1)


if __name__ == "__main__":
    unittest.main()
