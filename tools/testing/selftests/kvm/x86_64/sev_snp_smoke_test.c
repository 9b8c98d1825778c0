// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a SEV-SNP guest rests on: the launch, what the firmware hands over, #VC,
 * pages and their two states, and the refusal of what is not allowed.
 *
 * Each subtest has a VM of its own.
 */
#include <errno.h>
#include <string.h>

#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/sizes.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_subtests.h"
#include "test_util.h"
#include "ucall_common.h"

#define MEM_SLOT	10
#define MEM_GPA		SZ_4G
#define MEM_SIZE	SZ_2M

/* The first page that is not part of the memslot. */
#define NO_MEM_GPA	(MEM_GPA + MEM_SIZE)

#define TIMEOUT_SECONDS	60

#define GUEST_PATTERN	0x5a5a000012345678ull
#define HOST_PATTERN	0xc3c3111187654321ull

#define HV_FT_SNP	BIT(0)
#define HV_FT_AP_CREATE	BIT(1)

#define INSN_RET	0xc3

/* Written by the host before the launch. */
static struct {
	struct sev_snp_mem mem;
	uint64_t ghcb2;		/* a shared page, and its GPA */
	uint64_t ghcb2_gpa;
	uint64_t zero_page;
	uint64_t unmeasured_page;
	struct kvm_cpuid_entry2 cpuid[5];
	uint8_t c_bit;
} config;

static const uint32_t cpuid_functions[] = {
	0, 0x80000000, 0x80000002, 0x80000003, 0x80000004,
};

kvm_static_assert(ARRAY_SIZE(cpuid_functions) == ARRAY_SIZE(config.cpuid));

static const struct sev_snp_mem *const mem = &config.mem;

static uint64_t *private_page(int page)
{
	return (uint64_t *)(mem->private + page * PAGE_SIZE);
}

static uint64_t *shared_page(int page)
{
	return (uint64_t *)(mem->shared + page * PAGE_SIZE);
}

/* Accesses that end up in the #VC handler, of which the compiler knows nothing. */
static uint64_t load(const uint64_t *p)
{
	uint64_t value;

	asm volatile("mov %1, %0" : "=r" (value) : "m" (*p) : "memory");
	return value;
}

static void store(uint64_t *p, uint64_t value)
{
	asm volatile("mov %1, %0" : "=m" (*p) : "r" (value) : "memory");
}

static void execute(const uint64_t *code)
{
	asm volatile("call *%0" : : "r" (code) : "memory");
}

/*
 * Guest: what it is told.
 */
static void guest_status(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_HV_FEATURES, 0, 0);
	const uint64_t all = MSR_AMD64_SEV_ENABLED | MSR_AMD64_SEV_ES_ENABLED |
			     MSR_AMD64_SEV_SNP_ENABLED;
	uint64_t msr;

	GUEST_ASSERT_EQ(rdmsr(MSR_AMD64_SEV) & all, all);

	msr = sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, msr), SEV_GHCB_MSR_HV_FT_RESP);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_DATA, msr) &
			(HV_FT_SNP | HV_FT_AP_CREATE), HV_FT_SNP | HV_FT_AP_CREATE);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_ASSERT_EQ(call.info2, FIELD_GET(SEV_GHCB_MSR_DATA, msr));
}

static void expect_cpuid(const struct kvm_cpuid_entry2 *e, uint32_t eax,
			 uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	__GUEST_ASSERT(eax == e->eax && ebx == e->ebx && ecx == e->ecx && edx == e->edx,
		       "CPUID 0x%x: 0x%x 0x%x 0x%x 0x%x", e->function, eax, ebx,
		       ecx, edx);
}

static const struct sev_snp_cpuid_entry *find_cpuid(uint32_t function)
{
	const struct sev_snp_cpuid *table = sev_snp_boot.cpuid;
	int i;

	for (i = 0; i < table->count; i++) {
		if (table->entries[i].function == function)
			return &table->entries[i];
	}
	GUEST_FAIL("The CPUID page lacks function 0x%x", function);
	return NULL;
}

