// SPDX-License-Identifier: GPL-2.0-only
/*
 * The main() of tests that consist of several.
 */
#include <stdio.h>
#include <string.h>

#include "kselftest.h"
#include "sev_subtests.h"
#include "test_util.h"

static bool chosen(const struct sev_subtest *t, const char *name)
{
	return name ? !strcmp(name, t->name) : !t->takes_long;
}

int sev_subtests_main(int argc, char *argv[], const struct sev_subtest *tests,
		      int nr)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	int i, plan = 0;

	for (i = 0; i < nr; i++)
		plan += chosen(&tests[i], name);
	TEST_ASSERT(plan, "There is no subtest %s", name);

	/* What a test that dies has said is not to be lost. */
	setbuf(stdout, NULL);
	ksft_print_header();
	ksft_set_plan(plan);
	for (i = 0; i < nr; i++) {
		if (chosen(&tests[i], name))
			ksft_test_result(tests[i].run(&tests[i]), "%s\n", tests[i].name);
	}
	ksft_finished();
}
