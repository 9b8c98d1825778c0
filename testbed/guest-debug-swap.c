// SPDX-License-Identifier: GPL-2.0
/*
 * Between a VMM that has no option for DebugSwap, such as Debian's QEMU, and the
 * kernel: adds the feature to what KVM_SEV_INIT2 asks for.  For LD_PRELOAD.
 *
 * A SEV-ES guest has to be launched as one with a VM type of its own: the older
 * KVM_SEV_ES_INIT has no features.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kvm.h>

#define SEV_INIT2	22		/* enum sev_cmd_id; not in older headers */
#define DEBUG_SWAP	(1ull << 5)	/* SEV_FEATURES */

static void add_debug_swap(void *arg)
{
	struct kvm_sev_cmd *cmd = arg;
	uint64_t *vmsa_features;	/* the first of struct kvm_sev_init */

	if (cmd && cmd->id == SEV_INIT2) {
		vmsa_features = (void *)(uintptr_t)cmd->data;
		*vmsa_features |= DEBUG_SWAP;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	if (request == KVM_MEMORY_ENCRYPT_OP)
		add_debug_swap(arg);
	return syscall(SYS_ioctl, fd, request, arg);
}
