// SPDX-License-Identifier: GPL-2.0-only
/*
 * The destination of a migration: make a VM of what the source says, and run it
 * once all of it is there.
 *
 * Nothing that comes is believed before it is checked, here, by KVM or by the
 * firmware; a message that is refused leaves the VM as it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_machine.h"
#include "migrate.h"

struct destination {
	const struct sev_migrate_options *o;
	struct sev_certs certs;
	struct kvm_vm *vm;
	struct sev_wire_config config;
	struct sev_migrate_run run;
	bool received[SEV_WIRE_VCPUS];
	int listener;
	int fd;
	uint32_t number;	/* of the last message that was taken */
	uint32_t digest;
	uint64_t nr_pages;
	uint64_t nr_refused;
	bool damaged[SEV_WIRE_NR_KINDS];
	struct sev_wire_message *message;
	struct sev_wire_message *answer;
};

/*
 * The line.
 */
static void hang_up(struct destination *d)
{
	sev_wire_hang_up(d->fd);
	d->fd = -1;
}

static void send_answer(struct destination *d)
{
	/* If it does not get there, the source asks again. */
	sev_wire_send(d->fd, d->answer);
}

static void refuse_damaged(struct destination *d, uint32_t number)
{
	const struct sev_wire_reply reply = { .error = -EBADMSG };
	uint8_t raw[sizeof(struct sev_wire_message) + sizeof(reply)];
	struct sev_wire_message *m = (void *)raw;

	d->nr_refused++;
	sev_wire_seal(m, SEV_WIRE_REPLY, number, &reply, sizeof(reply));
	sev_wire_send(d->fd, m);
}

static void accept_source(struct destination *d)
{
	d->fd = sev_wire_accept(d->listener, d->o->wait);
	if (d->fd == -ETIMEDOUT)
		sev_migrate_die("no source has called at port %s for %d s%s", d->o->port,
				d->o->wait, d->number ? ": it has gone in the middle" : "");
	if (d->fd < 0)
		sev_migrate_die("port %s: %s", d->o->port, strerror(-d->fd));
}

/* The next message that is whole, on whichever connection */
static void receive_message(struct destination *d)
{
	for (;;) {
		if (d->fd < 0)
			accept_source(d);

		switch (sev_wire_receive(d->fd, d->message)) {
		case 0:
			return;
		case -EBADMSG:
			refuse_damaged(d, d->message->head.number);
			break;
		case -EPROTO:
			refuse_damaged(d, 0);
			hang_up(d);
			break;
		default:
			hang_up(d);
			break;
		}
	}
}

/* The source must not take any of these, but ask again. */
static void damage_answer(struct destination *d)
{
	uint32_t kind = d->answer->head.kind, bit, nr = 0;
	uint32_t len = sizeof(d->answer->head) + d->answer->head.len;
	uint32_t number = d->message->head.number;

	if (!sev_migrate_damages(d->o, kind) || d->damaged[kind])
		return;

	d->damaged[kind] = true;
	for (bit = 0; bit < sev_migrate_nr_bits(d->answer);
	     bit = sev_migrate_next_bit(d->answer, bit), nr++) {
		sev_migrate_flip(d->answer, bit);
		sev_wire_write(d->fd, d->answer, len);
		sev_migrate_flip(d->answer, bit);
		receive_message(d);
		if (d->message->head.number != number)
			sev_migrate_die("%s with bit %u flipped on the line: the source takes it",
					sev_wire_name(kind), bit);
	}
	sev_migrate_say("%s: the source has refused %u flipped bits", sev_wire_name(kind), nr);
}

static void answer(struct destination *d, uint32_t kind, const void *body, uint32_t len)
{
	sev_wire_seal(d->answer, kind, d->message->head.number, body, len);
	damage_answer(d);
	send_answer(d);
}

static void reply(struct destination *d, int error, uint32_t fw, uint32_t page)
{
	const struct sev_wire_reply reply = { .error = error, .fw = fw, .page = page };

	answer(d, SEV_WIRE_REPLY, &reply, sizeof(reply));
}

/*
 * Messages.
 */
struct outcome {
	int error;
	uint32_t fw;
	uint32_t page;
};

static struct outcome take_hello(struct destination *d)
{
	struct sev_wire_hello *hello = (void *)d->message->body;

