/*
 * AMD IOMMU: what SEV-SNP's firmware wants to know of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_AMD_IOMMU_SNP_H
#define HW_I386_AMD_IOMMU_SNP_H

#include "exec/hwaddr.h"

typedef struct AmdIommuSnpRange {
    hwaddr base;
    hwaddr len;                 /* 0: not set up */
} AmdIommuSnpRange;

/* Event log, PPR log, completion wait stores */
#define AMD_IOMMU_SNP_RANGES 3

/* Is the IOMMU enabled, and does it support SNP?  True if there is none. */
bool amd_iommu_snp_ready(void);

/* False if the machine has no AMD IOMMU */
bool amd_iommu_snp_ranges(AmdIommuSnpRange ranges[AMD_IOMMU_SNP_RANGES]);

#endif
