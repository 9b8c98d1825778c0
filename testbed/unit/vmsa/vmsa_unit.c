// SPDX-License-Identifier: GPL-2.0
/*
 * vmsa.c of the kernel, in userland: a record of what KVM knows of a vCPU is
 * refused without a trace, or it is consistent, and then KVM knows just that.
 *
 *   vmsa_unit bits             each bit of a good record flipped
 *   vmsa_unit rules            each rule broken on its own
 *   vmsa_unit fuzz SECONDS     random records
 *   vmsa_unit FILE...          those of a corpus
 *
 * With -DLIBFUZZER there is no main(), and the fuzzer's finds the records.
 */
#include "stubs.h"
#include "fuzz.h"
#include "vmsa.h"

#define FEATURES	0x20ull
#define JUMP_TABLE	0x9f000ull

static const struct sev_vcpu_record good = {
	.version = SEV_VCPU_RECORD_VERSION,
	.size = sizeof(good),
	.flags = SEV_VCPU_FIRST_SIPI,
	.ap_reset_hold = SEV_VCPU_HOLD_NAE_EVENT,
	.sev_features = FEATURES,
	.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX,
	.cr0 = 0x80050033,
	.cr4 = 0x6a0,
	.cr8 = 5,
	.dr7 = DR7_FIXED_1 | 0x30001,
	.xcr0 = 7,
	.ghcb_msr = 0x7000000,
	.ap_jump_table = JUMP_TABLE,
};

/*
 * The rules, each by itself: what all of a record's readers may rely on.
 */
#define HAS(value, bits)	(((value) & (bits)) == (bits))

static bool rule_version(const struct sev_vcpu_record *r) { return r->version == 1; }
static bool rule_size(const struct sev_vcpu_record *r) { return r->size >= 128; }
static bool rule_flags(const struct sev_vcpu_record *r) { return r->flags <= 1; }
static bool rule_hold(const struct sev_vcpu_record *r) { return r->ap_reset_hold <= 2; }
static bool rule_features(const struct sev_vcpu_record *r) { return r->sev_features == FEATURES; }
static bool rule_efer(const struct sev_vcpu_record *r) { return !(r->efer & ~0xd01ull); }
static bool rule_cr0(const struct sev_vcpu_record *r) { return !(r->cr0 & ~CR0_VALID); }
static bool rule_cr4(const struct sev_vcpu_record *r) { return !(r->cr4 & ~CR4_VALID); }
static bool rule_cr8(const struct sev_vcpu_record *r) { return r->cr8 < 16; }
static bool rule_xss(const struct sev_vcpu_record *r) { return !r->xss; }

static bool rule_lma(const struct sev_vcpu_record *r)
{
	return HAS(r->efer, EFER_LMA) == (HAS(r->efer, EFER_LME) && HAS(r->cr0, X86_CR0_PG));
}

static bool rule_pae(const struct sev_vcpu_record *r)
{
	return !HAS(r->efer, EFER_LMA) || HAS(r->cr4, X86_CR4_PAE);
}

static bool rule_paging(const struct sev_vcpu_record *r)
{
	return !HAS(r->cr0, X86_CR0_PG) || HAS(r->cr0, X86_CR0_PE);
}

static bool rule_caches(const struct sev_vcpu_record *r)
{
	return !HAS(r->cr0, X86_CR0_NW) || HAS(r->cr0, X86_CR0_CD);
}

static bool rule_dr7(const struct sev_vcpu_record *r)
{
	return r->dr7 < BIT_ULL(32) && HAS(r->dr7, 0x400) && !(r->dr7 & 0xd000 & ~0x2000);
}

static bool rule_xcr0(const struct sev_vcpu_record *r)
{
	return r->xcr0 == 1 || r->xcr0 == 3 || r->xcr0 == 7;
}

static bool rule_ghcb(const struct sev_vcpu_record *r)
{
	return r->ghcb_msr & 0xfff || r->ghcb_msr < MAX_GPA;
}

static bool rule_hold_page(const struct sev_vcpu_record *r)
{
	return r->ap_reset_hold != 1 || (r->ghcb_msr && !(r->ghcb_msr & 0xfff));
}

static bool rule_reserved(const struct sev_vcpu_record *r)
{
	return !(r->reserved[0] | r->reserved[1] | r->reserved[2] | r->reserved[3]);
}

static bool (*const rules[])(const struct sev_vcpu_record *r) = {
	rule_version, rule_size, rule_flags, rule_hold, rule_features, rule_efer, rule_cr0,
	rule_cr4, rule_cr8, rule_xss, rule_lma, rule_pae, rule_paging, rule_caches, rule_dr7,
	rule_xcr0, rule_ghcb, rule_hold_page, rule_reserved,
};

#define NR_RULES	(sizeof(rules) / sizeof(rules[0]))

static unsigned int nr_broken(const struct sev_vcpu_record *r, unsigned int *which)
{
	unsigned int i, n = 0;

	for (i = 0; i < NR_RULES; i++) {
		if (!rules[i](r)) {
			*which = i;
			n++;
		}
	}
	return n;
}

/*
 * A vCPU as KVM creates it, and the VM that it is in.
 */
struct world {
	struct kvm_sev_ctx ctx;
	struct kvm kvm;
	struct vmcb vmcb;
	struct vcpu_svm svm;
};

