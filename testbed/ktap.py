# SPDX-License-Identifier: GPL-2.0
"""Verdicts: from what a boot of the emulated host left behind to KTAP.

A test passes only if it said so with exit status 0 *and* the host's console has
no complaint of the kernel between its begin and end.  What is missing counts as
a failure: a test without a result, a boot without its EXIT line.
"""
import re

from host import TROUBLE

SKIP = 4        # KSFT_SKIP
NOT_RUN = "did not run"


class Verdict:
    """One line of KTAP: ok, not ok or ok # SKIP."""

    def __init__(self, name, kind, why="", seconds=None, output=()):
        assert kind in ("pass", "fail", "skip")
        assert kind != "skip" or why, "a skip says why"
        self.name, self.kind, self.why = name, kind, why
        self.seconds, self.output = seconds, list(output)

    def line(self, number):
        text = "%s %d %s" % ("not ok" if self.kind == "fail" else "ok", number, self.name)
        if self.kind == "skip":
            text += " # SKIP " + self.why
        elif self.seconds is not None:
            text += " # %.1f s" % self.seconds
        return text


def split_console(lines):
    """{test: its lines}, and the lines that belong to no test."""
    parts, rest, name = {}, [], None
    for line in lines:
        m = re.match(r"### (begin|end) (\S+)$", line)
        if m:
            name = m.group(2) if m.group(1) == "begin" else None
            if name:
                parts[name] = []
        elif name is None:
            rest.append(line)
        else:
            parts[name].append(line)
    return parts, rest


def trouble(lines):
    return [l for l in lines if TROUBLE.search(l)]


def skip_reason(output):
    """What a test that skips itself said last about it."""
    said = [l.strip() for l in output
            if l.strip() and not re.match(r"\[ *\d+\.\d+\]|Random seed:", l.strip())]
    for line in reversed(said):
        m = re.search(r"\bSKIP\b[ :-]*(.+)|(Requirement not met.*)", line)
        if m:
            return m.group(1) or m.group(2)
    return said[-1].strip("# ") if said else "exit status 4, no reason given"


def tap_failures(output):
    return [l for l in output if re.match(r"(#\s*)?not ok\b", l.strip())
            and "# SKIP" not in l and "# TODO" not in l]


def plan_missed(output):
    """The test's own plan, "1..N", against what it reported; "" if it kept it."""
    plan = [int(m.group(1)) for m in (re.match(r"1\.\.(\d+)\s*$", l) for l in output) if m]
    done = sum(1 for l in output if re.search(r"(?:^|\s)(?:not )?ok \d+\b", l))
    if plan and done < plan[-1]:
        return "planned %d results, gave %d" % (plan[-1], done)
    return ""


def judge_test(name, result, output):
    """One test of one boot; @result is (status, seconds) or None, and @output
    None if the test never began."""
    if output is None:
        return Verdict(name, "fail", NOT_RUN + ": no such program, or the host died before it")
    bad = trouble(output)
    if result is None:
        return Verdict(name, "fail", "no result: the host died or was killed in it",
                       output=output)
    status, seconds = result
    if bad:
        return Verdict(name, "fail", "the kernel complained: " + bad[0].strip(), seconds, output)
    if status in (126, 127):
        return Verdict(name, "fail", NOT_RUN + ": exit status %d" % status, seconds, output)
    if status == SKIP:
        return Verdict(name, "skip", skip_reason(output), seconds, output)
    if status:
        return Verdict(name, "fail", "exit status %d" % status, seconds, output)
    if tap_failures(output):
        return Verdict(name, "fail", "exit status 0, but " + tap_failures(output)[0].strip(),
                       seconds, output)
    if plan_missed(output):
        return Verdict(name, "fail", "exit status 0, but " + plan_missed(output), seconds, output)
    return Verdict(name, "pass", "", seconds, output)


