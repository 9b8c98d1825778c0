// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV-SNP guests that the host drives from one thread.
 *
 * A report is a ucall.  What a vCPU is to do lies in a page that it shares with
 * the host.  To see that a vCPU does not run takes no waiting: with a signal
 * pending KVM_RUN does all of its work and returns where it would have entered
 * the guest, or slept, and KVM_GET_MP_STATE tells the two apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_snp_remote.h"
#include "svm_util.h"
#include "test_util.h"
#include "ucall_common.h"

#define STACK_SIZE	(4 * PAGE_SIZE)

#define LOG_MARK	"selftest: the VM is gone"

/* More than a VM of these has, to get some of it whatever was freed since. */
#define REUSED_SIZE	SZ_128M

#define MEM_SLOT	10
#define MEM_GPA		SZ_4G

/* For a host that is slow and busy; whoever gets here has failed. */
#define TIMEOUT_SECONDS	30

/* How often to look whether it is time. */
#define ALARM_MS	100

/* Written by the host. */
struct sev_snp_mem sev_snp_remote_mem;
static struct sev_snp_errand *errands;

/*
 * Guest side.
 */
void sev_snp_serve(uint64_t tag)
{
	struct sev_snp_errand *e = &errands[sev_ghcb_this_cpu()->vcpu_id];
	uint64_t (*fn)(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);

	for (;;) {
		GUEST_SYNC(tag);
		fn = (void *)READ_ONCE(e->fn);
		WRITE_ONCE(e->fn, 0);
		if (fn)
			e->ret = fn(e->args[0], e->args[1], e->args[2], e->args[3]);
	}
}

void sev_snp_serve_anew(uint64_t tag)
{
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();

	cpu->version = 0;
	cpu->depth = 0;
	sev_snp_serve(tag);
}

static bool in_x2apic_mode(void)
{
	return rdmsr(MSR_IA32_APICBASE) & X2APIC_ENABLE;
}

uint64_t sev_snp_guest_setup(void)
{
	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) |
	      MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
	sev_snp_validate(&sev_snp_remote_mem, 0, SEV_SNP_REMOTE_VMSAS * PAGE_SIZE, true);
	return 0;
}

uint64_t sev_snp_guest_validate(int page)
{
	sev_snp_validate(&sev_snp_remote_mem, page * PAGE_SIZE, PAGE_SIZE, true);
	return 0;
}

uint64_t sev_snp_guest_set_vmsa(void *vmsa, bool set)
{
	return sev_snp_set_vmsa(vmsa, set);
}

uint64_t sev_snp_guest_fill(uint32_t id, void *vmsa, uint64_t tag)
{
	uint64_t rc = sev_snp_set_vmsa(vmsa, false);

	if (rc)
		return rc;
	sev_snp_fill_vmsa(vmsa, id, sev_snp_serve_anew, tag);
	return sev_snp_set_vmsa(vmsa, true);
}

uint64_t sev_snp_guest_ipi(uint32_t apic_id, uint32_t icr)
{
	GUEST_ASSERT(in_x2apic_mode());
	wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4), (uint64_t)apic_id << 32 | icr);
	return 0;
}

uint64_t sev_snp_guest_kick(uint32_t apic_id)
{
	struct sev_ghcb_call call = sev_ghcb_vmmcall(KVM_HC_KICK_CPU, 0, apic_id, 0, 0);

	sev_ghcb_vmgexit(&call);
	return call.rax;
}

uint64_t sev_snp_guest_halt(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
	return 0;
}

uint64_t sev_snp_guest_park(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_AP_HLT_LOOP, 0, 0);

	sev_ghcb_vmgexit(&call);
	return call.info2;
}

uint64_t sev_snp_guest_request(uint64_t info1, uint64_t vmsa_gpa,
			       uint64_t change_features)
{
	struct sev_ghcb_call call = sev_snp_ap_create(0, vmsa_gpa);

	call.info1 = info1;
	call.rax ^= change_features;
	sev_ghcb_vmgexit(&call);
	return SEV_SNP_ANSWER(call.info1, call.info2);
}

static uint64_t nr_nmis;

static void nmi_handler(struct ex_regs *regs)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);

	sev_ghcb_vmgexit(&call);
	__atomic_fetch_add(&nr_nmis, 1, __ATOMIC_RELAXED);
}

uint64_t sev_snp_guest_nmis(void)
{
	return nr_nmis;
}

