#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""testbed/snp-verify and snp-kds: what is accepted, and each way not to be.

snp/report.bin was made by the emulator's code (tests/unit/test-amd-psp-snp-report)
for a chip without a seed; the other reports are signed here, by chips made up.
"""
import atexit
import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
VERIFY = os.path.join(HERE, "..", "snp-verify")
KDS = os.path.join(HERE, "..", "snp-kds")
TCB = 0x0315000000000102
MEASUREMENT, NONCE = bytes(range(48)), bytes(range(100, 164))

EMULATED = """chip-id aea7655c80be415f950f25fa10e7db9ab6cdc7f3e8028748d47344d6be8891d6\
a6c3d41b1dbf6dc9b5bfb10fc2550c654dd1355a7478f81bb461a04ff0e9057f
reported-tcb 0315000000000102
vcek 0412950bcd7c5e5f816e1f5a19a267b4f3551060e150ae69ba24092d45a3880fcea915bc4d7cfdb9ff9a4c29da\
10bb44ef13f07cc24434de900be2a68c3c51401140f8c789464850f7338b1470b146968c763860b635d9877a1423e79f\
c500b10e
"""


def openssl(*args, data=None):
    return subprocess.run(("openssl",) + args, input=data, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


class Chip:
    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.id = bytes([ord(name)]) * 64
        self.key = self.path("key")
        openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", self.key)

    def path(self, what):
        return os.path.join(self.folder, "chip-%s.%s" % (self.name, what))

    def endorsement(self, tcb=TCB):
        der = openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")
        with open(self.path("endorsement"), "w") as f:
            f.write("chip-id %s\nreported-tcb %016x\nvcek %s\n"
                    % (self.id.hex(), tcb, der[-97:].hex()))
        return self.path("endorsement")

    def report(self, **changes):
        """A report, signed after the changes: field = value."""
        said = dict(version=2, svn=0, policy=0x30000, vmpl=0, algorithm=1, flags=0,
                    nonce=NONCE, measurement=MEASUREMENT, tcb=TCB, chip=self.id)
        said.update(changes)
        body = bytearray(0x2a0)
        struct.pack_into("<IIQ", body, 0, said["version"], said["svn"], said["policy"])
        struct.pack_into("<II", body, 0x30, said["vmpl"], said["algorithm"])
        struct.pack_into("<I", body, 0x48, said["flags"])
        body[0x50:0x90] = said["nonce"]
        body[0x90:0xc0] = said["measurement"]
        struct.pack_into("<Q", body, 0x180, said["tcb"])
        body[0x1a0:0x1e0] = said["chip"]
        with open(self.path("body"), "wb") as f:
            f.write(body)
        signature = openssl("dgst", "-sha384", "-sign", self.key, self.path("body"))
        parsed = openssl("asn1parse", "-inform", "DER", data=signature).decode()
        r, s = (int(n, 16) for n in re.findall(r"INTEGER\s+:([0-9A-F]+)", parsed))
        return bytes(body) + r.to_bytes(72, "little") + s.to_bytes(72, "little") + bytes(368)


class Services(unittest.TestCase):
    """Two services, each with an authority of its own; chips a and b of the first."""
    work = None

    @classmethod
    def setUpClass(cls):
        if Services.work:
            return
        Services.work = tempfile.mkdtemp(prefix="kvm-sev-unit-")
        atexit.register(shutil.rmtree, Services.work)
        Services.chip = Chip(cls.work, "a")
        Services.other_chip = Chip(cls.work, "b")
        cls.kds("one", cls.other_chip.endorsement())
        os.rename(cls.path("one/chain.pem"), cls.path("one/chain-b.pem"))
        cls.kds("one", cls.chip.endorsement())
        cls.kds("two", cls.chip.endorsement())

    @classmethod
    def path(cls, name):
        return os.path.join(cls.work, name)

    @classmethod
    def write(cls, name, content):
        with open(cls.path(name), "wb") as f:
            f.write(content)
        return cls.path(name)

    @classmethod
    def read(cls, name):
        with open(cls.path(name), "rb") as f:
            return f.read()

    @classmethod
    def run_kds(cls, folder, endorsement):
        return subprocess.run([KDS, cls.path(folder), endorsement], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    @classmethod
    def kds(cls, folder, endorsement):
        p = cls.run_kds(folder, endorsement)
        assert p.returncode == 0, p.stdout

    def verify(self, report, *more, root="one/ark.pem", chain="one/chain.pem",
               measurement=MEASUREMENT, nonce=NONCE):
        p = subprocess.run([VERIFY, self.write("report", report), "--root", self.path(root),
                            "--chain", self.path(chain), "--measurement", measurement.hex(),
                            "--nonce", nonce.hex()] + list(more),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return p.returncode, p.stdout

    def accepted(self, *args, **more):
        status, said = self.verify(*args, **more)
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"^accepted: [^\n]*\n$")

    def refused(self, why, *args, only=True, **more):
        """Refused for this reason; for this one only, unless said otherwise."""
        status, said = self.verify(*args, **more)
        self.assertEqual(status, 1, said)
        self.assertIn(why, said)
        self.assertTrue(all(l.startswith("not accepted: ") for l in said.splitlines()), said)
        if only:
            self.assertEqual(said.count("\n"), 1, said)

    def unusable(self, why, *args, **more):
        status, said = self.verify(*args, **more)
        self.assertEqual(status, 2, said)
        self.assertIn(why, said)


class Reports(Services):
    def test_good(self):
        self.accepted(self.chip.report())
        self.accepted(self.other_chip.report(), chain="one/chain-b.pem")

    def test_emulator(self):
        """The emulator's signature and layout, judged by openssl."""
        endorsement = self.write("endorsement", EMULATED.encode())
        self.kds("one", endorsement)
        os.rename(self.path("one/chain.pem"), self.path("one/chain-emulated.pem"))
        self.kds("one", self.chip.endorsement())
        with open(os.path.join(HERE, "snp/report.bin"), "rb") as f:
            report = f.read()
        said = dict(chain="one/chain-emulated.pem", measurement=report[0x90:0xc0],
                    nonce=report[0x50:0x90])
        self.refused("asked for by VMPL 2", report, "--allow-debug", **said)
        self.accepted(report, "--vmpl", "2", "--allow-debug", **said)
        self.refused("signature", report[:0x2a0] + self.chip.report()[0x2a0:], "--vmpl", "2",
                     "--allow-debug", **said)

    def test_each_part_tampered(self):
        """Whatever was changed, at least the signature does not fit any more."""
        good = self.chip.report()
        for at in list(range(0, 0x2a0, 56)) + [0x29f]:
            bad = bytearray(good)
            bad[at] ^= 1
            self.refused("", bytes(bad), only=False)

    def test_signature_tampered(self):
        good = self.chip.report()
        for at in (0x2a0, 0x2a0 + 47, 0x2a0 + 48, 0x2a0 + 71, 0x2a0 + 72, 0x2a0 + 72 + 47):
            bad = bytearray(good)
            bad[at] ^= 1
            self.refused("signature", bytes(bad))
        for r_s in (bytes(144), b"\xff" * 144):
            self.refused("signature", good[:0x2a0] + r_s + bytes(368))

    def test_wrong_chip(self):
        """b's key has signed what says it is from a; and a's, what says it is from b."""
        self.refused("signature", self.other_chip.report(chip=self.chip.id))
        self.refused("another chip", self.chip.report(chip=self.other_chip.id))
        self.refused("another chip", self.other_chip.report(), only=False)
        self.refused("another chip", self.chip.report(), chain="one/chain-b.pem", only=False)
        self.refused("does not say which chip", self.chip.report(chip=bytes(64)))

    def test_wrong_version(self):
        for n, part in enumerate(("boot loader", "TEE", "part 4", "part 5", "part 6", "part 7",
                                  "SNP firmware", "microcode")):
            self.refused("of the %s, the report for" % part,
                         self.chip.report(tcb=TCB + (1 << 8 * n)))

    def test_content(self):
        self.refused("another guest", self.chip.report(measurement=bytes(48)))
        self.refused("another guest", self.chip.report(), measurement=bytes(48))
        self.refused("another request", self.chip.report(), nonce=bytes(64))
        self.refused("VMPL 1, not 0", self.chip.report(vmpl=1))
        self.accepted(self.chip.report(vmpl=1), "--vmpl", "1")
        self.refused("debug", self.chip.report(policy=0xb0000))
        self.accepted(self.chip.report(policy=0xb0000), "--allow-debug")
        self.refused("version 3", self.chip.report(version=3))
        self.refused("algorithm 0", self.chip.report(algorithm=0))
        self.refused("not signed with a VCEK", self.chip.report(flags=7 << 2))
        self.refused("not signed with a VCEK", self.chip.report(flags=1 << 2))
        self.accepted(self.chip.report(flags=3))

    def test_unusable(self):
        report = self.chip.report()
        self.unusable("1184 bytes", report[:-1])
        self.unusable("1184 bytes", report + b"\0")
        self.unusable("48 bytes are wanted", report, measurement=bytes(47))
        self.unusable("64 bytes are wanted", report, nonce=bytes(32))