	if (hello->version != SEV_WIRE_VERSION || hello->reserved)
		return (struct outcome){ -EINVAL };

	sev_export_certs(d->vm, &d->certs);
	return (struct outcome){ };
}

static bool slots_overlap(const struct sev_wire_slot *a, const struct sev_wire_slot *b)
{
	return a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size;
}

static bool config_ok(const struct destination *d, const struct sev_wire_config *c)
{
	uint64_t sum = 0, mask = d->vm->page_size - 1;
	uint32_t i, j;

	if (!c->nr_vcpus || c->nr_vcpus > SEV_WIRE_VCPUS || !c->nr_slots ||
	    c->nr_slots > SEV_WIRE_SLOTS || c->nr_cpuid > SEV_WIRE_CPUID || c->reserved)
		return false;

	for (i = 0; i < c->nr_slots; i++) {
		const struct sev_wire_slot *slot = &c->slots[i];

		if (!slot->size || (slot->gpa | slot->size) & mask ||
		    slot->size > SEV_WIRE_MEMORY_MAX || slot->gpa >> 52)
			return false;
		for (j = 0; j < i; j++)
			if (slots_overlap(slot, &c->slots[j]))
				return false;
		sum += slot->size;
	}
	return sum <= SEV_WIRE_MEMORY_MAX;
}

static void add_memory(struct destination *d, uint32_t id, const struct sev_wire_slot *slot)
{
	struct kvm_vm *vm = d->vm;

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, slot->gpa, id,
				    slot->size / vm->page_size, 0);
	sev_register_encrypted_memory(vm, memslot2region(vm, id));
}

static void add_vcpu(struct destination *d, uint32_t id, const struct kvm_cpuid2 *cpuid)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(d->vm, id);

	vcpu_init_cpuid(vcpu, cpuid);
	d->run.cpus[id].vcpu = vcpu;
}

static struct outcome take_config(struct destination *d)
{
	struct kvm_cpuid2 *cpuid;
	uint32_t i, fw = 0;
	int r;

	d->config = *(struct sev_wire_config *)d->message->body;
	if (!config_ok(d, &d->config))
		return (struct outcome){ -EINVAL };

	r = sev_cmd(d->vm, KVM_SEV_INIT2, &d->config.init, &fw);
	if (r)
		return (struct outcome){ r, fw };

	vm_create_irqchip(d->vm);
	for (i = 0; i < d->config.nr_slots; i++)
		add_memory(d, i, &d->config.slots[i]);

	cpuid = allocate_kvm_cpuid2(SEV_WIRE_CPUID);
	cpuid->nent = d->config.nr_cpuid;
	memcpy(cpuid->entries, d->config.cpuid, sizeof(d->config.cpuid));
	d->run.nr = d->config.nr_vcpus;
	for (i = 0; i < d->run.nr; i++)
		add_vcpu(d, i, cpuid);
	free(cpuid);
	return (struct outcome){ };
}

static struct outcome take_start(struct destination *d)
{
	struct outcome out = { };

	out.error = vm_sev_receive_start(d->vm, (void *)d->message->body, &out.fw);
	return out;
}

static bool is_memory(const struct destination *d, uint64_t gpa)
{
	uint32_t i;

	for (i = 0; i < d->config.nr_slots; i++)
		if (gpa - d->config.slots[i].gpa < d->config.slots[i].size)
			return !(gpa % d->vm->page_size);
	return false;
}

static int take_page(struct destination *d, const struct sev_wire_page *page, uint32_t *fw)
{
	const struct sev_page_packet *packet = &page->packet;
	uint8_t before[4096];
	void *at;
	int r;

	if (!is_memory(d, packet->gpa) || page->shared > 1)
		return -EINVAL;

	at = addr_gpa2hva(d->vm, packet->gpa);
	if (page->shared) {
		memcpy(at, packet->data, d->vm->page_size);
		return 0;
	}

	/* This is ciphertext, but it must stay the same if nothing comes of it. */
	if (d->o->damage)
		memcpy(before, at, sizeof(before));
	r = vm_sev_receive_page(d->vm, packet, fw);
	if (r && d->o->damage && memcmp(before, at, sizeof(before)))
		sev_migrate_die("a page that was refused has changed memory at %#lx",
				packet->gpa);
	return r;
}

static struct outcome take_pages(struct destination *d)
{
	const struct sev_wire_pages *p = (void *)d->message->body;
	struct outcome out = { };

