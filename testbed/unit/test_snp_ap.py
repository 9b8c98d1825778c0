#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's SNP AP creation, compiled here from the same files: see snp_ap/."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "snp_ap")
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SVM = os.path.join(TOP, "arch/x86/kvm/svm")
SOURCES = ["snp_ap.c", "snp_ap_state.c"]
HEADERS = """linux/bitfield.h linux/bug.h linux/fs.h linux/kvm_host.h linux/kvm_types.h
asm/sev.h asm/svm.h ghcb.h lapic.h mirror.h mmu.h svm.h x86.h""".split()

# Each breaks a rule, and has to be found out.
MUTANTS = [
    ("snp_ap.c", "	leave_guest(target);\n	sev_vmgexit_disown", "	sev_vmgexit_disown"),
    ("snp_ap.c", "	sev_vmgexit_disown(to_svm(target));\n", ""),
    ("snp_ap.c", "	sev_vmgexit_cancel(to_svm(vcpu));\n", ""),
    ("snp_ap.c", "	sev_ghcb_msr_reset(svm);\n", ""),
    ("snp_ap.c", "info_1 & PFERR_GUEST_PAGE_MASK", "info_1"),
    ("snp_ap.c", "info_1 & X86_CR0_PG", "info_1"),
    ("snp_ap.c", "info_1 & EFER_LMA", "info_1"),
    ("snp_ap.c", "event & SVM_EXITINTINFO_VALID && ", ""),
    ("snp_ap.c", " && event & SVM_EXITINTINFO_VALID_ERR", ""),
    ("snp_ap.c", "kvm_read_cr4(vcpu) ?: ", ""),
    ("snp_ap.c", "	if (vcpu_ap(vcpu)->change != SNP_AP_UNCHANGED)\n		return -EPERM;\n", ""),
    ("snp_ap.c", "	put_page_back(&page);\n	return 0;", "	return 0;"),
    ("snp_ap.c", "vcpu != target && snp_ap_has", "snp_ap_has"),
    ("snp_ap.c", "		if (vcpu != target && snp_ap_has(vcpu_ap(vcpu), gfn))\n			return true;", "		;"),
    ("snp_ap.c", "	if (change == SNP_AP_UNCHANGED)\n		load_vmsa(to_svm(vcpu));\n", ""),
    ("snp_ap.c", "	vcpu->arch.pv.pv_unhalted = false;\n", ""),
    ("snp_ap.c", "if (!svm->sev_es.snp_ap_in_update && !take_init(vcpu))", "if (!take_init(vcpu))"),
    ("snp_ap.c", "|| !assigned", ""),
    ("snp_ap.c", " || slot->flags & KVM_MEMSLOT_INVALID", ""),
    ("snp_ap_state.c", "	if (req->self)\n		return -EPERM;\n", ""),
    ("snp_ap_state.c", "	if (strict && (ap->state == SNP_AP_LIVE || is_pending(ap)))\n		return -EPERM;\n", ""),
    ("snp_ap_state.c", "(ap->state == SNP_AP_LIVE || is_pending(ap))", "ap->state == SNP_AP_LIVE"),
    ("snp_ap_state.c", "	return req->taken ? -EBUSY : 0;", "	return 0;"),
    ("snp_ap_state.c", "info1 & (AP_VMPL | AP_RESERVED) ||", "info1 & AP_VMPL ||"),
    ("snp_ap_state.c", " && !IS_ALIGNED(gpa, PMD_SIZE)", ""),
    ("snp_ap_state.c", "features == vm_features && (", "("),
    ("snp_ap_state.c", " && (features & SVM_SEV_FEAT_SNP_ACTIVE)", ""),
    ("snp_ap_state.c", "	drop_pending(ap);\n	ap->state = SNP_AP_LIVE;", "	ap->state = SNP_AP_LIVE;"),
    ("snp_ap_state.c", "	ap->hpa = INVALID_PAGE;\n	ap->change = SNP_AP_STOP;", "	ap->change = SNP_AP_STOP;"),
    ("snp_ap_state.c", "	ap->change = SNP_AP_UNCHANGED;\n	drop_pending", "	drop_pending"),
    ("snp_ap_state.c", "ap->gfn >= end", "ap->gfn > end"),
    ("snp_ap_state.c", "return is_pending(ap) || ap->state != SNP_AP_DESTROYED;",
     "return ap->state != SNP_AP_DESTROYED;"),
]


SANITIZE = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def build(work, name, flags, change=lambda source, text: text):
    """Apart from their neighbours: all headers but their own lead to the stubs."""
    shims = os.path.join(work, "include")
    for h in HEADERS:
        path = os.path.join(shims, h)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write('#include "%s"\n' % os.path.join(HERE, "stubs.h"))
    for source in SOURCES:
        with open(os.path.join(SVM, source)) as f:
            text = f.read()
        with open(os.path.join(work, source), "w") as f:
            f.write(change(source, text))
    program = os.path.join(work, name)
    subprocess.run(["gcc", "-g", "-Wall", "-Werror", "-Wno-unused-function",
                    "-Wno-misleading-indentation", "-DCONFIG_KVM_AMD_SEV=1",
                    "-I", shims, "-I", HERE, "-I", SVM] + flags
                   + [os.path.join(HERE, "snp_ap_unit.c")]
                   + [os.path.join(work, source) for source in SOURCES]
                   + ["-o", program], check=True)
    return program


def run(program, *args):
    return subprocess.run([program] + list(args), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120)


class SnpAp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix="kvm-sev-unit-")
        cls.program = build(cls.work, "snp_ap_unit", SANITIZE)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work)

    def passes(self, word, *args):
        p = run(self.program, *args)
        self.assertEqual(p.returncode, 0, p.stdout)
        self.assertIn(word, p.stdout)

    def test_malformed(self):
        self.passes("requests", "malformed")

    def test_matrix(self):
        self.passes("transitions", "matrix")

    def test_walk(self):
        self.passes("steps", "walk", "100000")

    def test_mutants(self):
        for n, (name, old, new) in enumerate(MUTANTS):
            def change(source, text):
                if source != name:
                    return text
                self.assertIn(old, text, "no place for mutant %d" % n)
                return text.replace(old, new)
            program = build(self.work, "mutant", [], change)
            found = any(run(program, *args).returncode
                        for args in (("malformed",), ("matrix",), ("walk", "20000")))
            self.assertTrue(found, "mutant %d survives: %s" % (n, old))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