class Chains(Services):
    def test_wrong_root(self):
        self.refused("does not lead to the root", self.chip.report(), root="two/ark.pem")
        self.refused("does not lead to the root", self.chip.report(), chain="two/chain.pem")
        self.accepted(self.chip.report(), root="two/ark.pem", chain="two/chain.pem")

    def test_incomplete(self):
        self.refused("does not lead", self.chip.report(), chain="one/vcek.pem")
        self.refused("does not lead", self.chip.report(), root="one/ask.pem")
        self.unusable("no certificate", self.chip.report(), chain="one/ark.key")
        self.unusable("0 certificates of a VCEK", self.chip.report(), chain="one/ask.pem")
        self.write("doubled.pem", self.read("one/chain.pem") + self.read("one/chain-b.pem"))
        self.unusable("2 certificates of a VCEK", self.chip.report(), chain="doubled.pem")

    def test_mixed(self):
        """The ASK of one service, the VCEK of the other."""
        self.write("mixed.pem", self.read("one/ask.pem") + self.read("two/vcek.pem"))
        self.refused("does not lead", self.chip.report(), chain="mixed.pem")
        self.refused("does not lead", self.chip.report(), chain="mixed.pem", root="two/ark.pem")

    def test_own_authority(self):
        """A root in the chain is no root."""
        self.write("all.pem", self.read("two/chain.pem") + self.read("two/ark.pem"))
        self.refused("does not lead", self.chip.report(), chain="all.pem")

    def certify(self, name, common_name, key, issuer, issuer_key):
        pub = self.write("certified.pub", openssl("pkey", "-in", key, "-pubout"))
        self.write(name, openssl("x509", "-new", "-subj", "/CN=" + common_name, "-force_pubkey", pub,
                                 "-CA", self.path(issuer), "-CAkey", issuer_key, "-sha384"))
        return self.read(name)

    def test_no_authority(self):
        """Somebody whom the ASK certified, but not as an authority, certifies b."""
        leaf = self.certify("leaf.pem", "somebody", self.chip.key, "one/ask.pem",
                            self.path("one/ask.key"))
        forged = self.certify("b.pem", "SEV-VCEK", self.other_chip.key, "leaf.pem", self.chip.key)
        self.write("forged.pem", forged + leaf + self.read("one/ask.pem"))
        self.refused("does not lead to the root: invalid CA", self.other_chip.report(),
                     chain="forged.pem", only=False)

    def test_tampered(self):
        """One byte of a certificate"""
        for name in ("one/vcek.pem", "one/ask.pem"):
            der = bytearray(openssl("x509", "-in", self.path(name), "-outform", "DER"))
            der[-1] ^= 1
            bad = openssl("x509", "-inform", "DER", data=bytes(der))
            good = "one/ask.pem" if name == "one/vcek.pem" else "one/vcek.pem"
            self.write("tampered.pem", bad + self.read(good))
            self.refused("does not lead", self.chip.report(), chain="tampered.pem")