static void make_world(struct world *w, u64 jump_table)
{
	memset(w, 0, sizeof(*w));
	w->ctx.vmsa_features = FEATURES;
	w->kvm.sev.ctx = &w->ctx;
	w->kvm.sev.ap_jump_table = jump_table;
	w->svm.vcpu.kvm = &w->kvm;
	w->svm.vcpu.arch.cr0 = 0x60000010;
	w->svm.vcpu.arch.dr7 = DR7_FIXED_1;
	w->svm.vcpu.arch.xcr0 = 1;
	w->svm.vmcb = &w->vmcb;
}

static void check_taken(struct world *w, const struct sev_vcpu_record *rec)
{
	struct kvm_vcpu *vcpu = &w->svm.vcpu;
	struct sev_vcpu_record now, want = *rec;

	sev_vcpu_record_set(vcpu, rec);
	CHECK(vcpu->nr_mmu_resets == 1 && vcpu->nr_cpuid_updates);
	memset(&now, 0xff, sizeof(now));
	sev_vcpu_record_get(vcpu, &now);

	/* A longer one is of a later KVM, and comes back as long as this one's. */
	want.size = sizeof(want);
	CHECK(!memcmp(&now, &want, sizeof(now)));

	/* What has been said can be said again. */
	CHECK(!sev_vcpu_record_check(vcpu, &now));
}

/* True if it is taken.  @jump_table: what other vCPUs have said, or 0. */
static bool check_record(const struct sev_vcpu_record *in, u64 jump_table)
{
	/* By itself, for the address sanitizer to see who reads beyond it */
	struct sev_vcpu_record *rec = malloc(sizeof(*rec));
	struct world w, before;
	unsigned int which;
	bool agrees;
	int r;

	memcpy(rec, in, sizeof(*rec));
	make_world(&w, jump_table);
	memcpy(&before, &w, sizeof(w));
	r = sev_vcpu_record_check(&w.svm.vcpu, rec);
	CHECK(r == 0 || r == -EINVAL);

	/* Looking changes nothing, neither here nor there. */
	CHECK(!memcmp(&before, &w, sizeof(w)) && !memcmp(rec, in, sizeof(*rec)));
	CHECK(sev_vcpu_record_check(&w.svm.vcpu, rec) == r);

	agrees = !jump_table || rec->ap_jump_table == jump_table;
	CHECK(!r == (agrees && !nr_broken(rec, &which)));
	if (!r)
		check_taken(&w, rec);
	free(rec);
	return !r;
}

/* One input: a record, the rest of which is that of a good one. */
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
	struct sev_vcpu_record rec = good;

	memcpy(&rec, bytes, size < sizeof(rec) ? size : sizeof(rec));
	check_record(&rec, 0);
	check_record(&rec, JUMP_TABLE);
	return 0;
}

#ifndef LIBFUZZER
static void flip(struct sev_vcpu_record *rec, unsigned int bit)
{
	((u8 *)rec)[bit / 8] ^= 1 << bit % 8;
}

static void check_bits(void)
{
	struct sev_vcpu_record rec;
	unsigned int i, j, taken = 0;

	CHECK(check_record(&good, 0) && check_record(&good, JUMP_TABLE));
	for (i = 0; i < 8 * sizeof(rec); i++) {
		rec = good;
		flip(&rec, i);
		taken += check_record(&rec, 0);
		check_record(&rec, JUMP_TABLE);
		for (j = 0; j < i; j++) {
			flip(&rec, j);
			check_record(&rec, 0);
			flip(&rec, j);
		}
	}
	printf("%u of %zu bits may be different\n", taken, 8 * sizeof(rec));
}

/* No rule is another's: each can be the only one that is broken. */
static void check_rules(void)
{
	struct sev_vcpu_record rec;
	bool seen[NR_RULES] = { };
	unsigned int i, j, which;

	for (i = 0; i < 8 * sizeof(rec); i++) {
		for (j = 0; j <= i; j++) {
			rec = good;
			flip(&rec, i);
			if (j < i)
				flip(&rec, j);
			if (nr_broken(&rec, &which) == 1 && !check_record(&rec, 0))
				seen[which] = true;
		}
	}
	for (i = 0; i < NR_RULES; i++) {
		if (!seen[i])
			fprintf(stderr, "rule %u is never the one that counts\n", i);
		CHECK(seen[i]);
	}
	rec = good;
	rec.ap_jump_table++;
	CHECK(check_record(&rec, 0) && !check_record(&rec, JUMP_TABLE));
	printf("%zu rules\n", NR_RULES + 1);
}

static void fuzz(int seconds)
{
	time_t end = time(NULL) + seconds;
	unsigned long n = 0, taken = 0;
	struct sev_vcpu_record rec;
	u64 *words = (u64 *)&rec;
	unsigned int i;

	do {
		rec = good;
		for (i = rnd() % 4; i; i--)
			flip(&rec, rnd() % (8 * sizeof(rec)));
		for (i = rnd() % 3; i; i--)
			words[rnd() % (sizeof(rec) / 8)] = rnd() >> rnd() % 64;
		taken += check_record(&rec, rnd() % 2 ? JUMP_TABLE : 0);
		n++;
	} while (n % 1024 || time(NULL) < end);
	CHECK(taken && taken < n);
	printf("%lu records, %lu taken\n", n, taken);
}

int main(int argc, char *argv[])
{
	int i;

	if (argc == 2 && !strcmp(argv[1], "bits"))
		check_bits();
	else if (argc == 2 && !strcmp(argv[1], "rules"))
		check_rules();
	else if (argc == 3 && !strcmp(argv[1], "fuzz"))
		fuzz(atoi(argv[2]));
	else
		for (i = 1; i < argc; i++)
			run_file(argv[i]);
	return 0;
}
#endif