def judge_said(verdict, result, output, rule):
    """The same test, where tests.cfg says what the console has to say."""
    if output is None or verdict.kind == "skip" or (verdict.kind == "fail" and not rule.dies):
        return verdict
    if rule.dies and result is not None:
        return Verdict(verdict.name, "fail", "the host lived on: exit status %d" % result[0],
                       output=output)
    problem = rule.problem(output)
    return Verdict(verdict.name, "fail" if problem else "pass", problem, verdict.seconds, output)


def judge_boot(names, lines, results, status, rules=None, firmware=()):
    """All verdicts of a boot; one more, of the boot itself, if it went wrong.
    @rules: what tests want said; @firmware: complaints about its commands."""
    parts, rest = split_console(lines)
    rules = rules or {}
    found = {n: (rc, t) for n, rc, t in results}
    verdicts = [judge_test(n, found.get(n), parts.get(n)) for n in names]
    verdicts = [judge_said(v, found.get(v.name), parts.get(v.name), rules[v.name])
                if v.name in rules else v for v in verdicts]
    died = any(v.name in rules and rules[v.name].dies and v.kind == "pass" for v in verdicts)
    bad = trouble(rest) + list(firmware)
    if bad:
        verdicts.append(Verdict("boot", "fail", "the kernel complained: " + bad[0].strip(),
                                output=rest))
    elif status is None and not died:
        verdicts.append(Verdict("boot", "fail", "the host did not come to its end", output=lines))
    return verdicts


def both(verdicts):
    """Of a test that runs on several hosts, [(host, its verdict)]: good if it
    was on all of them."""
    worst = max((v for _, v in verdicts), key=lambda v: ("pass", "skip", "fail").index(v.kind))
    why = "; ".join("%s: %s" % (host, v.why) for host, v in verdicts
                    if v.kind == worst.kind and v.why)
    seconds = [v.seconds for _, v in verdicts if v.seconds is not None]
    output = ["%s: %s" % (host, line) for host, v in verdicts for line in v.output[-12:]]
    return Verdict(verdicts[0][1].name, worst.kind, why, max(seconds, default=None), output)


def known_failure(verdict, reason):
    """A test that stock TCG fails as well: neither a pass nor this tree's fault."""
    worse = ("the kernel complained", "no result", NOT_RUN, "exit status 137")
    if verdict.kind == "fail" and not verdict.why.startswith(worse):
        return Verdict(verdict.name, "skip", "fails on stock TCG too: " + reason,
                       verdict.seconds, verdict.output)
    if verdict.kind == "pass":
        verdict.why = "passes, although listed as failing on stock TCG (%s)" % reason
    return verdict


def proved(verdict, what):
    """The outcome of a test on the base, turned round: to fail is to prove that
    the fix is needed.  One that was not there to run proves nothing."""
    if verdict.kind == "fail" and not verdict.why.startswith(NOT_RUN):
        return Verdict(verdict.name, "pass", "fails on the base, as it should: " + what,
                       verdict.seconds)
    why = verdict.why if verdict.kind == "fail" else "does not fail on the base (%s)" % verdict.kind
    return Verdict(verdict.name, "fail", "%s; it is to prove: %s" % (why, what),
                   verdict.seconds, verdict.output)


class Report:
    """KTAP on standard output, and the count."""

    def __init__(self, total, out=print):
        self.out, self.number = out, 0
        self.count = {"pass": 0, "fail": 0, "skip": 0}
        out("TAP version 13")
        out("1..%d" % total if total else "1..0 # SKIP nothing chosen")

    def add(self, verdict, keep=25):
        self.number += 1
        self.count[verdict.kind] += 1
        if verdict.kind == "fail":
            for line in verdict.output[-keep:]:
                self.out("#   " + line)
            self.out("# %s: %s" % (verdict.name, verdict.why))
        elif verdict.kind == "pass" and verdict.why:
            self.out("# %s: %s" % (verdict.name, verdict.why))
        self.out(verdict.line(self.number))

    def end(self):
        self.out("%d passed, %d failed, %d skipped"
                 % (self.count["pass"], self.count["fail"], self.count["skip"]))
        return 1 if self.count["fail"] or not self.count["pass"] else 0
