// SPDX-License-Identifier: GPL-2.0-only
/*
 * What VMs with SEV are charged for, by cgroups of the test's own, and hold open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sev_charge.h"
#include "test_util.h"

#define SEV_DEVICE		"/dev/sev"
#define CGROUP_ROOT		"/sys/fs/cgroup"

#define CLOSE_WAIT_MS		30000

/* If a test fails, then its cgroups must not disturb the next. */
static int test_pid;

static void cgroup_path(char *path, size_t size, int cgroup, const char *file)
{
	if (cgroup < 0)
		snprintf(path, size, CGROUP_ROOT "/%s", file);
	else
		snprintf(path, size, CGROUP_ROOT "/sev_lifetime_%d_%d/%s", test_pid, cgroup,
			 file);
}

void sev_cgroup_write(int cgroup, const char *file, const char *what)
{
	char path[256];
	int fd;

	cgroup_path(path, sizeof(path), cgroup, file);
	fd = open(path, O_WRONLY);
	TEST_ASSERT(fd >= 0 && write(fd, what, strlen(what)) == strlen(what),
		    "%s > %s: %s", what, path, strerror(errno));
	close(fd);
}

static long file_value(const char *path, const char *key)
{
	size_t len = strlen(key);
	char line[256];
	long value = 0;
	FILE *f = fopen(path, "r");

	TEST_ASSERT(f, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, len) && line[len] == ' ')
			value = atol(line + len);
	}
	fclose(f);
	return value;
}

long sev_cgroup_value(int cgroup, const char *file, const char *key)
{
	char path[256];

	cgroup_path(path, sizeof(path), cgroup, file);
	return file_value(path, key);
}

void sev_cgroup_enter(int cgroup)
{
	sev_cgroup_write(cgroup, "cgroup.procs", "0");
}

bool sev_cgroup_setup(void)
{
	char path[256];
	int i;

	test_pid = getpid();
	if (access(CGROUP_ROOT "/cgroup.subtree_control", W_OK))
		return false;

	sev_cgroup_write(-1, "cgroup.subtree_control", "+misc +memory");
	for (i = 0; i < SEV_NR_CGROUPS; i++) {
		cgroup_path(path, sizeof(path), i, "");
		mkdir(path, 0755);
		cgroup_path(path, sizeof(path), i, "misc.current");
		if (access(path, R_OK))
			return false;
	}
	sev_cgroup_enter(0);
	return true;
}

/* Whoever still holds a charge keeps its cgroup from going away. */
void sev_cgroup_teardown(void)
{
	char path[256];
	int i;

	sev_cgroup_enter(-1);
	for (i = 0; i < SEV_NR_CGROUPS; i++) {
		cgroup_path(path, sizeof(path), i, "");
		TEST_ASSERT(!rmdir(path), "rmdir %s: %s", path, strerror(errno));
	}
}

void sev_expect_charge(int cgroup, long nr_sev, long nr_es)
{
	TEST_ASSERT_EQ(sev_cgroup_value(cgroup, "misc.current", "sev"), nr_sev);
	TEST_ASSERT_EQ(sev_cgroup_value(cgroup, "misc.current", "sev_es"), nr_es);
}

long sev_nr_pinned(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, "1", 1) == 1, "stat_refresh: %s", strerror(errno));
	close(fd);
	return file_value("/proc/vmstat", "nr_foll_pin_acquired") -
	       file_value("/proc/vmstat", "nr_foll_pin_released");
}

void sev_device_watch(void)
{
	TEST_ASSERT(!mount(SEV_DEVICE, SEV_DEVICE, NULL, MS_BIND, NULL),
		    "mount %s: %s", SEV_DEVICE, strerror(errno));
}

void sev_device_expect_closed(void)
{
	int i, ret;

	/* Whoever was the last to use a file closes it, be it later. */
	for (i = 0; i < CLOSE_WAIT_MS; i++) {
		ret = umount(SEV_DEVICE);
		if (!ret || errno != EBUSY)
			break;
		usleep(1000);
	}
	TEST_ASSERT(!ret, "The SEV device is open: %s", strerror(errno));
}
