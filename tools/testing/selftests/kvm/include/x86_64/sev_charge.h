/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What VMs with SEV are charged for, and hold: misc cgroups, pinned pages, the device.
 */
#ifndef SELFTEST_KVM_SEV_CHARGE_H
#define SELFTEST_KVM_SEV_CHARGE_H

#include <stdbool.h>

#define SEV_NR_CGROUPS		2

/*
 * Cgroups of the test's own, of which the process is in number 0 then; -1 is the
 * root.  False if the host has none.  Teardown fails if a charge is left.
 */
bool sev_cgroup_setup(void);
void sev_cgroup_teardown(void);
void sev_cgroup_enter(int cgroup);

void sev_cgroup_write(int cgroup, const char *file, const char *what);
long sev_cgroup_value(int cgroup, const char *file, const char *key);

/* Fails the test unless just so many VMs are charged. */
void sev_expect_charge(int cgroup, long nr_sev, long nr_es);

/* Pages of the whole host that are pinned for long */
long sev_nr_pinned(void);

/*
 * Whether the SEV device is open: whoever opens it from here on does so by a mount
 * that cannot go before all of them have closed it.
 */
void sev_device_watch(void);
void sev_device_expect_closed(void);

#endif /* SELFTEST_KVM_SEV_CHARGE_H */