/*
 * Host side: creation.
 */
static void on_sync(struct sev_snp_runner *runner, struct ucall *uc)
{
	struct sev_snp_remote_vcpu *v = container_of(runner, struct sev_snp_remote_vcpu,
						     runner);

	v->tag = uc->args[1];
	v->reported = true;
}

static void interrupt(int signal)
{
}

/* SIGALRM ends a KVM_RUN; SIGUSR2 is never taken, it just has to be pending. */
static void prepare_signals(void)
{
	struct sigaction action = { .sa_handler = interrupt };
	sigset_t usr2;

	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
}

static void init_vcpu(struct sev_snp_remote *r, uint32_t id)
{
	struct {
		uint32_t len;
		uint8_t sigset[8];
	} __packed none_blocked = { .len = 8 };
	struct sev_snp_remote_vcpu *v = &r->vcpus[id];

	v->runner.vcpu = r->snp.vcpus[id];
	v->runner.sync = on_sync;
	vcpu_ioctl(v->runner.vcpu, KVM_SET_SIGNAL_MASK,
		   (struct kvm_signal_mask *)&none_blocked);
}

void sev_snp_alloc_context(struct kvm_vm *vm, uint32_t id, struct sev_snp_ap *ap)
{
	struct sev_ghcb_cpu *cpu;
	vm_vaddr_t page;

	page = vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
				     MEM_REGION_DATA);
	ap->cpu = vm_vaddr_alloc(vm, sizeof(*cpu), KVM_UTIL_MIN_VADDR);
	ap->stack = vm_vaddr_alloc(vm, STACK_SIZE, KVM_UTIL_MIN_VADDR) + STACK_SIZE - 8;

	cpu = addr_gva2hva(vm, ap->cpu);
	memset(cpu, 0, sizeof(*cpu));
	cpu->self = (void *)ap->cpu;
	cpu->page = (void *)page;
	cpu->gpa = addr_gva2gpa(vm, page);
	cpu->vcpu_id = id;
	cpu->dr7 = BIT(10);
}

static void share_errands(struct sev_snp_remote *r)
{
	struct kvm_vm *vm = r->snp.vm;
	vm_vaddr_t gva;
	int i;

	gva = vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
				    MEM_REGION_TEST_DATA);
	memset(addr_gva2hva(vm, gva), 0, PAGE_SIZE);
	errands = (void *)gva;
	sync_global_to_guest(vm, errands);
	for (i = 0; i < SEV_SNP_MAX_VCPUS; i++)
		r->vcpus[i].errand = (struct sev_snp_errand *)addr_gva2hva(vm, gva) + i;
}

void sev_snp_remote_create(struct sev_snp_remote *r, uint32_t nr_vcpus,
			   uint32_t nr_known, uint64_t ap_flags)
{
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;
	struct sev_snp_boot *boot;
	uint32_t i;

	memset(r, 0, sizeof(*r));
	r->ap_flags = ap_flags;
	prepare_signals();

	config.mem_pages = SEV_SNP_REMOTE_MEM_SIZE / PAGE_SIZE;
	if (ap_flags) {
		config.cap = KVM_CAP_X86_SNP_AP;
		config.cap_arg = ap_flags;
	}
	sev_snp_create(&r->snp, &config, nr_vcpus, sev_snp_serve);
	sev_snp_add_mem(&r->snp, MEM_SLOT, MEM_GPA, SEV_SNP_REMOTE_MEM_SIZE, &r->mem);
	sev_snp_remote_mem = r->mem;
	sync_global_to_guest(r->snp.vm, sev_snp_remote_mem);
	vm_install_exception_handler(r->snp.vm, NMI_VECTOR, nmi_handler);
	share_errands(r);

	for (i = 0; i < nr_vcpus; i++) {
		vcpu_args_set(r->snp.vcpus[i], 1, 0);
		init_vcpu(r, i);
	}
	boot = addr_gva2hva(r->snp.vm, (vm_vaddr_t)&sev_snp_boot);
	for (; i < nr_known; i++)
		sev_snp_alloc_context(r->snp.vm, i, &boot->aps[i]);

	sev_snp_launch(&r->snp);
	TEST_ASSERT(sev_snp_remote_run(r, 0), "vCPU 0: %s", r->vcpus[0].runner.error);
	sev_snp_remote_call(r, 0, sev_snp_guest_setup);
}

