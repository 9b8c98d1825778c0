#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's SNP AP creation, compiled here from the same files: see snp_ap/."""
import os
import subprocess
import sys
import unittest

import userland

SOURCES = ["snp_ap.c", "snp_ap_state.c"]
TEST = ["snp_ap_unit.c", "model.c", "vm.c"]
HEADERS = """linux/bitfield.h linux/bug.h linux/fs.h linux/kvm_host.h linux/kvm_types.h
asm/sev.h asm/svm.h ghcb.h lapic.h mirror.h mmu.h svm.h x86.h""".split()

# Each breaks a rule, and has to be found out.
MUTANTS = [
    ("snp_ap.c", "	leave_guest(target);\n	sev_vmgexit_disown", "	sev_vmgexit_disown"),
    ("snp_ap.c", "	sev_vmgexit_disown(to_svm(target));\n", ""),
    ("snp_ap.c", "	sev_vmgexit_cancel(to_svm(vcpu));\n", ""),
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


class SnpAp(userland.Program):
    @classmethod
    def setup(cls):
        return userland.Build("snp_ap", cls.work, HEADERS, flags=["-Wno-misleading-indentation"])

    @classmethod
    def source(cls, name, change=lambda text: text):
        """A file of the kernel's apart from its neighbours: then all headers but its
        own lead to the stubs."""
        with open(os.path.join(userland.SVM, name)) as f:
            text = f.read()
        path = os.path.join(cls.work, name)
        with open(path, "w") as f:
            f.write(change(text))
        return path

    @classmethod
    def build(cls, name, compiler, *flags):
        sources = TEST + [cls.source(s) for s in SOURCES]
        return cls.setup().compile(name, sources, *flags, compiler=compiler)

    def test_malformed(self):
        self.passes("requests", "malformed")

    def test_matrix(self):
        self.passes("transitions", "matrix")

    def test_walk(self):
        self.passes("steps", "walk", "100000")

    def test_mutants(self):
        build = self.setup()
        objects = build.objects(TEST + [self.source(s) for s in SOURCES])
        for n, (name, old, new) in enumerate(MUTANTS):
            def change(text):
                self.assertIn(old, text, "no place for mutant %d" % n)
                return text.replace(old, new)
            mutant = self.source(name, change)
            program = build.compile("mutant", [mutant if s == mutant else o
                                               for s, o in objects.items()])
            found = any(subprocess.run([program, *args], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, timeout=120).returncode
                        for args in (("malformed",), ("matrix",), ("walk", "20000")))
            self.assertTrue(found, "mutant %d survives: %s" % (n, old))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
