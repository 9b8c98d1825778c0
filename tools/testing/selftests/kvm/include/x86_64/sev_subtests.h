/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests that consist of several, of which a single one can be asked for.
 */
#ifndef SELFTEST_KVM_SEV_SUBTESTS_H
#define SELFTEST_KVM_SEV_SUBTESTS_H

#include <stdbool.h>

struct sev_subtest {
	const char *name;

	/* True if all is well; what is not has been printed. */
	bool (*run)(const struct sev_subtest *t);

	/* Whatever tells those that have the same run() apart. */
	const void *data;

	bool takes_long;	/* only if it is asked for */
};

/*
 * Run the subtest that argv[1] names, or all of them, and report as KTAP.  What
 * the test needs of the host is for main() to ask before.
 */
int sev_subtests_main(int argc, char *argv[], const struct sev_subtest *tests,
		      int nr);

#endif /* SELFTEST_KVM_SEV_SUBTESTS_H */