/* From the hypervisor, by way of #VC, and from the page. */
static void guest_cpuid(void)
{
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();
	const struct sev_snp_cpuid_entry *e;
	uint32_t eax, ebx, ecx, edx;
	uint64_t nr_vc;
	int i;

	for (i = 0; i < ARRAY_SIZE(cpuid_functions); i++) {
		nr_vc = cpu->nr_vc;
		cpuid(cpuid_functions[i], &eax, &ebx, &ecx, &edx);
		GUEST_ASSERT_EQ(cpu->nr_vc, nr_vc + 1);
		GUEST_ASSERT_EQ(cpu->last_vc, SVM_EXIT_CPUID);
		expect_cpuid(&config.cpuid[i], eax, ebx, ecx, edx);

		e = find_cpuid(cpuid_functions[i]);
		expect_cpuid(&config.cpuid[i], e->eax, e->ebx, e->ecx, e->edx);
	}

	GUEST_ASSERT_EQ(find_cpuid(0x8000001f)->ebx & 0x3f, config.c_bit);
}

/* Keys for messages to the firmware: there, and all different. */
static void guest_secrets(void)
{
	const struct sev_snp_secrets *secrets = sev_snp_boot.secrets;
	static const uint8_t zero[32];
	int i, j;

	GUEST_ASSERT(secrets->version >= 2);
	for (i = 0; i < 4; i++) {
		GUEST_ASSERT(memcmp(secrets->vmpck[i], zero, sizeof(zero)));
		for (j = 0; j < i; j++)
			GUEST_ASSERT(memcmp(secrets->vmpck[i], secrets->vmpck[j],
					    sizeof(zero)));
	}
}

static void guest_page_types(void)
{
	uint64_t *zero = (uint64_t *)config.zero_page;
	uint64_t *unmeasured = (uint64_t *)config.unmeasured_page;
	int i;

	for (i = 0; i < PAGE_SIZE / sizeof(*zero); i++) {
		GUEST_ASSERT_EQ(zero[i], 0);
		GUEST_ASSERT_EQ(unmeasured[i], HOST_PATTERN + i);
	}
}

/*
 * Guest: pages.
 */
static void guest_private_shared(void)
{
	sev_snp_validate(mem, 0, PAGE_SIZE, true);
	*private_page(0) = GUEST_PATTERN;
	GUEST_SYNC(0);				/* the host does not see that */
	GUEST_ASSERT_EQ(*private_page(0), GUEST_PATTERN);

	sev_snp_make_shared(mem, 0, PAGE_SIZE);
	GUEST_ASSERT_EQ(*shared_page(0), 0);
	*shared_page(0) = GUEST_PATTERN;
	GUEST_SYNC(GUEST_PATTERN);		/* it sees, and changes it */
	GUEST_ASSERT_EQ(*shared_page(0), HOST_PATTERN);

	sev_snp_make_private(mem, 0, PAGE_SIZE);
	GUEST_ASSERT_NE(*private_page(0), HOST_PATTERN);
	GUEST_ASSERT_NE(*private_page(0), GUEST_PATTERN);
	*private_page(0) = GUEST_PATTERN;
	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(*private_page(0), GUEST_PATTERN);
}

static void sync_private_shared(struct sev_snp_runner *r, struct ucall *uc)
{
	uint64_t *seen = addr_gpa2hva(r->vcpu->vm, MEM_GPA);

	if (*seen != uc->args[1])
		sev_snp_fail(r, "the host sees 0x%lx, not 0x%lx", *seen, uc->args[1]);
	if (*seen)
		*seen = HOST_PATTERN;
}

static uint64_t nr_not_validated;
static uint64_t last_not_validated;

static bool validate_on_demand(struct ex_regs *regs, uint64_t gva)
{
	int rc = sev_snp_pvalidate(gva & PAGE_MASK, SEV_SNP_4K, true);

	nr_not_validated++;
	last_not_validated = gva;
	__GUEST_ASSERT(!rc, "PVALIDATE of 0x%lx: %d", gva, rc);
	return true;
}

static void expect_not_validated(uint64_t nr, void *gva)
{
	GUEST_ASSERT_EQ(nr_not_validated, nr);
	GUEST_ASSERT_EQ(last_not_validated, (uint64_t)gva);
	GUEST_ASSERT_EQ(sev_ghcb_this_cpu()->last_vc, SEV_VC_NOT_VALIDATED);
}

