/*
 * AMD Platform Security Processor: chip id, versions and endorsement key of SNP
 *
 * The versioned chip endorsement key (VCEK) signs attestation reports. It is a
 * function of the chip's secret and of the TCB version that the platform
 * reports, so that a chip with other firmware signs with another key. AMD knows
 * both and certifies the public key; the chip has no certificate. In AMD's
 * place, testbed/snp-kds takes what the property "endorsement" has written.
 *
 * QEMU interface:
 *  + property "endorsement": path of a text file with the three values below,
 *    written when the device is made and whenever the reported TCB changes
 *  + QOM properties (read only) "chip-id", "reported-tcb", "vcek": hexadecimal;
 *    the key is an uncompressed point, as in SEC 1
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "amd-psp-snp-msg.h"

/*
 * SEV-SNP firmware ABI, TCB_VERSION (family 19h). The numbers are those of the
 * emulator itself, except that the SNP firmware's is the build it claims to be.
 */
FIELD(TCB, BOOT_LOADER, 0, 8)
FIELD(TCB, TEE, 8, 8)
FIELD(TCB, SNP, 48, 8)
FIELD(TCB, MICROCODE, 56, 8)

static uint64_t psp_snp_tcb(void)
{
    uint64_t tcb = 0;

    tcb = FIELD_DP64(tcb, TCB, BOOT_LOADER, 2);
    tcb = FIELD_DP64(tcb, TCB, TEE, 1);
    tcb = FIELD_DP64(tcb, TCB, SNP, PSP_API_BUILD);
    return FIELD_DP64(tcb, TCB, MICROCODE, 3);
}

bool amd_psp_snp_tcb_le(uint64_t a, uint64_t b)
{
    for (int i = 0; i < 64; i += 8) {
        if (extract64(a, i, 8) > extract64(b, i, 8)) {
            return false;
        }
    }
    return true;
}

/*
 * Silicon hashes its secret once per version from the highest one down, so that
 * newer firmware can make older firmware's keys; nothing outside can tell.
 */
void amd_psp_snp_vcek_derive(const AmdPspState *s, uint64_t tcb,
                             AmdPspEcKey *vcek)
{
    struct QEMU_PACKED {
        uint64_t tcb;
        uint32_t attempt;
    } context = { cpu_to_le64(tcb) };
    uint32_t n = 0;

    /* All but one in 2^190 of the candidates are in range. */
    do {
        context.attempt = cpu_to_le32(n++);
        amd_psp_kdf(vcek->d, sizeof(vcek->d), s->chip_secret,
                    sizeof(s->chip_secret), "versioned-chip-endorsement-key",
                    &context, sizeof(context));
    } while (!amd_psp_ec_derive_public(vcek));
}

static char *psp_snp_hex(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    GString *hex = g_string_sized_new(2 * len);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(hex, "%02x", bytes[i]);
    }
    return g_string_free(hex, false);
}

static char *psp_snp_vcek_hex(const AmdPspState *s)
{
    const AmdPspEcPoint *pub = &s->snp.vcek.pub;
    g_autofree char *x = psp_snp_hex(pub->x, sizeof(pub->x));
    g_autofree char *y = psp_snp_hex(pub->y, sizeof(pub->y));

    return g_strdup_printf("04%s%s", x, y);
}

static bool psp_snp_endorsement_write(const AmdPspState *s, Error **errp)
{
    g_autofree char *id = psp_snp_hex(s->snp.chip_id, sizeof(s->snp.chip_id));
    g_autofree char *vcek = psp_snp_vcek_hex(s);
    g_autofree char *text = g_strdup_printf("chip-id %s\n"
                                            "reported-tcb %016" PRIx64 "\n"
                                            "vcek %s\n",
                                            id, s->snp.reported_tcb, vcek);
    g_autoptr(GError) err = NULL;

    if (s->snp.endorsement &&
        !g_file_set_contents(s->snp.endorsement, text, -1, &err)) {
        error_setg(errp, "endorsement: %s", err->message);
        return false;
    }
    return true;
}

void amd_psp_snp_vcek_update(AmdPspState *s)
{
    Error *err = NULL;

    amd_psp_snp_vcek_derive(s, s->snp.reported_tcb, &s->snp.vcek);
    /* The chip does not care; who verifies its reports will. */
    if (!psp_snp_endorsement_write(s, &err)) {
        warn_report_err(err);
    }
}

bool amd_psp_snp_chip_init(AmdPspState *s, Error **errp)
{
    uint32_t zero = 0;

    s->snp.current_tcb = psp_snp_tcb();
    s->snp.committed_tcb = s->snp.current_tcb;
    s->snp.reported_tcb = s->snp.current_tcb;
    /* GET_ID says it, too */
    amd_psp_kdf(s->snp.chip_id, sizeof(s->snp.chip_id), s->chip_secret,
                sizeof(s->chip_secret), "chip-id", &zero, sizeof(zero));
    amd_psp_snp_vcek_derive(s, s->snp.reported_tcb, &s->snp.vcek);
    return psp_snp_endorsement_write(s, errp);
}

static char *psp_snp_get_chip_id(Object *obj, Error **errp)
{
    AmdPspState *s = AMD_PSP(obj);

    return psp_snp_hex(s->snp.chip_id, sizeof(s->snp.chip_id));
}

static char *psp_snp_get_tcb(Object *obj, Error **errp)
{
    return g_strdup_printf("%016" PRIx64, AMD_PSP(obj)->snp.reported_tcb);
}

static char *psp_snp_get_vcek(Object *obj, Error **errp)
{
    return psp_snp_vcek_hex(AMD_PSP(obj));
}

static char *psp_snp_get_endorsement(Object *obj, Error **errp)
{
    return g_strdup(AMD_PSP(obj)->snp.endorsement ?: "");
}

static void psp_snp_set_endorsement(Object *obj, const char *path, Error **errp)
{
    AmdPspState *s = AMD_PSP(obj);

    if (DEVICE(obj)->realized) {
        error_setg(errp, "endorsement cannot be changed any more");
        return;
    }
    g_free(s->snp.endorsement);
    s->snp.endorsement = g_strdup(path);
}

void amd_psp_snp_vcek_class_init(ObjectClass *klass)
{
    object_class_property_add_str(klass, "chip-id", psp_snp_get_chip_id, NULL);
    object_class_property_add_str(klass, "reported-tcb", psp_snp_get_tcb, NULL);
    object_class_property_add_str(klass, "vcek", psp_snp_get_vcek, NULL);
    object_class_property_add_str(klass, "endorsement", psp_snp_get_endorsement,
                                  psp_snp_set_endorsement);
}
