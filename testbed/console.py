# SPDX-License-Identifier: GPL-2.0
"""What a test has to find on the host's console, beyond its own verdict.

tests.cfg has a regular expression per line, to be found in this order:

    says =
    	stores to PFN (?P<pfn>0x[0-9a-f]+)
    	RMP violation
    	PFN {pfn}, RMP entry

What one has found by name a later one may ask for in braces.  With "dies = yes"
the test is to end the host, by an oops that the lines describe: it has passed if
they are all there, nothing went wrong before the first of them, there was no
second oops, and the test did not live on.
"""
import re

from host import TROUBLE

OOPS = re.compile(r"Oops: .*\[#\d+\]")


class Rule:
    def __init__(self, says, dies=False):
        self.patterns = [p.strip() for p in says.split("\n") if p.strip()]
        self.dies = dies

    def find(self, lines):
        """The numbers of the lines that match, and the first pattern that none does."""
        found, known, start = [], {}, 0
        for pattern in self.patterns:
            wanted = re.sub(r"\{([a-z]\w*)\}", lambda m: re.escape(known.get(m.group(1), "")), pattern)
            for n in range(start, len(lines)):
                m = re.search(wanted, lines[n])
                if m:
                    break
            else:
                return found, pattern
            known.update(m.groupdict())
            found.append(n)
            start = n + 1
        return found, None

    def problem(self, lines):
        """Why these lines are not what they are to be, or nothing."""
        found, missing = self.find(lines)
        if missing:
            return "the console lacks: " + missing
        if self.dies:
            return self.death_problem(lines, found)
        return ""

    @staticmethod
    def death_problem(lines, found):
        first = next((n for n, l in enumerate(lines) if TROUBLE.search(l)), None)
        if first is None:
            return "the kernel did not complain"
        if first not in found:
            return "the kernel complained before: " + lines[first].strip()
        oopses = sum(1 for l in lines if OOPS.search(l))
        return "" if oopses == 1 else "%d oopses, not one" % oopses