/* Reads, writes and fetches of pages never validated, or not any more. */
static void guest_not_validated(void)
{
	uint64_t *code = &private_page(2)[12];

	sev_ghcb_not_validated = validate_on_demand;

	load(&private_page(0)[7]);
	expect_not_validated(1, &private_page(0)[7]);
	load(&private_page(0)[8]);
	GUEST_ASSERT_EQ(nr_not_validated, 1);

	store(&private_page(1)[9], GUEST_PATTERN);
	expect_not_validated(2, &private_page(1)[9]);
	GUEST_ASSERT_EQ(private_page(1)[9], GUEST_PATTERN);

	store(code, INSN_RET);
	expect_not_validated(3, code);
	GUEST_ASSERT(!sev_snp_pvalidate((uint64_t)private_page(2), SEV_SNP_4K, false));
	execute(code);
	expect_not_validated(4, code);
	execute(code);
	GUEST_ASSERT_EQ(nr_not_validated, 4);
}

static void expect_pvalidate(int page, uint32_t size, bool validate, int wanted)
{
	int rc = sev_snp_pvalidate((uint64_t)private_page(page), size, validate);

	__GUEST_ASSERT(rc == wanted, "page %d, size %u, %s: wanted %d, got %d",
		       page, size, validate ? "validate" : "rescind", wanted, rc);
}

/* What is validated twice may be two pages: the carry flag gives it away. */
static void guest_pvalidate(void)
{
	expect_pvalidate(1, SEV_SNP_4K, true, SEV_SNP_SUCCESS);
	expect_pvalidate(1, SEV_SNP_4K, true, SEV_SNP_NO_CHANGE);
	expect_pvalidate(1, SEV_SNP_4K, false, SEV_SNP_SUCCESS);
	expect_pvalidate(1, SEV_SNP_4K, false, SEV_SNP_NO_CHANGE);
	expect_pvalidate(1, SEV_SNP_4K, true, SEV_SNP_SUCCESS);

	expect_pvalidate(2, SEV_SNP_4K, false, SEV_SNP_NO_CHANGE);
	expect_pvalidate(3, 2, true, SEV_SNP_FAIL_INPUT);
	expect_pvalidate(3, SEV_SNP_2M, true, SEV_SNP_FAIL_INPUT);
}

/* 2M at a time, and singly if the hypervisor has 4K pages there. */
static void guest_pvalidate_2m(void)
{
	int rc = sev_snp_pvalidate(mem->private, SEV_SNP_2M, true);
	int i;

	GUEST_ASSERT(rc == SEV_SNP_SUCCESS || rc == SEV_SNP_FAIL_SIZEMISMATCH);
	if (rc == SEV_SNP_FAIL_SIZEMISMATCH)
		sev_snp_validate(mem, 0, SZ_2M, true);

	for (i = 0; i < SZ_2M / PAGE_SIZE; i++)
		*private_page(i) = GUEST_PATTERN + i;
	for (i = 0; i < SZ_2M / PAGE_SIZE; i++)
		GUEST_ASSERT_EQ(*private_page(i), GUEST_PATTERN + i);

	expect_pvalidate(5, SEV_SNP_4K, true, SEV_SNP_NO_CHANGE);
}

static void expect_rmpadjust(int page, uint64_t attributes, int wanted)
{
	int rc = sev_snp_rmpadjust((uint64_t)private_page(page), SEV_SNP_4K, attributes);

	__GUEST_ASSERT(rc == wanted, "attributes 0x%lx: wanted %d, got %d",
		       attributes, wanted, rc);
}

static void guest_rmpadjust(void)
{
	uint64_t vmpl1 = FIELD_PREP(SEV_SNP_RMPADJUST_VMPL, 1);

	sev_snp_validate(mem, 0, PAGE_SIZE, true);

	expect_rmpadjust(0, vmpl1 | FIELD_PREP(SEV_SNP_RMPADJUST_PERMS, 0xf),
			 SEV_SNP_SUCCESS);
	expect_rmpadjust(0, vmpl1 | SEV_SNP_RMPADJUST_VMSA, SEV_SNP_SUCCESS);
	expect_rmpadjust(0, vmpl1, SEV_SNP_SUCCESS);

	/* Its own permissions are what the caller cannot change. */
	expect_rmpadjust(0, FIELD_PREP(SEV_SNP_RMPADJUST_PERMS, 0xf),
			 SEV_SNP_FAIL_PERMISSION);
	GUEST_ASSERT_EQ(sev_snp_rmpadjust(mem->private, SEV_SNP_2M, vmpl1),
			SEV_SNP_FAIL_SIZEMISMATCH);
	GUEST_ASSERT_EQ(sev_snp_rmpadjust(mem->private, 2, vmpl1), SEV_SNP_FAIL_INPUT);

	/* Not validated. */
	sev_ghcb_not_validated = validate_on_demand;
	expect_rmpadjust(1, vmpl1, SEV_SNP_SUCCESS);
	expect_not_validated(1, private_page(1));
}

