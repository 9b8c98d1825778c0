/*
 * AMD Platform Security Processor: AMD's root of trust, and who descends from
 * it
 *
 * The ARK signs itself and the ASK, the ASK signs chips' CEKs. On silicon
 * AMD's private keys are AMD's, and AMD publishes the two certificates on the
 * web; the emulated AMD is a seed, shared by the chips that it "made", and
 * the web is a file of fw_cfg.
 *
 * SEND_START hands a guest to another platform only if that platform's
 * certificates hold. What is checked under which policy, and in which order,
 * is from memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "amd-psp-internal.h"

#define ONE PSP_AMD_CERT_LEN(PSP_RSA_LEN)

QEMU_BUILD_BUG_ON(PSP_ROOT_CERTS_LEN != 2 * ONE);

/* Primes take their time: not before somebody asks for them. */
void amd_psp_root_ensure(AmdPspState *s)
{
    AmdPspRoot *r = &s->root;
    const char *seed = s->root_seed ?: "";
    uint8_t secret[PSP_SHA256_LEN];
    AmdPspRsaKey ark, ask;

    if (r->valid) {
        return;
    }
    amd_psp_sha256(secret, seed, strlen(seed));
    amd_psp_rsa_derive(&ark, "amd-root-key", secret);
    amd_psp_rsa_derive(&ask, "amd-sev-signing-key", secret);
    amd_psp_amd_cert_make(r->certs, USAGE_ASK, &ask, &ark);
    amd_psp_amd_cert_make(r->certs + ONE, USAGE_ARK, &ark, &ark);
    amd_psp_cert_sign_rsa(&s->cek_cert, 0, USAGE_ASK, &ask);
    r->valid = true;
}

static AmdPspStatus psp_platform_check(const AmdPspPeer *p,
                                       AmdPspEcPoint *pdh)
{
    AmdPspEcPoint oca, pek;

    if (!amd_psp_cert_dh_key(&p->pdh, pdh) ||
        !amd_psp_cert_is(&p->pek, USAGE_PEK, ALGO_ECDSA_SHA256) ||
        !amd_psp_cert_is(&p->oca, USAGE_OCA, ALGO_ECDSA_SHA256) ||
        !amd_psp_cert_pub(&p->pek, &pek) || !amd_psp_cert_pub(&p->oca, &oca) ||
        !amd_psp_cert_tidy(&p->pdh) || !amd_psp_cert_tidy(&p->pek) ||
        !amd_psp_cert_tidy(&p->oca)) {
        return PSP_INVALID_CERTIFICATE;
    }
    if (!amd_psp_cert_verify(&p->oca, USAGE_OCA, &oca) ||
        !amd_psp_cert_verify(&p->pek, USAGE_OCA, &oca) ||
        !amd_psp_cert_verify(&p->pdh, USAGE_PEK, &pek)) {
        return PSP_BAD_SIGNATURE;
    }
    return PSP_SUCCESS;
}

/* Is @ark the one that this chip was made under? */
static bool psp_is_own_root(AmdPspState *s, const AmdPspAmdCert *ark)
{
    amd_psp_root_ensure(s);
    return ark->len == ONE && !memcmp(ark->raw, s->root.certs + ONE, ONE);
}

static bool psp_root_parse(const AmdPspPeer *p, AmdPspAmdCert *ask,
                           AmdPspAmdCert *ark)
{
    return amd_psp_amd_cert_parse(ask, p->amd, p->amd_len) &&
           amd_psp_amd_cert_parse(ark, p->amd + ask->len,
                                  p->amd_len - ask->len) &&
           ask->len + ark->len == p->amd_len &&
           ask->usage == USAGE_ASK && ark->usage == USAGE_ARK;
}

static AmdPspStatus psp_amd_check(AmdPspState *s, const AmdPspPeer *p,
                                  bool own_root)
{
    AmdPspAmdCert ask, ark;
    AmdPspEcPoint cek;

    if (!amd_psp_cert_is(&p->cek, USAGE_CEK, ALGO_ECDSA_SHA256) ||
        !amd_psp_cert_pub(&p->cek, &cek) || !amd_psp_cert_tidy(&p->cek) ||
        !psp_root_parse(p, &ask, &ark)) {
        return PSP_INVALID_CERTIFICATE;
    }
    if (!amd_psp_amd_cert_verify(&ark, &ark) ||
        !amd_psp_amd_cert_verify(&ask, &ark) ||
        !amd_psp_cert_verify_rsa(&p->cek, USAGE_ASK, &ask.pub) ||
        !amd_psp_cert_verify(&p->pek, USAGE_CEK, &cek)) {
        return PSP_BAD_SIGNATURE;
    }
    return own_root && !psp_is_own_root(s, &ark) ? PSP_INVALID_CERTIFICATE :
                                                   PSP_SUCCESS;
}

/* DOMAIN: same owner. API version: what LAUNCH_START asked of this platform */
static bool psp_peer_policy_ok(AmdPspState *s, const AmdPspPeer *p,
                               uint32_t policy)
{
    unsigned api = FIELD_EX32(policy, POLICY, API_MAJOR) << 8 |
                   FIELD_EX32(policy, POLICY, API_MINOR);
    AmdPspEcPoint ours, theirs;

    if (amd_psp_cert_api(&p->pdh) < api) {
        return false;
    }
    return !FIELD_EX32(policy, POLICY, DOMAIN) ||
           (amd_psp_cert_pub(&s->id.oca_cert, &ours) &&
            amd_psp_cert_pub(&p->oca, &theirs) &&
            !memcmp(&ours, &theirs, sizeof(ours)));
}

/*
 * A guest whose policy does not insist on SEV may go to a platform of another
 * root, or of none; but certificates that are there must hold.
 */
AmdPspStatus amd_psp_peer_check(AmdPspState *s, const AmdPspPeer *p,
                                uint32_t policy, AmdPspEcPoint *pdh)
{
    bool sev = FIELD_EX32(policy, POLICY, SEV);
    AmdPspStatus ret = psp_platform_check(p, pdh);

    if (ret == PSP_SUCCESS && (sev || p->amd_len)) {
        ret = psp_amd_check(s, p, sev);
    }
    if (ret == PSP_SUCCESS && !psp_peer_policy_ok(s, p, policy)) {
        ret = PSP_POLICY_FAILURE;
    }
    return ret;
}
