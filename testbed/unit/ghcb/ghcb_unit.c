// SPDX-License-Identifier: GPL-2.0
/*
 * ghcb_events.c and ghcb_psc.c of the kernel, in userland: no request may get
 * past vmgexit_prepare() that breaks the rules, no list of page state changes
 * may be carried out otherwise than it says.
 *
 *   ghcb_unit table            each row, each of its inputs left out
 *   ghcb_unit fuzz SECONDS     random requests and lists
 *   ghcb_unit FILE...          those of a corpus
 *
 * With -DLIBFUZZER there is no main(), and the fuzzer's finds the inputs.
 */
#include "stubs.h"
#include "fuzz.h"
#include "ghcb.h"

#define GHCB_GPA	0x7000000ull

/* Elsewhere in the kernel. */
void vmgexit_raise(struct vmgexit_reply *reply, u8 vector, bool has_error_code, u32 error_code) { }
u64 vmgexit_prep_guest_req(struct vmgexit_req *req) { return 0; }
int vmgexit_guest_req(struct kvm_vcpu *v, const struct vmgexit_req *q, struct vmgexit_reply *r)
{
	return 1;
}
int vmgexit_ext_guest_req(struct kvm_vcpu *v, const struct vmgexit_req *q, struct vmgexit_reply *r)
{
	return 1;
}
int sev_snp_ap_creation(struct kvm_vcpu *v, u64 info1, gpa_t gpa, u64 features) { return 0; }

/*
 * Requests.
 */
static void check_request(struct vmgexit_req req, bool snp)
{
	struct vmgexit_req again = req;
	u64 offset, error = vmgexit_prepare(&req, snp);

	/* It looks at nothing but the request. */
	CHECK(vmgexit_prepare(&again, snp) == error);
	CHECK(again.data_len == req.data_len && again.out == req.out);

	CHECK(error <= GHCB_ERR_INVALID_EVENT && error != GHCB_ERR_NOT_REGISTERED);
	if (error)
		return;

	CHECK(!req.usage && (req.valid & GHCB_EXIT) == GHCB_EXIT);
	CHECK(req.event && req.event->handle);
	CHECK(snp || !(req.event->flags & VMGEXIT_SNP));
	CHECK((req.valid & req.event->in) == req.event->in);
	CHECK(!(req.out & ~req.event->out));
	if (!req.data_len)
		return;

	CHECK(req.event->flags & VMGEXIT_DATA && req.valid & GHCB_SCRATCH);
	CHECK(req.data_in || req.data_out);
	CHECK(req.scratch + req.data_len > req.scratch);
	if ((req.scratch & PAGE_MASK) == req.gpa) {
		offset = req.scratch - req.gpa;
		CHECK(offset >= 0x800 && offset + req.data_len <= 0xff0);
	} else {
		CHECK(req.version < 2 && req.data_len <= 16 * PAGE_SIZE);
	}
}

/*
 * Page state changes: what userspace gets is what the list says, page by page.
 */
struct psc_list {
	struct psc_hdr hdr;
	struct psc_entry entries[VMGEXIT_PSC_MAX_COUNT];
} __packed;

static u64 pages_left(const struct psc_entry *e)
{
	return (e->pagesize ? 512 : 1) - e->cur_page;
}