/* A page that the host takes away is missed, not silently another one. */
static void guest_hole(void)
{
	sev_ghcb_not_validated = validate_on_demand;
	sev_snp_validate(mem, 0, 2 * PAGE_SIZE, true);
	*private_page(0) = GUEST_PATTERN;
	*private_page(1) = GUEST_PATTERN;

	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(*private_page(1), GUEST_PATTERN);
	GUEST_ASSERT_EQ(nr_not_validated, 0);
	GUEST_ASSERT_NE(load(private_page(0)), GUEST_PATTERN);
	expect_not_validated(1, private_page(0));
}

static void sync_hole(struct sev_snp_runner *r, struct ucall *uc)
{
	vm_guest_mem_punch_hole(r->vcpu->vm, MEM_GPA, PAGE_SIZE);
}

/*
 * Guest: page state changes.
 */
static void guest_psc_msr(void)
{
	GUEST_ASSERT_EQ(sev_snp_psc_msr(MEM_GPA, SEV_SNP_PSC_SHARED), 0);
	*shared_page(0) = GUEST_PATTERN;
	GUEST_ASSERT_EQ(sev_snp_psc_msr(MEM_GPA, SEV_SNP_PSC_PRIVATE), 0);
	sev_snp_validate(mem, 0, PAGE_SIZE, true);
	*private_page(0) = GUEST_PATTERN;

	GUEST_ASSERT_NE(sev_snp_psc_msr(NO_MEM_GPA, SEV_SNP_PSC_PRIVATE), 0);
	GUEST_ASSERT_NE(sev_snp_psc_msr(MEM_GPA, 0), 0);
	GUEST_ASSERT_NE(sev_snp_psc_msr(MEM_GPA, 15), 0);
	GUEST_ASSERT_EQ(*private_page(0), GUEST_PATTERN);
}

static uint64_t psc_entry(uint64_t gpa, uint32_t op)
{
	return gpa | FIELD_PREP(SEV_SNP_PSC_OP, op);
}

/* Pages here and there, neighbours among them, and 2M of which a part is done. */
static void guest_psc_list(void)
{
	static const int pages[] = { 3, 4, 5, 9, 20, 19, 18 };
	struct sev_snp_psc psc = { };
	int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++)
		psc.entries[i] = psc_entry(MEM_GPA + pages[i] * PAGE_SIZE,
					   SEV_SNP_PSC_SHARED);
	psc.end_entry = ARRAY_SIZE(pages) - 1;
	GUEST_ASSERT_EQ(sev_snp_psc_once(&psc), 0);
	GUEST_ASSERT_EQ(psc.cur_entry, ARRAY_SIZE(pages));
	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		GUEST_ASSERT_EQ(FIELD_GET(SEV_SNP_PSC_CUR_PAGE, psc.entries[i]), 1);
		*shared_page(pages[i]) = GUEST_PATTERN + i;
	}
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		GUEST_ASSERT_EQ(*shared_page(pages[i]), GUEST_PATTERN + i);

	psc.cur_entry = 0;
	psc.end_entry = 0;
	psc.entries[0] = psc_entry(MEM_GPA, SEV_SNP_PSC_SHARED) | SEV_SNP_PSC_2M |
			 FIELD_PREP(SEV_SNP_PSC_CUR_PAGE, 510);
	GUEST_ASSERT_EQ(sev_snp_psc_once(&psc), 0);
	*shared_page(510) = GUEST_PATTERN;
	*shared_page(511) = GUEST_PATTERN;
}

static void expect_psc(uint64_t entry, uint16_t cur, uint16_t end, uint64_t wanted)
{
	struct sev_snp_psc psc = {
		.cur_entry = cur,
		.end_entry = end,
	};
	uint64_t status;

	psc.entries[0] = entry;
	status = sev_snp_psc_once(&psc);
	__GUEST_ASSERT(status == wanted, "entry 0x%lx (%u to %u): wanted 0x%lx, got 0x%lx",
		       entry, cur, end, wanted, status);

	/* An entry is not done that has been refused. */
	if (status)
		GUEST_ASSERT_EQ(psc.cur_entry, cur);
}

