/*
 * AMD Platform Security Processor: SEV firmware mailbox
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/*
 * Emulates the part of the AMD secure processor that manages SEV and SEV-ES
 * guests: the PCI function with its mailbox, the firmware's platform, guest
 * and ASID state machines, and its cryptography. The specification is AMD's
 * "Secure Encrypted Virtualization API", publication 55766.
 *
 * QEMU interface:
 *  + PCI device 1022:1486; at most one per machine
 *  + PCI BAR 2: 1 MiB of registers
 *  + MSI-X (BAR 5, 2 vectors) and MSI (1 vector); the mailbox uses vector 0
 *  + property "max-asid": highest ASID that ACTIVATE accepts; must equal
 *    CPUID Fn8000_001F[ECX]
 *  + property "cbitpos": position of the C-bit, which is ignored in every
 *    address that the mailbox receives
 *  + property "chip-seed": any string; chips with different seeds have
 *    different identities (GET_ID, chip endorsement key, NV encryption)
 *  + property "root-seed": any string; chips with different seeds descend
 *    from different roots (ARK, ASK)
 *  + fw_cfg file "etc/amd-psp/ask-ark.cert": the root's certificates, ASK and
 *    ARK, which for silicon are on AMD's web site
 *  + QOM property "x-wbinvd" (write only): CPU index on whose behalf to call
 *    amd_psp_wbinvd(); for qtest, where no CPU can execute WBINVD
 *  + amd_psp_wbinvd(): to be called whenever a CPU executes WBINVD
 */

#ifndef HW_MISC_AMD_PSP_H
#define HW_MISC_AMD_PSP_H

#define TYPE_AMD_PSP "amd-psp"

/* May be called from any thread, with or without the BQL, without a device. */
void amd_psp_wbinvd(unsigned cpu_index);

#endif
