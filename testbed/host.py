# SPDX-License-Identifier: GPL-2.0
"""The emulated host: what it is made of, how it is booted, what it reports.

The variables that choose the host are described in testbed/vm.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import firmware

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.environ.get("KVM_SEV_OUT", os.path.join(TOP, "out"))

# What the kernel prints when something is wrong with it.  A run with such a
# line has failed, whatever the tests said.
TROUBLE = re.compile(
    r"\b(WARNING: (CPU|possible|suspicious|inconsistent|held|bad)|BUG: |BUG at|Oops|"
    r"general protection fault|Kernel panic|INFO: (task|rcu_)|rcu: INFO|"
    r"possible recursive locking|lock held when returning|"
    r"unable to handle (page fault|kernel)|soft lockup|RMP violation|"
    r"refcount_t:|list_(add|del) corruption|UBSAN:|KASAN:|Call Trace:)"
    # The RMP: arch/x86/virt/svm/sev.c, and KVM's use of it.
    r"|\b(RMPUPDATE failed|PSMASH failed|Leaking PFN range|Failed to split direct map|"
    r"RMP configuration not valid|Memory (reserved )?for the RMP table|"
    r"Failed to (read|map|look up|update|ensure)\b.*\bRMP)"
    # The IOMMU: drivers/iommu/amd, whose pages the firmware has meanwhile.
    r"|\bIOMMU PFN \w+ (RMP|not)|\bSNP cannot be supported|\bSNP IOMMU|"
    r"AMD-Vi: .*(Event logged|timed out|[Ff]ailed|[Uu]nable|not found)"
    # The secure processor: drivers/crypto/ccp, all that is an error or a warning.
    r"|\bccp \S+: .*([Ff]ailed|[Ee]rror|timed out|unable|unavailable|missing)|"
    r"\bsev command 0x\w+ (timed|failed)|firmware-owned (state|pages)|allocate bounce buffer")


# Features of the CPU model that TCG would only warn about.
TCG_LACKS = ("pcid invpcid fxsr-opt misalignsse osvw topoext perfctr-core clzero ibpb ibrs "
             "amd-stibp amd-ssbd")


MAX_CPUS = 8            # CONFIG_NR_CPUS of kernel.config
EXPIRED = "# testbed: no end after"


class Failure(Exception):
    """An error of the bed or the host, not of a test in it."""


def env(name, default):
    return os.environ.get(name) or default


def number(name, default, least, most):
    text = env(name, default)
    if not re.fullmatch(r"[0-9]+", text) or not least <= int(text) <= most:
        raise Failure("%s=%s: it is a number from %d to %d" % (name, text, least, most))
    return int(text)


def words(name):
    """Those of a variable, as to a shell."""
    try:
        return shlex.split(env(name, ""))
    except ValueError as e:
        raise Failure("%s=%s: %s" % (name, env(name, ""), str(e).lower())) from None


def check_files(files):
    for f in files:
        if not os.path.exists(f):
            raise Failure("no such file to add: %s" % f)


def check_environment():
    """What the caller has asked for, before it takes minutes to build it."""
    for name in ("SEV", "SNP", "KASAN"):
        number(name, "0", 0, 1)
    number("SMP", "1", 1, MAX_CPUS)
    number("TIMEOUT", "1", 1, 10 ** 6)
    if not re.fullmatch(r"[0-9]+[MG]", env("MEM", "4G")):
        raise Failure("MEM=%s: it is a number with M or G behind it" % env("MEM", ""))
    words("QEMU_ARGS")
    qemu = env("QEMU", "")
    if qemu and not os.access(qemu, os.X_OK):
        raise Failure("QEMU=%s: there is no such program" % qemu)


def choose_kernel():
    variant = env("KERNEL", "series")
    if variant not in ("base", "series"):
        raise Failure("KERNEL=%s: it is 'base' or 'series'" % variant)
    check_environment()
    return variant


def build(variant):
    """Everything that the host consists of, brought up to date."""
    tools = [["qemu-build"], ["kernel", variant]]
    if env("KASAN", "0") == "1":
        tools.append(["kernel", variant, "kasan"])
    for tool in tools:
        if tool[0] == "qemu-build" and os.environ.get("QEMU"):
            continue
        r = subprocess.run([os.path.join(TOP, "testbed", tool[0])] + tool[1:],
                           stdout=subprocess.DEVNULL)
        if r.returncode:
            raise Failure("testbed/%s failed (see above)" % " ".join(tool))


def initramfs(*args):
    r = subprocess.run([os.path.join(TOP, "testbed/initramfs")] + list(args),
                       stdout=subprocess.PIPE, text=True)
    if r.returncode:
        raise Failure("testbed/initramfs %s failed (see above)" % args[0])
    return r.stdout.strip()


# The kernel tells working timer interrupts by the TSC.  That of the emulated CPUs is
# this machine's, and goes on while they wait for a CPU of it: if it is very busy, the
# kernel would find no timer that works, and panic.
WORDS = "console=ttyS0 panic=-1 oops=panic loglevel=6 no_timer_check "


def snp_host(snp=False):
    return env("SEV", "1") == "1" and (snp or env("SNP", "1") == "1")


# The kernel tells working timer interrupts by the TSC.  That of the emulated CPUs is
# this machine's, and goes on while they wait for a CPU of it: if it is very busy, the
# kernel would find no timer that works, and panic.
KERNEL_WORDS = "console=ttyS0 panic=-1 oops=panic loglevel=6 no_timer_check "


def qemu_command(variant, initrd, cmdline="", qemu=None, cpu_properties="", snp=False,
                 psp_properties="", smp="4", mem="4G", more=()):
    """The emulator's command line, without its serial ports."""
    qemu = qemu or env("QEMU", os.path.join(OUT, "build/qemu/qemu-system-x86_64"))
    if not os.path.exists(qemu):
        raise Failure("there is no emulator at %s: run testbed/qemu-build" % qemu)
    cpu = ("EPYC-Milan,+svm,+npt,-hypervisor,+nrip-save,+lbrv,+flushbyasid,"
           "+decodeassists,+vmcb-clean")
    cpu += "".join(",-" + f for f in TCG_LACKS.split()) + cpu_properties
    cmd = [qemu, "-M", "q35", "-accel", "tcg,thread=multi", "-nodefaults",
           "-display", "none", "-no-reboot", "-L", "/usr/share/seabios",
           "-L", "/usr/share/qemu", "-m", env("MEM", mem),
           "-smp", env("SMP", smp)]
    if env("SEV", "1") == "1":
        cpu += ",sev-host=on"
        if snp_host(snp):
            cpu += ",sev-snp-host=on"
            cmd += ["-device", "amd-iommu"]
        cmd += ["-cpu", cpu, "-device", "amd-psp" + psp_properties]
        cmd += ["-trace", "amd_psp_command"]
    else:
        cmd += ["-cpu", cpu]
    kernel = "kernel-" + variant + ("-kasan" if env("KASAN", "0") == "1" else "")
    cmd += ["-kernel", os.path.join(OUT, kernel, "bzImage"),
            "-initrd", initrd, "-append",
            KERNEL_WORDS + cmdline]
    return cmd + list(more) + words("QEMU_ARGS")