static void guest_psc_errors(void)
{
	uint64_t good = psc_entry(MEM_GPA, SEV_SNP_PSC_PRIVATE);

	expect_psc(good, 0, SEV_SNP_PSC_MAX, SEV_SNP_PSC_INVALID_HDR);
	expect_psc(good, 0, 0xffff, SEV_SNP_PSC_INVALID_HDR);
	expect_psc(good | FIELD_PREP(SEV_SNP_PSC_CUR_PAGE, 2), 0, 0,
		   SEV_SNP_PSC_INVALID_ENTRY);
	expect_psc(good | SEV_SNP_PSC_2M | FIELD_PREP(SEV_SNP_PSC_CUR_PAGE, 513), 0, 0,
		   SEV_SNP_PSC_INVALID_ENTRY);
	expect_psc((good + PAGE_SIZE) | SEV_SNP_PSC_2M, 0, 0, SEV_SNP_PSC_INVALID_ENTRY);
	expect_psc(psc_entry(NO_MEM_GPA, SEV_SNP_PSC_SHARED), 0, 0, SEV_SNP_PSC_GENERIC);

	/* Done already, all or the only one. */
	expect_psc(good, 1, 0, 0);
	expect_psc(good | FIELD_PREP(SEV_SNP_PSC_CUR_PAGE, 1), 0, 0, 0);
	expect_psc(good, 0, 0, 0);
}

/* As above, and the VMM lets both copies of the page be. */
static void guest_keep(void)
{
	sev_snp_validate(mem, 0, PAGE_SIZE, true);
	*private_page(0) = GUEST_PATTERN;
	sev_snp_make_shared(mem, 0, PAGE_SIZE);
	*shared_page(0) = HOST_PATTERN;
	sev_snp_make_private(mem, 0, PAGE_SIZE);
	GUEST_ASSERT_EQ(*private_page(0), GUEST_PATTERN);
	sev_snp_make_shared(mem, 0, PAGE_SIZE);
	GUEST_ASSERT_EQ(*shared_page(0), HOST_PATTERN);
}

/* Nobody asked for it; the VMM sees what the guest wants from what it does. */
static void guest_implicit(void)
{
	sev_ghcb_not_validated = validate_on_demand;
	sev_snp_validate(mem, 0, PAGE_SIZE, true);
	*private_page(0) = GUEST_PATTERN;

	/* To read would do nothing but to show what encrypted data looks like. */
	store(shared_page(0), HOST_PATTERN);
	GUEST_ASSERT_EQ(load(shared_page(0)), HOST_PATTERN);

	GUEST_ASSERT_NE(load(private_page(0)), GUEST_PATTERN);
	expect_not_validated(1, private_page(0));
}

/*
 * Guest: the GHCB.
 */
static void guest_not_registered(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_HV_FEATURES, 0, 0);
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();
	struct sev_ghcb_page *page = cpu->page;
	uint64_t gpa = cpu->gpa, msr;

	cpu->page = (void *)config.ghcb2;
	cpu->gpa = config.ghcb2_gpa;
	sev_ghcb_vmgexit(&call);
	cpu->page = page;
	cpu->gpa = gpa;
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_MALFORMED);
	GUEST_ASSERT_EQ(call.info2, SEV_GHCB_ERR_NOT_REGISTERED);

	/* The latest one counts. */
	msr = sev_ghcb_msr_call(config.ghcb2_gpa | SEV_GHCB_MSR_REG_GPA_REQ);
	GUEST_ASSERT_EQ(msr, config.ghcb2_gpa | SEV_GHCB_MSR_REG_GPA_RESP);
	cpu->page = (void *)config.ghcb2;
	cpu->gpa = config.ghcb2_gpa;
	call = sev_ghcb_event(SVM_VMGEXIT_HV_FEATURES, 0, 0);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);

	/* KVM has no wish of its own. */
	msr = sev_ghcb_msr_call(SEV_GHCB_MSR_PREF_GPA_REQ);
	GUEST_ASSERT_EQ(msr, SEV_GHCB_MSR_DATA | SEV_GHCB_MSR_PREF_GPA_RESP);
}

static void guest_terminate(void)
{
	sev_ghcb_terminate(SEV_GHCB_TERM_SET_TEST, 0x42);
}

/*
 * Host: the launch, out of order and out of bounds.
 */
