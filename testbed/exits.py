# SPDX-License-Identifier: GPL-2.0
"""How many exits a guest had between two marks, from the emulator's log.

x-svm-exit-log writes a line for each exit, a file per CPU: code, tag, host
instructions.  The tag of a SEV-ES guest's exit is its GHCB MSR, so a guest marks
a place by a request of the MSR protocol, for a CPUID leaf that nobody else asks
for.  A test says what is to be between two of its marks in tests.cfg:

    exits = 4fff0001 4fff0002 1 100

that is: after each exit with the first mark, the exit with the second is the
next but one on the same CPU, and that happened a hundred times, no less.

An interrupt of the host's own ends the guest's turn whenever it likes.  What it
came in between of says nothing and does not count, so that the guest has to go
on for longer than is asked for here; a guest that needs an interrupt to get from
one mark to the other never counts.
"""
import glob

MSR_CPUID_REQ = 0x004
VMEXIT_INTR = 0x60


class Rule:
    def __init__(self, text):
        first, last, between, times = text.split()
        self.first, self.last = (int(m, 16) << 32 | MSR_CPUID_REQ for m in (first, last))
        self.between, self.times = int(between), int(times)


def read(path):
    """(code, tag) of each exit of one CPU."""
    with open(path) as f:
        for line in f:
            words = line.split()
            if len(words) == 4:         # the last one may be cut off
                yield int(words[0], 16), int(words[1], 16)


def judge(rule, logs):
    """Complaints, none if all is as the rule says; @logs: the exits of each CPU."""
    seen, wrong = 0, []
    for exits in logs:
        between = None
        for code, tag in exits:
            if tag == rule.first:
                between = []
            elif between is not None and tag == rule.last:
                if VMEXIT_INTR not in between:
                    seen += 1
                    if len(between) != rule.between:
                        wrong.append("%d exits between the marks, not %d: %s" % (
                            len(between), rule.between,
                            " ".join("%x" % c for c in between[:20])))
                between = None
            elif between is not None:
                between.append(code)
    if seen < rule.times:
        wrong.append("the log has the marks %d times undisturbed, not %d" % (seen, rule.times))
    return wrong


def judge_files(rule, name):
    return judge(rule, [list(read(p)) for p in sorted(glob.glob(name + ".*"))])