def concatenate(out, archives):
    with open(out, "wb") as o:
        for a in archives:
            with open(a, "rb") as i:
                shutil.copyfileobj(i, o)
            o.write(b"\0" * (-o.tell() % 512))


def add_files(job, files):
    """Files and folders of the user's, as /root/<name>, with their libraries."""
    check_files(files)
    for f in files:
        f = f.rstrip("/")
        to = os.path.join(job, "root", os.path.basename(f))
        if os.path.isdir(f):
            shutil.copytree(f, to, symlinks=True)
        else:
            shutil.copy2(f, to)
    programs = [os.path.join(d, n) for d, _, names in os.walk(os.path.join(job, "root"))
                for n in names if os.access(os.path.join(d, n), os.X_OK)]
    if programs:
        initramfs("libs", job, *programs)


class Host:
    """One boot of the emulated host."""

    def __init__(self, variant, script, files=(), archives=(), name="vm", selftests=None,
                 pass_fds=(), **emulator):
        os.makedirs(os.path.join(OUT, "log"), exist_ok=True)
        self.work = tempfile.mkdtemp(prefix="kvm-sev-")
        self.console_log = os.path.join(OUT, "log", name + ".console")
        self.report = os.path.join(self.work, "report")
        self.snp = snp_host(emulator.get("snp", False))
        job = os.path.join(self.work, "job")
        os.makedirs(os.path.join(job, "job"))
        os.makedirs(os.path.join(job, "root"))
        with open(os.path.join(job, "job/run"), "w") as f:
            f.write(script)
        add_files(job, files)
        initramfs("pack", job + ".cpio", job)
        initrd = os.path.join(self.work, "initrd")
        concatenate(initrd, [initramfs("base", selftests or variant)] + list(archives) + [job + ".cpio"])
        self.command = qemu_command(variant, initrd, **emulator)
        if "-D" in self.command:        # who traces more finds all of it in one place
            self.trace = self.command[self.command.index("-D") + 1]
        else:
            self.trace = os.path.join(OUT, "log", name + ".firmware")
            self.command += ["-D", self.trace]
        self.pass_fds = pass_fds
        self.process = None
        self.lines = []
        self.status = None
        self.results = []

    def cleanup(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def interactive(self):
        cmd = self.command + ["-serial", "mon:stdio", "-serial", "file:" + self.report]
        return subprocess.call(cmd)

    def run(self, limit, on_line=None):
        """Boot, follow the console, and collect what init reported."""
        cmd = self.command + ["-serial", "stdio", "-serial", "file:" + self.report]
        with open(self.console_log, "w", errors="replace") as log:
            log.write("# " + " ".join(map(shlex.quote, cmd)) + "\n")
            log.flush()
            p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, errors="replace",
                                 pass_fds=self.pass_fds)
            self.process = p
            timer = threading.Timer(limit, self.expire, [p, limit])
            timer.start()
            try:
                for line in p.stdout:
                    log.write(line)
                    log.flush()
                    line = line.rstrip("\r\n")
                    self.lines.append(line)
                    if on_line:
                        on_line(line)
                p.wait()
            finally:
                timer.cancel()
                if p.poll() is None:
                    p.kill()
                    p.wait()
        self.read_report()

    def expire(self, process, limit):
        self.lines.append("%s %d s, killed" % (EXPIRED, limit))
        process.kill()

    def read_report(self):
        try:
            with open(self.report, errors="replace") as f:
                report = f.read().split("\n")
        except FileNotFoundError:
            report = []
        for line in report:
            w = line.split()
            if w[:1] == ["RESULT"] and len(w) == 4:
                self.results.append((w[1], int(w[2]), float(w[3])))
            elif w[:1] == ["EXIT"] and len(w) == 2:
                self.status = int(w[1])

    def firmware_trouble(self):
        """Of a host that came to its end in order."""
        if env("SEV", "1") != "1" or self.status is None:
            return []
        try:
            return firmware.judge(firmware.read(self.trace), self.snp)
        except FileNotFoundError:
            return ["firmware: there is no trace at %s" % self.trace]

    def trouble(self):
        return [l for l in self.lines if TROUBLE.search(l)] + self.firmware_trouble()


def died(host):
    """Of one without a status: what is to be said of its end."""
    what = "the host died before its command ended"
    if host.lines and host.lines[-1].startswith(EXPIRED):
        what = "the host took too long (TIMEOUT=seconds gives it longer)"
    elif not any(is_kernel_line(l) for l in host.lines):
        what = "the emulated host did not start"
    return "%s\n%s\n--- the whole console: %s" % (what, tail(host.lines), host.console_log)


def tail(lines, n=20):
    return "\n".join("    " + l for l in lines[-n:])


def is_kernel_line(line):
    return re.match(r"\[ *\d+\.\d+\]", line) is not None