static void check_psc(const u8 *bytes, size_t size, u64 offset)
{
	struct psc_list *list, before;
	struct kvm kvm = { .arch.hypercall_exit_enabled = BIT(KVM_HC_MAP_GPA_RANGE) };
	struct kvm_run run = { .hypercall.flags = ~0ull };	/* what an exit has left */
	struct vmcb vmcb = { };
	struct vmgexit v = { };
	struct vcpu_svm svm = { .vcpu = { .kvm = &kvm, .run = &run }, .vmcb = &vmcb,
				.vmgexit = &v };
	unsigned int i, steps = 0, next;
	u64 sent = 0, wanted = 0;
	int r;

	v.req = (struct vmgexit_req){
		.gpa = GHCB_GPA, .scratch = GHCB_GPA + offset, .version = 2,
		.exit_code = SVM_VMGEXIT_PSC, .valid = GHCB_EXIT | GHCB_SCRATCH,
	};
	if (vmgexit_prepare(&v.req, true))
		return;

	/* Exactly as long as KVM believes, for the address sanitizer to see. */
	list = calloc(1, v.req.data_len);
	memcpy(list, bytes, min_t(size_t, size, v.req.data_len));
	memset(&before, 0, sizeof(before));
	memcpy(&before, list, min_t(size_t, sizeof(before), v.req.data_len));
	v.req.data = list;

	r = vmgexit_psc(&svm.vcpu, &v.req, &v.reply);
	for (; !r; r = svm.vcpu.arch.complete_userspace_io(&svm.vcpu)) {
		CHECK(++steps <= VMGEXIT_PSC_MAX_COUNT);
		CHECK(run.exit_reason == KVM_EXIT_HYPERCALL);
		CHECK(run.hypercall.nr == KVM_HC_MAP_GPA_RANGE && run.hypercall.args[1]);
		CHECK(run.hypercall.flags == KVM_EXIT_HYPERCALL_LONG_MODE);
		next = list->hdr.cur_entry;
		CHECK(next <= before.hdr.end_entry);
		sent += run.hypercall.args[1];
		run.hypercall.ret = 0;
		run.hypercall.flags = ~0ull;
	}
	CHECK(r == 1 && v.reply.info1 == GHCB_RESULT_OK);

	if (!v.reply.info2) {
		for (i = before.hdr.cur_entry; i <= before.hdr.end_entry; i++) {
			if (before.entries[i].operation == VMGEXIT_PSC_OP_PRIVATE ||
			    before.entries[i].operation == VMGEXIT_PSC_OP_SHARED)
				wanted += pages_left(&before.entries[i]);
			CHECK(!pages_left(&list->entries[i]));
		}
		CHECK(sent == wanted);
	}
	free(list);
}

/*
 * One input: a request, then a list.
 */
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
	struct { u64 code, info1, info2, scratch, rax, xcr0, valid; u32 usage; u8 cpl, flags; } in;
	struct vmgexit_req req = { .gpa = GHCB_GPA };

	memset(&in, 0, sizeof(in));
	memcpy(&in, bytes, min_t(size_t, size, sizeof(in)));

	req.exit_code = in.code;
	req.info1 = in.info1;
	req.info2 = in.info2;
	req.scratch = in.flags & 1 ? GHCB_GPA + in.scratch % PAGE_SIZE : in.scratch;
	req.rax = in.rax;
	req.xcr0 = in.xcr0;
	req.valid = in.valid & (GHCB_FIELDS_LO | GHCB_FIELDS_HI);
	if (in.flags & 2)
		req.valid |= GHCB_EXIT;
	req.usage = in.flags & 4 ? in.usage : 0;
	req.cpl = in.cpl;
	req.version = in.flags & 8 ? 1 : 2;
	check_request(req, in.flags & 16);

	if (size > sizeof(in))
		check_psc(bytes + sizeof(in), size - sizeof(in),
			  in.flags & 32 ? 0x800 : in.scratch % PAGE_SIZE);
	return 0;
}

#ifndef LIBFUZZER
static const u64 codes[] = {
	SVM_EXIT_READ_DR7, SVM_EXIT_WRITE_DR7, SVM_EXIT_RDTSC, SVM_EXIT_RDPMC,
	SVM_EXIT_CPUID, SVM_EXIT_INVD, SVM_EXIT_IOIO, SVM_EXIT_MSR, SVM_EXIT_VMMCALL,
	SVM_EXIT_RDTSCP, SVM_EXIT_WBINVD, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT,
	SVM_VMGEXIT_MMIO_READ, SVM_VMGEXIT_MMIO_WRITE, SVM_VMGEXIT_NMI_COMPLETE,
	SVM_VMGEXIT_AP_HLT_LOOP, SVM_VMGEXIT_AP_JUMP_TABLE, SVM_VMGEXIT_PSC,
	SVM_VMGEXIT_GUEST_REQUEST, SVM_VMGEXIT_EXT_GUEST_REQUEST, SVM_VMGEXIT_AP_CREATION,
	SVM_VMGEXIT_HV_FEATURES, SVM_VMGEXIT_TERM_REQUEST, SVM_VMGEXIT_UNSUPPORTED_EVENT,
};

static bool is_listed(u64 code)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		if (codes[i] == code)
			return true;
	}
	return false;
}

static struct vmgexit_req proper(u64 code)
{
	return (struct vmgexit_req){
		.exit_code = code, .gpa = GHCB_GPA, .scratch = GHCB_GPA + 0x800, .version = 2,
		.info1 = code == SVM_EXIT_IOIO ? 1 << 4 : 0, .info2 = 8, .xcr0 = 1,
		.valid = GHCB_FIELDS_LO | GHCB_FIELDS_HI,
	};
}

