/*
 * AMD Platform Security Processor: builds without the device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/misc/amd-psp.h"

void amd_psp_wbinvd(unsigned cpu_index)
{
}