#define EXPECT_ERRNO(call, wanted)					\
do {									\
	int __wanted = (wanted), __ret = (call);			\
									\
	TEST_ASSERT(__ret && errno == __wanted, "%s: wanted %s, got %d (%s)", \
		    #call, strerror(__wanted), __ret, strerror(errno));	\
} while (0)

static void launch_policy(struct sev_snp_vm *snp)
{
	EXPECT_ERRNO(__sev_snp_launch_start(snp, SEV_SNP_POLICY_SMT), EINVAL);
	EXPECT_ERRNO(__sev_snp_launch_start(snp, SEV_SNP_POLICY_RSVD_MBO), EINVAL);
	EXPECT_ERRNO(__sev_snp_launch_start(snp, SEV_SNP_POLICY | BIT_ULL(63)), EINVAL);
	TEST_ASSERT_EQ(__sev_snp_launch_start(snp, SEV_SNP_POLICY | SEV_SNP_POLICY_DEBUG), 0);
}

static void launch_order(struct sev_snp_vm *snp)
{
	const uint8_t type = KVM_SEV_SNP_PAGE_TYPE_NORMAL;
	uint32_t fw_error;

	EXPECT_ERRNO(__sev_snp_launch_update(snp, MEM_GPA, PAGE_SIZE, type, NULL), EINVAL);
	EXPECT_ERRNO(__sev_snp_launch_finish(snp), EINVAL);

	sev_snp_launch(snp);

	EXPECT_ERRNO(__sev_snp_launch_start(snp, SEV_SNP_POLICY), EINVAL);
	EXPECT_ERRNO(__sev_snp_launch_update(snp, MEM_GPA, PAGE_SIZE, type, &fw_error), EIO);
	TEST_ASSERT_EQ(fw_error, SEV_RET_INVALID_GUEST_STATE);
	EXPECT_ERRNO(__sev_snp_launch_finish(snp), EINVAL);
}

static void launch_update(struct sev_snp_vm *snp)
{
	const uint8_t type = KVM_SEV_SNP_PAGE_TYPE_NORMAL;
	uint64_t gpa = MEM_GPA + PAGE_SIZE;

	TEST_ASSERT_EQ(__sev_snp_launch_start(snp, SEV_SNP_POLICY), 0);

	/* A VMSA, and types that there are none of. */
	EXPECT_ERRNO(__sev_snp_launch_update(snp, gpa, PAGE_SIZE, 0, NULL), EINVAL);
	EXPECT_ERRNO(__sev_snp_launch_update(snp, gpa, PAGE_SIZE, 2, NULL), EINVAL);
	EXPECT_ERRNO(__sev_snp_launch_update(snp, gpa, PAGE_SIZE, 7, NULL), EINVAL);
	EXPECT_ERRNO(__sev_snp_launch_update(snp, gpa, PAGE_SIZE - 1, type, NULL), EINVAL);

	TEST_ASSERT_EQ(__sev_snp_launch_update(snp, gpa, PAGE_SIZE, type, NULL), 0);
	EXPECT_ERRNO(__sev_snp_launch_update(snp, gpa, PAGE_SIZE, type, NULL), EIO);

	gpa += PAGE_SIZE;
	vm_mem_set_shared(snp->vm, gpa, PAGE_SIZE);
	EXPECT_ERRNO(__sev_snp_launch_update(snp, gpa, PAGE_SIZE, type, NULL), EIO);
	vm_mem_set_private(snp->vm, gpa, PAGE_SIZE);
	TEST_ASSERT_EQ(__sev_snp_launch_update(snp, gpa, PAGE_SIZE, type, NULL), 0);
}

/*
 * Host.
 */
struct kind {
	void (*guest)(void);
	void (*sync)(struct sev_snp_runner *r, struct ucall *uc);
	void (*launch)(struct sev_snp_vm *snp);
	enum sev_snp_discard discard;

	/* What the VMM must have been asked for. */
	uint64_t conversions;
	uint64_t converted;
	uint64_t faults;
	uint64_t term_data;
};

static void guest_code(void (*guest)(void))
{
	guest();
	GUEST_DONE();
}

static void fill_config(struct sev_snp_vm *snp)
{
	uint64_t *unmeasured;
	int i;

	memset(&config, 0, sizeof(config));
	sev_snp_add_mem(snp, MEM_SLOT, MEM_GPA, MEM_SIZE, &config.mem);
	config.ghcb2 = vm_vaddr_alloc_shared(snp->vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
					     MEM_REGION_TEST_DATA);
	config.ghcb2_gpa = addr_gva2gpa(snp->vm, config.ghcb2);
	config.zero_page = sev_snp_alloc_typed(snp, KVM_SEV_SNP_PAGE_TYPE_ZERO);
	config.unmeasured_page = sev_snp_alloc_typed(snp, KVM_SEV_SNP_PAGE_TYPE_UNMEASURED);
	unmeasured = addr_gva2hva(snp->vm, config.unmeasured_page);
	for (i = 0; i < PAGE_SIZE / sizeof(*unmeasured); i++)
		unmeasured[i] = HOST_PATTERN + i;
	memset(addr_gva2hva(snp->vm, config.zero_page), 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(cpuid_functions); i++)
		config.cpuid[i] = *get_cpuid_entry(snp->vcpus[0]->cpuid,
						   cpuid_functions[i], 0);
	config.c_bit = this_cpu_property(X86_PROPERTY_SEV_C_BIT);
	sync_global_to_guest(snp->vm, config);
}

static bool run_in_guest(const struct kind *k, struct sev_snp_vm *snp)
{
	struct sev_snp_runner r = {
		.vcpu = snp->vcpus[0],
		.sync = k->sync,
		.discard = k->discard,
	};
	bool ok;

	vcpu_args_set(snp->vcpus[0], 1, k->guest);
	sev_snp_launch(snp);

	if (k->term_data) {
		while (sev_snp_run_once(&r))
			;
		return r.terminated && r.term_data == k->term_data;
	}

	ok = sev_snp_run(&r, 1, TIMEOUT_SECONDS);
	if (r.nr_conversions == k->conversions && r.nr_converted == k->converted &&
	    r.nr_faults == k->faults)
		return ok;

	ksft_print_msg("%lu conversions of %lu pages, %lu faults\n",
		       r.nr_conversions, r.nr_converted, r.nr_faults);
	return false;
}

static bool run(const struct sev_subtest *t)
{
	const struct kind *k = t->data;
	struct sev_snp_config snp_config = SEV_SNP_DEFAULT_CONFIG;
	struct sev_snp_vm snp;
	bool ok = true;

	snp_config.mem_pages = MEM_SIZE / PAGE_SIZE;
	sev_snp_create(&snp, &snp_config, 1, guest_code);
	fill_config(&snp);

	if (k->launch)
		k->launch(&snp);
	else
		ok = run_in_guest(k, &snp);

	sev_snp_free(&snp);
	return ok;
}

#define SUBTEST(_name, ...) {						\
	.name = _name,							\
	.run = run,							\
	.data = &(const struct kind){ __VA_ARGS__ },			\
}

