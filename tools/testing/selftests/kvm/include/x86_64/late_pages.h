/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of a guest that the host has not got until the test says so: whoever
 * touches it waits, be it the guest or KVM.
 */
#ifndef SELFTEST_KVM_LATE_PAGES_H
#define SELFTEST_KVM_LATE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What the pages hold is gone.  Returns a descriptor for the calls below; once
 * that is closed, the pages are like all others.
 */
int late_pages_take_away(void *hva, size_t len);

/* Wait for somebody to miss a page; false if @ended, an eventfd, comes first. */
bool late_page_wait_until_missed(int fd, void *page, int ended);

/* Whoever waits goes on, with one page of @content. */
void late_page_give(int fd, void *page, const void *content);

#endif /* SELFTEST_KVM_LATE_PAGES_H */
