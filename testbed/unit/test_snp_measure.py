#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""testbed/snp-measure: known answers, and that everything measured matters.

The answers of Chain were computed with openssl, dd and xxd from the image that
image() makes; those of Vmsa are of pages that KVM 6.12 and Debian's QEMU 10 gave
to the emulated secure processor, for a guest of two vCPUs.
"""
import hashlib
import importlib.machinery
import importlib.util
import os
import struct
import subprocess
import tempfile
import unittest
import uuid

TOOL = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "snp-measure")
MILAN = 0xa00f11


def load():
    loader = importlib.machinery.SourceFileLoader("snp_measure", TOOL)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("snp_measure", loader))
    loader.exec_module(module)
    return module


tool = load()

SECTIONS = ((0x800000, 0x3000, 1), (0x803000, 0x1000, 2), (0x804000, 0x1000, 3),
            (0x805000, 0x1000, 0x10), (0x806000, 0x2000, 4))
RESET, METADATA, HASHES = 0x80b004, 0x400, (0x805c00, 0x400)


def entry(guid, data):
    return data + struct.pack("<H", len(data) + 18) + uuid.UUID(guid).bytes_le


def image(sections=SECTIONS, reset=RESET, hashes=HASHES, version=1, signature=b"ASEV",
          leave_out="", footer="96b582de-1fb2-45f7-baea-a366c55a082d"):
    """64 KiB with what OVMF has at its end."""
    content = bytearray((i * 7 + (i >> 8)) & 0xff for i in range(0x10000))
    table = b""
    for name, guid, data in (
            ("other", "4c2eb361-7d9b-4cc3-8081-127c90d3d294", bytes(8)),
            ("hashes", "7255371f-3a3b-4b04-927b-1da6efa8d454", struct.pack("<II", *hashes)),
            ("metadata", "dc886566-984a-4798-a75e-5585a7bf67cc", struct.pack("<I", METADATA)),
            ("reset", "00f771de-1a7e-4fcb-890e-68c77e2fb44e", struct.pack("<I", reset))):
        if name != leave_out:
            table += entry(guid, data)
    table += struct.pack("<H", len(table) + 18) + uuid.UUID(footer).bytes_le
    content[-0x20 - len(table):-0x20] = table
    metadata = struct.pack("<4sIII", signature, 16 + 12 * len(sections), version, len(sections))
    metadata += b"".join(struct.pack("<III", *s) for s in sections)
    start = len(content) - METADATA
    content[start:start + len(metadata)] = metadata
    return bytes(content)


def run(*args):
    p = subprocess.run([TOOL] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return p.returncode, p.stdout.strip(), p.stderr.strip()


class Vmsa(unittest.TestCase):
    def digest(self, *where):
        return hashlib.sha384(tool.vmsa(MILAN, 0, 0, *where)).hexdigest()

    def test_boot_vcpu(self):
        self.assertEqual(self.digest(0xffff0000, 0xfff0), "2cd1b06fa40343de562659e2bf450deb58a204e1de109857"
                         "39525f0fe893eeb7595c5fe84e27edc2f9f8e86d4d3f9111")

    def test_other_vcpu(self):
        self.assertEqual(self.digest(0x800000, 0xb004), "e02c958dcbbe35d0e02addb9123b2c5457ff164a029ba841"
                         "b066256d409be67a9c1c905ab332c65aed573636d948f5c6")


class Chain(unittest.TestCase):
    def test_known_answers(self):
        self.assertEqual(hashlib.sha384(image()).hexdigest()[:16], "a2c3d8d772ae60b8")
        self.assertEqual(tool.measure(image(), 1, MILAN).hex(),
                         "b32f3d5bb78ff1c63d0743ebe18675ae26e56096fd57f133"
                         "66043b02a9f737210650b3d1c9ea3398372e62a343cb7331")
        self.assertEqual(tool.measure(image(), 3, MILAN).hex(),
                         "2fb04913fba2ed6adff4301a3b2e212c332057c74d3aa71a"
                         "ca122510440fe1a01dbe29b8686c966ed44cb38255fd6e0e")

    def test_kernel_hashes(self):
        hashes = {"kernel": hashlib.sha256(b"kernel").digest(),
                  "initrd": hashlib.sha256(b"").digest(),
                  "append": hashlib.sha256(b"quiet\0").digest()}
        self.assertEqual(tool.measure(image(), 1, MILAN, hashes=hashes).hex(),
                         "d9a726f4ae825d16f8d05d7e1b3f192f7f28ecda410042db"
                         "10abe06bc3b3996bf67007ea685c1bde5feeb250301ba3ff")

    def test_everything_matters(self):
        """No two of these guests measure the same."""
        moved = [list(s) for s in SECTIONS]
        moved[0][0] += 0x1000
        longer = [list(s) for s in SECTIONS]
        longer[4][1] += 0x1000
        swapped = [SECTIONS[1], SECTIONS[0]] + list(SECTIONS[2:])
        hashes = {n: hashlib.sha256(n.encode()).digest() for n in ("kernel", "initrd", "append")}
        good = image()
        last_byte = good[:-1] + bytes([good[-1] ^ 1])
        guests = [tool.measure(*a, **k) for a, k in (
            ((good, 1, MILAN), {}), ((good, 2, MILAN), {}), ((good, 1, MILAN + 1), {}),
            ((good, 1, MILAN), {"features": 0x21}), ((good, 1, MILAN), {"cr4": 0}),
            ((image(moved), 1, MILAN), {}), ((image(longer), 1, MILAN), {}),
            ((image(swapped), 1, MILAN), {}), ((last_byte, 1, MILAN), {}),
            ((image(reset=0x80b008), 2, MILAN), {}), ((good, 1, MILAN), {"hashes": hashes}),
            *(((good, 1, MILAN), {"hashes": dict(hashes, **{n: bytes(32)})}) for n in hashes),
            ((image(hashes=(0x805400, 0x400)), 1, MILAN), {"hashes": hashes}))]
        self.assertEqual(len(set(guests)), len(guests))

    def test_zero_page_is_not_a_page_of_zeroes(self):
        a, b = tool.Digest(), tool.Digest()
        a.add(tool.ZERO, 0)
        b.add(tool.NORMAL, 0, bytes(4096))
        self.assertNotEqual(a.value, b.value)


class Malformed(unittest.TestCase):
    def refused(self, why, content, vcpus=1, **more):
        with self.assertRaisesRegex(tool.Malformed, why):
            tool.measure(content, vcpus, MILAN, **more)

    def test_images(self):
        self.refused("multiple", image()[:-1])
        self.refused("multiple", b"")
        self.refused("no table", image(footer="96b582de-1fb2-45f7-baea-a366c55a082e"))
        self.refused("no SEV metadata", image(leave_out="metadata"))
        self.refused("unknown kind", image(signature=b"ASEW"))
        self.refused("unknown kind", image(version=2))
        self.refused("no reset vector", image(leave_out="reset"), vcpus=2)
        self.assertTrue(tool.measure(image(leave_out="reset"), 1, MILAN))

    def test_entry_length(self):
        content = bytearray(image())
        struct.pack_into("<H", content, len(content) - 0x20 - 18 - 18, 0xffff)
        self.refused("length of 65535", bytes(content))

    def test_metadata_place(self):
        content = bytearray(image())
        at = content.index(uuid.UUID("dc886566-984a-4798-a75e-5585a7bf67cc").bytes_le) - 6
        for offset in (0, 8, 0x10001, 0xffffffff):
            struct.pack_into("<I", content, at, offset)
            self.refused("outside", bytes(content))
        struct.pack_into("<I", content, at, METADATA)
        struct.pack_into("<I", content, len(content) - METADATA + 12, 1000)
        self.refused("longer than the image", bytes(content))

    def test_hashes(self):
        hashes = {n: bytes(32) for n in ("kernel", "initrd", "append")}
        self.refused("no table for kernel", image(leave_out="hashes"), hashes=hashes)
        self.refused("too small", image(hashes=(0, 0x400)), hashes=hashes)
        self.refused("too small", image(hashes=(0x805c00, 0xaf)), hashes=hashes)
        self.assertTrue(tool.measure(image(hashes=(0x805c00, 0xb0)), 1, MILAN, hashes=hashes))
        no_section = image([s for s in SECTIONS if s[2] != 0x10])
        self.refused("no section", no_section, hashes=hashes)


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.TemporaryDirectory()
        for name, content in (("ovmf", image()), ("kernel", b"kernel"), ("bad", bytes(0x10000))):
            with open(os.path.join(cls.work.name, name), "wb") as f:
                f.write(content)

    @classmethod
    def tearDownClass(cls):
        cls.work.cleanup()

    def path(self, name):
        return os.path.join(self.work.name, name)

    def test_plain(self):
        self.assertEqual(run("--ovmf", self.path("ovmf"), "--vcpus", "3"),
                         (0, tool.measure(image(), 3, MILAN).hex(), ""))

    def test_options(self):
        want = tool.measure(image(), 1, 0x830f10, 0x21, cr4=0).hex()
        for model in (("--vcpu-type", "EPYC-Rome"), ("--vcpu-sig", "0x830f10")):
            self.assertEqual(run("--ovmf", self.path("ovmf"), "--vcpus", "1", *model, "--host-mce",
                                 "off", "--guest-features", "0x21"), (0, want, ""))

    def test_kernel(self):
        hashes = {"kernel": hashlib.sha256(b"kernel").digest(),
                  "initrd": hashlib.sha256(b"").digest(),
                  "append": hashlib.sha256(b"quiet\0").digest()}
        self.assertEqual(run("--ovmf", self.path("ovmf"), "--vcpus", "1", "--kernel",
                             self.path("kernel"), "--append", "quiet"),
                         (0, tool.measure(image(), 1, MILAN, hashes=hashes).hex(), ""))

    def test_errors(self):
        for args in (("--ovmf", self.path("bad"), "--vcpus", "1"),
                     ("--ovmf", self.path("absent"), "--vcpus", "1"),
                     ("--ovmf", self.path("ovmf"), "--vcpus", "0"),
                     ("--ovmf", self.path("ovmf"), "--vcpus", "1", "--append", "x")):
            status, said, why = run(*args)
            self.assertNotEqual(status, 0)
            self.assertEqual(said, "")
            self.assertIn("error: ", why)


if __name__ == "__main__":
    unittest.main()