static const struct sev_subtest subtests[] = {
	SUBTEST("status", guest_status),
	SUBTEST("cpuid", guest_cpuid),
	SUBTEST("secrets", guest_secrets),
	SUBTEST("page_types", guest_page_types),
	SUBTEST("private_shared", guest_private_shared, sync_private_shared,
		.conversions = 2, .converted = 2),
	SUBTEST("not_validated", guest_not_validated),
	SUBTEST("pvalidate", guest_pvalidate),
	SUBTEST("pvalidate_2m", guest_pvalidate_2m),
	SUBTEST("rmpadjust", guest_rmpadjust),
	SUBTEST("hole", guest_hole, sync_hole),
	SUBTEST("psc_msr", guest_psc_msr, .conversions = 2, .converted = 2),
	SUBTEST("psc_list", guest_psc_list, .conversions = 6, .converted = 9),
	SUBTEST("psc_errors", guest_psc_errors, .conversions = 1, .converted = 1),
	SUBTEST("keep", guest_keep,
		.discard = SEV_SNP_KEEP, .conversions = 3, .converted = 3),
	SUBTEST("implicit", guest_implicit, .faults = 2),
	SUBTEST("not_registered", guest_not_registered),
	SUBTEST("terminate", guest_terminate,
		.term_data = SEV_GHCB_MSR_TERM_REQ | SEV_GHCB_TERM_SET_TEST << 12 | 0x42 << 16),
	SUBTEST("launch_policy", .launch = launch_policy),
	SUBTEST("launch_order", .launch = launch_order),
	SUBTEST("launch_update", .launch = launch_update),
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