void sev_snp_remote_hotplug(struct sev_snp_remote *r, uint32_t id)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(r->snp.vm, id);

	vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());
	r->snp.vcpus[id] = vcpu;
	init_vcpu(r, id);
}

bool sev_snp_remote_free(struct sev_snp_remote *r)
{
	sev_snp_free(&r->snp);
	return !r->failures;
}

/*
 * Host side: vCPUs.
 */
static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Time and again: a signal may come before KVM_RUN has begun. */
static void set_alarm(unsigned int milliseconds)
{
	struct itimerval timer = {
		.it_interval.tv_usec = milliseconds * 1000,
		.it_value.tv_usec = milliseconds * 1000,
	};

	setitimer(ITIMER_REAL, &timer, NULL);
}

bool sev_snp_remote_run(struct sev_snp_remote *r, uint32_t id)
{
	struct sev_snp_remote_vcpu *v = &r->vcpus[id];
	uint64_t end = now() + TIMEOUT_SECONDS;

	v->reported = false;
	v->runner.error[0] = 0;
	set_alarm(ALARM_MS);
	while (!v->reported && sev_snp_run_once(&v->runner)) {
		if (now() > end)
			sev_snp_fail(&v->runner, "no report in %u s", TIMEOUT_SECONDS);
		if (v->runner.error[0])
			break;
	}
	set_alarm(0);

	return v->reported;
}

bool sev_snp_remote_run_to(struct sev_snp_remote *r, uint32_t id, uint32_t mp_state)
{
	struct sev_snp_remote_vcpu *v = &r->vcpus[id];
	uint64_t end = now() + TIMEOUT_SECONDS;

	v->reported = false;
	v->runner.error[0] = 0;
	set_alarm(ALARM_MS);
	while (sev_snp_remote_mp_state(r, id) != mp_state && now() < end &&
	       !v->reported && sev_snp_run_once(&v->runner))
		;
	set_alarm(0);

	return SEV_SNP_REMOTE_EXPECT(r, sev_snp_remote_mp_state(r, id) == mp_state,
				     "vCPU %u: mp_state %u, not %u, %s", id,
				     sev_snp_remote_mp_state(r, id), mp_state,
				     v->runner.error);
}

void sev_snp_remote_post(struct sev_snp_remote *r, uint32_t id, void *fn,
			 uint64_t a0)
{
	struct sev_snp_errand *e = r->vcpus[id].errand;

	memset(e, 0, sizeof(*e));
	e->args[0] = a0;
	e->fn = (uint64_t)fn;
}

uint64_t __sev_snp_remote_call(struct sev_snp_remote *r, uint32_t id, void *fn,
			       uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	struct sev_snp_errand *e = r->vcpus[id].errand;

	*e = (struct sev_snp_errand) {
		.fn = (uint64_t)fn,
		.args = { a0, a1, a2, a3 },
	};
	TEST_ASSERT(sev_snp_remote_run(r, id), "vCPU %u: %s", id,
		    r->vcpus[id].runner.error);
	return e->ret;
}

int sev_snp_remote_poke(struct sev_snp_remote *r, uint32_t id)
{
	struct timespec none = { };
	sigset_t usr2;
	int err;

	pthread_kill(pthread_self(), SIGUSR2);
	err = __vcpu_run(r->vcpus[id].runner.vcpu) ? errno : 0;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	sigtimedwait(&usr2, NULL, &none);
	return err;
}

uint32_t sev_snp_remote_mp_state(struct sev_snp_remote *r, uint32_t id)
{
	struct kvm_mp_state state;

	vcpu_mp_state_get(r->vcpus[id].runner.vcpu, &state);
	return state.mp_state;
}

uint32_t sev_snp_remote_peek(struct sev_snp_remote *r, uint32_t id)
{
	int err = sev_snp_remote_poke(r, id);

	TEST_ASSERT(err == EINTR, "vCPU %u: KVM_RUN with a signal pending: %d (%s)", id,
		    err, exit_reason_str(r->vcpus[id].runner.vcpu->run->exit_reason));
	return sev_snp_remote_mp_state(r, id);
}

/*
 * Host side: AP creation.
 */
uint64_t sev_snp_remote_request(struct sev_snp_remote *r, uint32_t by,
				uint64_t info1, int page)
{
	return sev_snp_remote_call(r, by, sev_snp_guest_request, info1,
				   sev_snp_remote_gpa(r, page));
}