static void check_row(u64 code)
{
	struct vmgexit_req req = proper(code), without;
	u64 field;

	CHECK(vmgexit_prepare(&req, true) == 0);
	for (field = 1; field; field <<= 1) {
		if (!(field & (req.event->in | GHCB_EXIT)))
			continue;
		without = proper(code);
		without.valid &= ~field;
		CHECK(vmgexit_prepare(&without, true) == GHCB_ERR_MISSING_INPUT);
	}
	without = proper(code);
	CHECK(vmgexit_prepare(&without, false) ==
	      (req.event->flags & VMGEXIT_SNP ? GHCB_ERR_INVALID_EVENT : 0));
	without = proper(code);
	without.usage = 1;
	CHECK(vmgexit_prepare(&without, true) == GHCB_ERR_INVALID_USAGE);
}

static void check_no_row(u64 code)
{
	struct vmgexit_req req = proper(code);

	if (!is_listed(code))
		CHECK(vmgexit_prepare(&req, true) == GHCB_ERR_INVALID_EVENT);
}

/* Bytes of data anywhere in the page: either they fit the buffer or they do not. */
static void check_scratch(u64 offset, u64 len)
{
	struct vmgexit_req req = proper(SVM_EXIT_IOIO);
	bool fits = offset >= 0x800 && offset + len <= 0xff0;

	req.info1 |= SVM_IOIO_STR_MASK;
	req.info2 = len;
	req.scratch = GHCB_GPA + offset;
	CHECK(vmgexit_prepare(&req, true) == (fits ? 0 : GHCB_ERR_INVALID_SCRATCH_AREA));
}

static void check_table(void)
{
	unsigned int offset, len;

	unsigned int i;

	CHECK(vmgexit_check_events() == 0);
	for (i = 0; i < ARRAY_SIZE(codes); i++)
		check_row(codes[i]);
	for (i = 0; i < 0x20000; i++) {
		check_no_row(i);
		check_no_row(0x80000000ull + i);
		check_no_row(0x180000000ull + i);
		check_no_row(-1ull - i);
	}
	for (offset = 0; offset < PAGE_SIZE; offset++) {
		for (len = 1; len <= 16; len++)
			check_scratch(offset, len);
		check_scratch(offset, 0x7f0);
		check_scratch(offset, 0x7f1);
	}
	printf("%zu events\n", ARRAY_SIZE(codes));
}

static void random_input(u8 *bytes, size_t size)
{
	u64 *words = (u64 *)bytes;
	struct psc_entry entry;
	size_t i;

	for (i = 0; i < size / 8; i++)
		words[i] = rnd() % 4 ? rnd() >> rnd() % 64 : 0;
	words[0] = rnd() % 8 ? codes[rnd() % ARRAY_SIZE(codes)] : words[0];
	words[6] = rnd() % 4 ? ~0ull : words[6];

	/* A list that makes sense, most of the time. */
	words[8] = rnd() % 8 ? rnd() % 4 | (rnd() % 64) << 16 : words[8];
	for (i = 9; i < size / 8; i++) {
		entry = (struct psc_entry){
			.gfn = rnd() % 4 ? i : rnd(), .operation = rnd() % 8 ? 1 : rnd(),
			.pagesize = rnd() % 16 == 0, .cur_page = rnd() % 16 ? 0 : rnd() % 600,
		};
		if (entry.pagesize && rnd() % 8)
			entry.gfn <<= 9;
		memcpy(&words[i], &entry, sizeof(entry));
	}
}

static void fuzz(int seconds)
{
	time_t end = time(NULL) + seconds;
	static u8 bytes[2200] __aligned(8);
	unsigned long n = 0;

	do {
		random_input(bytes, sizeof(bytes));
		LLVMFuzzerTestOneInput(bytes, 64 + rnd() % (sizeof(bytes) - 64));
		n++;
	} while (n % 1024 || time(NULL) < end);
	printf("%lu inputs\n", n);
}

int main(int argc, char *argv[])
{
	int i;

	if (argc == 2 && !strcmp(argv[1], "table"))
		check_table();
	else if (argc == 3 && !strcmp(argv[1], "fuzz"))
		fuzz(atoi(argv[2]));
	else
		for (i = 1; i < argc; i++)
			run_file(argv[i]);
	return 0;
}
#endif
