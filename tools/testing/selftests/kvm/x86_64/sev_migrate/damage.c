// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which bits of what sev_migrate_vmm sends can be flipped, and who has to
 * notice: the checksums of the messages all of them, and behind these the
 * firmware, KVM or the VMM those that matter to it.
 */
#include <errno.h>
#include <string.h>

#include "migrate.h"

#define BITS(type, member)						\
	.first = 8 * offsetof(type, member),				\
	.last = 8 * (offsetof(type, member) + sizeof(((type *)0)->member)) - 1

#define CERT_KEY_FIRST	0x10		/* curve, and both coordinates */
#define CERT_KEY_LAST	0xa4

#define PAGE_BIT(member) (8 * offsetof(struct sev_wire_pages, page[0].packet.member))

/*
 * Not here is what is anybody's guess: other values of it are as good.  Where a
 * page is to go is in no packet, and a record's registers may be any that a
 * guest may have; who forwards them for a guest can put them wrong.
 */
const struct sev_migrate_region sev_migrate_regions[] = {
	{ SEV_WIRE_CERTS, "the PDH", BITS(struct sev_certs, pdh), .step = 163,
	  -EIO, SEV_RET_BAD_SIGNATURE, SEV_RET_INVALID_CERTIFICATE },
	{ SEV_WIRE_CERTS, "PEK, OCA and CEK", BITS(struct sev_certs, chain), .step = 163,
	  -EIO, SEV_RET_BAD_SIGNATURE, SEV_RET_INVALID_CERTIFICATE },
	{ SEV_WIRE_CERTS, "ASK and ARK", BITS(struct sev_certs, root), .step = 163,
	  -EIO, SEV_RET_BAD_SIGNATURE, SEV_RET_INVALID_CERTIFICATE },

	{ SEV_WIRE_START, "the session", BITS(struct sev_session, raw), .step = 1,
	  -EIO, SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },
	{ SEV_WIRE_START, "the policy", BITS(struct sev_session, policy), .step = 1,
	  -EIO, SEV_RET_BAD_MEASUREMENT, SEV_RET_POLICY_FAILURE },
	{ SEV_WIRE_START, "the PDH's key", 8 * CERT_KEY_FIRST, 8 * CERT_KEY_LAST - 1, 7,
	  -EIO, SEV_RET_INVALID_CERTIFICATE, SEV_RET_INVALID_CERTIFICATE },

	{ SEV_WIRE_PAGES, "a page's offset", PAGE_BIT(gpa), PAGE_BIT(gpa) + 11, 1,
	  -EINVAL },
	{ SEV_WIRE_PAGES, "an address without memory", PAGE_BIT(gpa) + 33, PAGE_BIT(gpa) + 63, 1,
	  -EINVAL },
	{ SEV_WIRE_PAGES, "a page's header: compressed", PAGE_BIT(hdr), PAGE_BIT(hdr), 1,
	  -EIO, SEV_RET_UNSUPPORTED, SEV_RET_UNSUPPORTED },
	{ SEV_WIRE_PAGES, "a page's header", PAGE_BIT(hdr) + 1, PAGE_BIT(data) - 1, 1,
	  -EIO, SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },
	{ SEV_WIRE_PAGES, "a page", PAGE_BIT(data), PAGE_BIT(data) + 8 * 4096 - 1, 97,
	  -EIO, SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },

	{ SEV_WIRE_VCPU, "the number", 1, 31, 1, -EINVAL },
	{ SEV_WIRE_VCPU, "the VMSA's header: compressed",
	  8 * offsetof(struct sev_wire_vcpu, packet.hdr),
	  8 * offsetof(struct sev_wire_vcpu, packet.hdr), 1,
	  -EIO, SEV_RET_UNSUPPORTED, SEV_RET_UNSUPPORTED },
	{ SEV_WIRE_VCPU, "the VMSA's header",
	  8 * offsetof(struct sev_wire_vcpu, packet.hdr) + 1,
	  8 * offsetof(struct sev_wire_vcpu, packet.data) - 1, 1,
	  -EIO, SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },
	{ SEV_WIRE_VCPU, "the VMSA", BITS(struct sev_wire_vcpu, packet.data), .step = 97,
	  -EIO, SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },
	{ SEV_WIRE_VCPU, "the record's version",
	  BITS(struct sev_wire_vcpu, packet.record.version), .step = 1, -EINVAL },
	{ SEV_WIRE_VCPU, "the record's size",
	  BITS(struct sev_wire_vcpu, packet.record.size), .step = 1, -EINVAL },
	{ SEV_WIRE_VCPU, "the record's SEV_FEATURES",
	  BITS(struct sev_wire_vcpu, packet.record.sev_features), .step = 1, -EINVAL },
	{ SEV_WIRE_VCPU, "the record's reserved words",
	  BITS(struct sev_wire_vcpu, packet.record.reserved), .step = 1, -EINVAL },

	{ SEV_WIRE_FINISH, "the count of pages",
	  BITS(struct sev_wire_finish, nr_pages), .step = 1, -EBADMSG },
	{ SEV_WIRE_FINISH, "the guest's counters",
	  BITS(struct sev_wire_finish, count), .step = 1, -EBADMSG },
	{ SEV_WIRE_FINISH, "the digest",
	  BITS(struct sev_wire_finish, digest), .step = 1, -EBADMSG },
	{ }
};

bool sev_migrate_damages(const struct sev_migrate_options *o, uint32_t kind)
{
	return o->damage && (!strcmp(o->damage, "all") ||
			     !strcmp(o->damage, sev_wire_name(kind)));
}

#define ALL_OF_HEAD	(8 * sizeof(struct sev_wire_head))
#define ALL_OF_BODY	512
#define STEP		127		/* odd, so that it reaches each bit of a byte */

uint32_t sev_migrate_nr_bits(const struct sev_wire_message *m)
{
	return ALL_OF_HEAD + 8 * m->head.len;
}

uint32_t sev_migrate_next_bit(const struct sev_wire_message *m, uint32_t bit)
{
	uint32_t last = sev_migrate_nr_bits(m) - 1;

	if (bit < ALL_OF_HEAD + ALL_OF_BODY)
		return bit + 1;
	return bit < last && bit + STEP > last ? last : bit + STEP;
}

void sev_migrate_flip(void *data, uint32_t bit)
{
	((uint8_t *)data)[bit / 8] ^= 1 << bit % 8;
}
