// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that comes late, by userfaultfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "late_pages.h"
#include "processor.h"
#include "test_util.h"

int late_pages_take_away(void *hva, size_t len)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)hva, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	/* poll() takes no other. */
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	TEST_ASSERT(fd >= 0, "userfaultfd: %s", strerror(errno));
	TEST_ASSERT(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API: %s", strerror(errno));
	TEST_ASSERT(!ioctl(fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER: %s",
		    strerror(errno));
	TEST_ASSERT(!madvise(hva, len, MADV_DONTNEED), "madvise: %s", strerror(errno));
	return fd;
}

bool late_page_wait_until_missed(int fd, void *page, int ended)
{
	struct pollfd pfds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = ended, .events = POLLIN },
	};
	struct uffd_msg msg;

	poll(pfds, ARRAY_SIZE(pfds), -1);
	if (!(pfds[0].revents & POLLIN))
		return false;

	TEST_ASSERT(read(fd, &msg, sizeof(msg)) == sizeof(msg), "userfaultfd: %s",
		    strerror(errno));
	TEST_ASSERT(msg.event == UFFD_EVENT_PAGEFAULT &&
		    msg.arg.pagefault.address == (uintptr_t)page,
		    "event %u at %llx", msg.event, msg.arg.pagefault.address);
	return true;
}

void late_page_give(int fd, void *page, const void *content)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page,
		.src = (uintptr_t)content,
		.len = PAGE_SIZE,
	};

	TEST_ASSERT(!ioctl(fd, UFFDIO_COPY, &copy), "UFFDIO_COPY: %s", strerror(errno));
}
