# SPDX-License-Identifier: GPL-2.0
"""Did the host leave its secure processor as it found it?

The emulator writes a line for each command of the firmware:

    amd_psp_command 0x86 SNP_SHUTDOWN_EX buffer 0x100336000 -> 0x0

A host that goes down in order sends SHUTDOWN and then SNP_SHUTDOWN_EX, from the
shutdown method of ccp's PCI driver.  Were it not so, the next kernel that kexec
starts would find pages that it must not touch.
"""
import re

LINE = re.compile(r"amd_psp_command 0x[0-9a-f]+ (\w+) buffer 0x[0-9a-f]+ -> 0x([0-9a-f]+)")

# What starts something, and what ends it.
PAIRS = (("SNP", ("SNP_INIT", "SNP_INIT_EX"), ("SNP_SHUTDOWN", "SNP_SHUTDOWN_EX")),
         ("SEV", ("INIT", "INIT_EX"), ("SHUTDOWN",)))


def read(path):
    """(command, status) of each."""
    with open(path, errors="replace") as f:
        for line in f:
            m = LINE.search(line)
            if m:
                yield m.group(1), int(m.group(2), 16)


def last(commands, names):
    return max((n for n, (name, status) in enumerate(commands) if name in names and not status),
               default=None)


def judge(commands, snp):
    """Complaints about the commands of a host that came to its end; @snp: it was
    to have SNP."""
    commands = list(commands)
    if not commands:
        return ["firmware: no command at all"]
    wrong = []
    ends = {}
    for what, starts, stops in PAIRS:
        start, ends[what] = last(commands, starts), last(commands, stops)
        if start is None and what == "SNP" and snp:
            wrong.append("firmware: SNP was never initialized")
        if start is not None and (ends[what] is None or ends[what] < start):
            wrong.append("firmware: %s was initialized, and never shut down" % what)
    if not wrong and snp and ends["SNP"] != len(commands) - 1:
        wrong.append("firmware: %s after the last shutdown of SNP" % commands[-1][0])
    return wrong