	if (p->nr > SEV_WIRE_PAGES_MAX || p->reserved ||
	    d->message->head.len != offsetof(struct sev_wire_pages, page[p->nr]))
		return (struct outcome){ -EINVAL };

	for (out.page = 0; out.page < p->nr && !out.error; out.page++)
		out.error = take_page(d, &p->page[out.page], &out.fw);

	if (!out.error)
		d->nr_pages += p->nr;
	if (d->o->quit_after && d->nr_pages >= d->o->quit_after)
		out.error = -ECANCELED;
	return out;
}

/* Registers are KVM's to show as long as it has not got the guest's. */
static void require_untouched(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;

	if (__vcpu_ioctl(vcpu, KVM_GET_REGS, &regs))
		sev_migrate_die("vCPU %u is protected, although its packet was refused",
				vcpu->id);
}

static struct outcome take_vcpu(struct destination *d)
{
	struct sev_wire_vcpu *body = (void *)d->message->body;
	struct outcome out = { };
	struct kvm_vcpu *vcpu;

	if (body->packet.vcpu_id >= d->run.nr)
		return (struct outcome){ -EINVAL };

	vcpu = d->run.cpus[body->packet.vcpu_id].vcpu;
	out.error = __vcpu_sev_receive(vcpu, &body->packet, &out.fw);
	if (out.error) {
		if (!d->received[vcpu->id])
			require_untouched(vcpu);
		return out;
	}

	vcpu_set_msr(vcpu, MSR_IA32_APICBASE, body->packet.apic_base);
	vcpu_set_msr(vcpu, MSR_IA32_TSC, body->tsc);
	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &body->packet.lapic);
	vcpu_events_set(vcpu, &body->packet.events);
	vcpu_mp_state_set(vcpu, &body->packet.mp_state);
	d->received[vcpu->id] = true;
	return out;
}

static struct outcome take_finish(struct destination *d)
{
	struct sev_wire_finish *f = (void *)d->message->body;
	struct outcome out = { };
	uint32_t i;

	if (f->nr_pages != d->nr_pages ||
	    f->digest != sev_wire_crc(d->digest, f, offsetof(struct sev_wire_finish, digest)))
		return (struct outcome){ -EBADMSG };

	for (i = 0; i < d->run.nr; i++)
		if (!d->received[i])
			return (struct outcome){ -EPERM };

	out.error = sev_cmd(d->vm, KVM_SEV_RECEIVE_FINISH, NULL, &out.fw);
	for (i = 0; i < d->run.nr; i++)
		d->run.cpus[i].count = f->count[i];
	return out;
}

static struct outcome take_bye(struct destination *d)
{
	return (struct outcome){ };
}

/* Each message, what has to come before it, and how long it is: 0 is for itself to say. */
static const struct step {
	struct outcome (*take)(struct destination *d);
	uint32_t len;
	bool after[SEV_WIRE_NR_KINDS];
} steps[SEV_WIRE_NR_KINDS] = {
	[SEV_WIRE_HELLO] = { take_hello, sizeof(struct sev_wire_hello),
		{ [0] = true } },
	[SEV_WIRE_CONFIG] = { take_config, sizeof(struct sev_wire_config),
		{ [SEV_WIRE_HELLO] = true } },
	[SEV_WIRE_START] = { take_start, sizeof(struct sev_session),
		{ [SEV_WIRE_CONFIG] = true } },
	[SEV_WIRE_PAGES] = { take_pages, 0,
		{ [SEV_WIRE_START] = true, [SEV_WIRE_PAGES] = true } },
	[SEV_WIRE_VCPU] = { take_vcpu, sizeof(struct sev_wire_vcpu),
		{ [SEV_WIRE_PAGES] = true, [SEV_WIRE_VCPU] = true } },
	[SEV_WIRE_FINISH] = { take_finish, sizeof(struct sev_wire_finish),
		{ [SEV_WIRE_VCPU] = true } },
	[SEV_WIRE_BYE] = { take_bye, 0,
		{ [0 ... SEV_WIRE_VCPU] = true } },
};

static struct outcome take(struct destination *d, uint32_t stage)
{
	uint32_t kind = d->message->head.kind;
	const struct step *step = &steps[kind];