void sev_snp_remote_fill(struct sev_snp_remote *r, uint32_t id, int page, uint64_t tag)
{
	uint64_t rc = sev_snp_remote_call(r, 0, sev_snp_guest_fill, id,
					  sev_snp_remote_gva(r, page), tag);

	SEV_SNP_REMOTE_EXPECT(r, !rc, "RMPADJUST of page %d: %lu", page, rc);
}

void sev_snp_remote_start(struct sev_snp_remote *r, uint32_t id, int page, uint64_t tag)
{
	uint64_t answer;

	sev_snp_remote_fill(r, id, page, tag);
	answer = sev_snp_remote_request(r, 0, SEV_SNP_REQUEST(CREATE, id), page);
	SEV_SNP_REMOTE_EXPECT(r, answer == SEV_SNP_ACCEPTED, "0x%lx", answer);
	sev_snp_remote_expect_runs(r, id, tag);
}

uint32_t sev_snp_remote_destroyed(struct sev_snp_remote *r)
{
	return r->ap_flags & KVM_X86_SNP_AP_STOPPED ? KVM_MP_STATE_STOPPED :
						      KVM_MP_STATE_HALTED;
}

void sev_snp_remote_destroy(struct sev_snp_remote *r, uint32_t id)
{
	uint64_t answer = sev_snp_remote_request(r, 0, SEV_SNP_REQUEST(DESTROY, id), 0);

	SEV_SNP_REMOTE_EXPECT(r, answer == SEV_SNP_ACCEPTED, "0x%lx", answer);
	sev_snp_remote_expect_destroyed(r, id, "after DESTROY");
}

void sev_snp_remote_expect_runs(struct sev_snp_remote *r, uint32_t id, uint64_t tag)
{
	struct sev_snp_remote_vcpu *v = &r->vcpus[id];
	uint32_t state = sev_snp_remote_peek(r, id);

	if (!SEV_SNP_REMOTE_EXPECT(r, state == KVM_MP_STATE_RUNNABLE,
				   "vCPU %u is to say 0x%lx, but has mp_state %u", id, tag,
				   state))
		return;
	SEV_SNP_REMOTE_EXPECT(r, sev_snp_remote_run(r, id) && v->tag == tag,
			      "vCPU %u is to say 0x%lx, not 0x%lx %s", id, tag, v->tag,
			      v->runner.error);
}

void sev_snp_remote_expect_destroyed(struct sev_snp_remote *r, uint32_t id,
				     const char *when)
{
	uint32_t state = sev_snp_remote_peek(r, id);

	SEV_SNP_REMOTE_EXPECT(r, state == sev_snp_remote_destroyed(r),
			      "%s: vCPU %u has mp_state %u", when, id, state);
}

/*
 * Host side: the memory afterwards.
 */
int sev_snp_open_log(void)
{
	int log = open("/dev/kmsg", O_RDWR | O_NONBLOCK);

	TEST_ASSERT(log >= 0, "/dev/kmsg: %s", strerror(errno));
	lseek(log, 0, SEEK_END);
	return log;
}

/* A page that is still the guest's faults upon the host's write. */
static void reuse_memory(void)
{
	void *p = mmap(NULL, REUSED_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(p != MAP_FAILED, "mmap() failed");
	memset(p, 0x5a, REUSED_SIZE);
	munmap(p, REUSED_SIZE);
}

/* Up to the mark, which is there to see that the log has been read. */
static bool is_log_good(int log)
{
	char line[8192];
	bool ok = true;
	ssize_t n;

	/* One line at a time; EPIPE says that lines were overwritten. */
	while ((n = read(log, line, sizeof(line) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		line[n < 0 ? 0 : n] = 0;
		if (strstr(line, LOG_MARK))
			return ok;
		if (strstr(line, "Leaking")) {
			ksft_print_msg("%s", line);
			ok = false;
		}
	}
	ksft_print_msg("The kernel's log does not have what was written to it\n");
	return false;
}

bool sev_snp_nothing_leaked(int log)
{
	/* Without the newline more might follow, and nobody could read it yet. */
	static const char mark[] = LOG_MARK "\n";
	bool ok;

	reuse_memory();
	TEST_ASSERT_EQ(write(log, mark, strlen(mark)), strlen(mark));
	ok = is_log_good(log);
	close(log);
	return ok;
}
