/*
 * AMD Platform Security Processor: the two formats of certificates
 *
 * A platform's own keys (OCA, PEK, PDH, CEK) are on P-384, AMD's keys above
 * them (ARK, ASK) are RSA. No state, no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_AMD_PSP_CERT_H
#define HW_MISC_AMD_PSP_CERT_H

#include "amd-psp-crypto.h"

/*
 * SEV API, SEV Certificate Format and AMD Signing Key Certificates: usages of
 * keys and algorithms. The ARK's and the ASK's usage and algorithm are from
 * memory.
 */
#define USAGE_ARK 0x0000
#define USAGE_ASK 0x0013
#define USAGE_INVALID 0x1000
#define USAGE_OCA 0x1001
#define USAGE_PEK 0x1002
#define USAGE_PDH 0x1003
#define USAGE_CEK 0x1004
#define ALGO_INVALID 0x000
#define ALGO_RSA_SHA256 0x001
#define ALGO_ECDSA_SHA256 0x002
#define ALGO_ECDH_SHA256 0x003
#define ALGO_RSA_SHA384 0x101
#define ALGO_ECDH_SHA384 0x103

/* SEV API, SEV Certificate Format. 2084 bytes, little endian. */
#define PSP_CERT_LEN 0x824
#define PSP_COORD_LEN 72                /* little endian, zero padded */

typedef struct AmdPspCert {
    uint8_t raw[PSP_CERT_LEN];
} AmdPspCert;

void amd_psp_coord_store(uint8_t le[PSP_COORD_LEN],
                         const uint8_t be[PSP_P384_LEN]);
void amd_psp_cert_fill(AmdPspCert *cert, uint32_t usage, uint32_t algo,
                       const AmdPspEcPoint *pub);
/* Sign in place @n, 0 or 1, as @usage */
void amd_psp_cert_sign(AmdPspCert *cert, unsigned n, uint32_t usage,
                       const AmdPspEcKey *key);
void amd_psp_cert_sign_rsa(AmdPspCert *cert, unsigned n, uint32_t usage,
                           const AmdPspRsaKey *key);
bool amd_psp_cert_pub(const AmdPspCert *cert, AmdPspEcPoint *pub);
bool amd_psp_cert_is(const AmdPspCert *cert, uint32_t usage, uint32_t algo);
/* Is whatever no signature covers as it must be? */
bool amd_psp_cert_tidy(const AmdPspCert *cert);
/* The version of the SEV API of the firmware that made @cert, major first */
unsigned amd_psp_cert_api(const AmdPspCert *cert);
/* Has @usage's key @pub signed @cert, in whichever of the two places? */
bool amd_psp_cert_verify(const AmdPspCert *cert, uint32_t usage,
                         const AmdPspEcPoint *pub);
bool amd_psp_cert_verify_rsa(const AmdPspCert *cert, uint32_t usage,
                             const AmdPspRsaPub *pub);
/* The public key of a certificate for key agreement */
bool amd_psp_cert_dh_key(const AmdPspCert *cert, AmdPspEcPoint *pub);

/* SEV API, AMD Signing Key Certificates: as long as the keys ask for */
#define PSP_AMD_KEY_ID_LEN 16
#define PSP_AMD_CERT_LEN(n) (64 + 3 * (n))
#define PSP_AMD_CERT_MAX PSP_AMD_CERT_LEN(PSP_RSA_MAX_LEN)

/* What a certificate says, once amd_psp_amd_cert_parse() has taken it apart */
typedef struct AmdPspAmdCert {
    uint32_t usage;
    uint8_t key_id[PSP_AMD_KEY_ID_LEN];
    uint8_t issuer_id[PSP_AMD_KEY_ID_LEN];
    AmdPspRsaPub pub;
    const uint8_t *raw;
    size_t len;
} AmdPspAmdCert;

/* Write the certificate of @key, PSP_AMD_CERT_LEN(PSP_RSA_LEN) bytes. */
void amd_psp_amd_cert_make(uint8_t *raw, uint32_t usage,
                           const AmdPspRsaKey *key,
                           const AmdPspRsaKey *issuer);
/* False unless a certificate is what @raw, of @len bytes, begins with */
bool amd_psp_amd_cert_parse(AmdPspAmdCert *cert, const uint8_t *raw,
                            size_t len);
bool amd_psp_amd_cert_verify(const AmdPspAmdCert *cert,
                             const AmdPspAmdCert *issuer);

#endif