	if (kind >= SEV_WIRE_NR_KINDS || !step->take)
		return (struct outcome){ -EOPNOTSUPP };
	if (!step->after[stage])
		return (struct outcome){ -EPERM };
	if (step->len && d->message->head.len != step->len)
		return (struct outcome){ -EINVAL };
	return step->take(d);
}

static void took(struct destination *d)
{
	const struct sev_wire_head *head = &d->message->head;

	d->number = head->number;
	d->digest = sev_wire_crc(d->digest, &head->body_crc, sizeof(head->body_crc));
}

/* One message; what stage comes after it */
static uint32_t handle_message(struct destination *d, uint32_t stage)
{
	const struct sev_wire_head *head = &d->message->head;
	struct outcome out = { };

	receive_message(d);
	if (d->number && head->number == d->number) {
		send_answer(d);
		return stage;
	}

	out = head->number == d->number + 1 ? take(d, stage) : (struct outcome){ -EPROTO };
	if (out.error) {
		d->nr_refused++;
		reply(d, out.error, out.fw, out.page);
		return out.error == -ECANCELED ? SEV_WIRE_BYE : stage;
	}

	stage = head->kind;
	took(d);
	if (stage == SEV_WIRE_HELLO)
		answer(d, SEV_WIRE_CERTS, &d->certs, sizeof(d->certs));
	else
		reply(d, 0, 0, 0);
	return stage;
}

/*
 * The course of it.
 */
static bool receive_guest(struct destination *d)
{
	uint32_t stage = 0;

	while (stage != SEV_WIRE_FINISH && stage != SEV_WIRE_BYE) {
		stage = handle_message(d, stage);
		sev_migrate_progress("%lu pages received", d->nr_pages);
	}
	hang_up(d);
	if (stage == SEV_WIRE_BYE) {
		sev_migrate_say("no guest after %lu pages: the source keeps it", d->nr_pages);
		return false;
	}
	if (vm_sev_state(d->vm) != SEV_GUEST_STATE_RUNNING)
		sev_migrate_die("all of the guest is here, and the firmware thinks otherwise");
	sev_migrate_say("received: %lu pages, %u vCPUs; %lu messages refused",
			d->nr_pages, d->run.nr, d->nr_refused);
	return true;
}

static int go_on_here(struct destination *d)
{
	uint64_t before = 0, after = 0;
	uint32_t i, result;

	for (i = 0; i < d->run.nr; i++)
		before += d->run.cpus[i].count;
	sev_migrate_start(&d->run);
	sev_migrate_await(&d->run, 16 * SEV_MIGRATE_STEP);
	result = sev_migrate_check(&d->run);
	for (i = 0; i < d->run.nr; i++)
		after += d->run.cpus[i].count;
	sev_migrate_say("the guest goes on here: %lu pages rewritten there, %lu here: %s",
			before, after - before, sev_migrate_result(result));

	switch (d->o->expect) {
	case SEV_MIGRATE_EXPECT_LOSS:
		return result != SEV_MIGRATE_STALE;
	case SEV_MIGRATE_EXPECT_SWAP:
		return result != SEV_MIGRATE_TORN;
	case SEV_MIGRATE_EXPECT_REFUSED:
		return 1;
	default:
		return result != SEV_MIGRATE_GOOD;
	}
}

int sev_migrate_receive(const struct sev_migrate_options *o)
{
	struct destination *d = calloc(1, sizeof(*d));
	int r;

	d->o = o;
	d->fd = -1;
	d->message = calloc(1, sizeof(*d->message) + SEV_WIRE_BODY_MAX);
	d->answer = calloc(1, sizeof(*d->answer) + SEV_WIRE_BODY_MAX);
	if (!sev_read_root(o->root, &d->certs))
		sev_migrate_die("cannot read AMD's certificates%s%s: --root names them",
				o->root ? " from " : "", o->root ?: "");

	d->vm = vm_create_barebones_type(KVM_X86_SEV_ES_VM);
	d->listener = sev_wire_listen(o->port);
	if (d->listener < 0)
		sev_migrate_die("cannot listen at port %s: %s", o->port, strerror(-d->listener));

	sev_migrate_say("waiting for a guest at port %s", o->port);
	if (receive_guest(d))
		r = go_on_here(d);
	else
		r = o->expect != SEV_MIGRATE_EXPECT_REFUSED;
	kvm_vm_free(d->vm);
	return r;
}