class Kds(Services):
    def text(self, name):
        return openssl("x509", "-in", self.path(name), "-noout", "-text").decode()

    def test_authority_stays(self):
        before = self.read("one/ark.pem"), self.read("one/ask.pem"), self.read("one/vcek.pem")
        self.kds("one", self.chip.endorsement())
        after = self.read("one/ark.pem"), self.read("one/ask.pem"), self.read("one/vcek.pem")
        self.assertEqual(before[:2], after[:2])
        self.assertNotEqual(before[2], after[2])

    def test_algorithms(self):
        for name in ("ark", "ask", "vcek"):
            text = self.text("one/%s.pem" % name)
            self.assertRegex(text, r"rsassaPss\s+Hash Algorithm: sha384\s+"
                                   r"Mask Algorithm: mgf1 with sha384\s+Salt Length: 0x30")
            self.assertIn("(384 bit)" if name == "vcek" else "(4096 bit)", text)
            self.assertEqual("CA:TRUE" in text, name != "vcek")

    def test_keys_are_private(self):
        for name in ("ark.key", "ask.key"):
            self.assertEqual(os.stat(self.path("one/" + name)).st_mode & 0o77, 0)

    def test_new_version(self):
        """New firmware: the old certificate is for other reports than the new one."""
        old = self.chip.report(tcb=TCB - 1)
        self.refused("of the boot loader", old)
        self.kds("one", self.chip.endorsement(TCB - 1))
        self.accepted(old)
        self.refused("of the boot loader", self.chip.report())
        self.kds("one", self.chip.endorsement())

    def test_bad_endorsement(self):
        good = EMULATED
        for bad in ("", good[:-1], good + "\n", good.replace("vcek 04", "vcek 02"),
                    good.replace("chip-id ", "chip-id"), good.replace("c500b10e", "c500b10"),
                    good.replace("c500b10e", "c500b10f")):      # no point of the curve
            p = self.run_kds("one", self.write("bad", bad.encode()))
            self.assertEqual(p.returncode, 1, bad)
            self.assertIn("error: ", p.stdout)
        self.accepted(self.chip.report())
        self.assertEqual([n for n in os.listdir(self.path("one")) if n.startswith(".")], [])


if __name__ == "__main__":
    unittest.main()
