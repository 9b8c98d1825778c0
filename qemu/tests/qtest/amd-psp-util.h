/*
 * AMD Platform Security Processor: what the qtests share
 *
 * Command buffers are written field by field, by offset, so that the tests do
 * not inherit a mistake of the device's own structures.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_AMD_PSP_UTIL_H
#define TESTS_QTEST_AMD_PSP_UTIL_H

#include "qemu/bitops.h"
#include "qemu/host-utils.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "hw/misc/amd-psp-crypto.h"

/* Guest physical memory that the tests use (64 MiB machine) */
#define CMDBUF      0x1000000
#define OUT         0x1010000           /* results */
#define IN          0x1020000           /* headers, certificates, packets */
#define DATA        0x1030000           /* guest memory */
#define TMR         0x1100000
#define NV          0x1200000
#define ABSENT      0x200000000000
#define CBIT        (1ULL << 51)

#define TMR_LEN     0x100000
#define NV_LEN      0x8000
#define CERT_LEN    0x824

enum {
    CMD_INIT = 0x01, CMD_SHUTDOWN, CMD_FACTORY_RESET, CMD_PLATFORM_STATUS,
    CMD_PEK_GEN, CMD_PEK_CSR, CMD_PEK_CERT_IMPORT, CMD_PDH_CERT_EXPORT,
    CMD_PDH_GEN, CMD_DF_FLUSH, CMD_DOWNLOAD_FIRMWARE, CMD_GET_ID, CMD_INIT_EX,
    CMD_DECOMMISSION = 0x20, CMD_ACTIVATE, CMD_DEACTIVATE, CMD_GUEST_STATUS,
    CMD_LAUNCH_START = 0x30, CMD_LAUNCH_UPDATE_DATA, CMD_LAUNCH_UPDATE_VMSA,
    CMD_LAUNCH_MEASURE, CMD_LAUNCH_SECRET, CMD_LAUNCH_FINISH,
    CMD_ATTESTATION_REPORT,
    CMD_SEND_START = 0x40, CMD_SEND_UPDATE_DATA, CMD_SEND_UPDATE_VMSA,
    CMD_SEND_FINISH, CMD_SEND_CANCEL,
    CMD_RECEIVE_START = 0x50, CMD_RECEIVE_UPDATE_DATA,
    CMD_RECEIVE_UPDATE_VMSA, CMD_RECEIVE_FINISH,
    CMD_DBG_DECRYPT = 0x60, CMD_DBG_ENCRYPT,
};

enum {
    OK = 0x00, INVALID_PLATFORM_STATE, INVALID_GUEST_STATE, INVALID_CONFIG,
    INVALID_LEN, ALREADY_OWNED, INVALID_CERTIFICATE, POLICY_FAILURE, INACTIVE,
    INVALID_ADDRESS, BAD_SIGNATURE, BAD_MEASUREMENT, ASID_OWNED, INVALID_ASID,
    WBINVD_REQUIRED, DFFLUSH_REQUIRED, INVALID_GUEST, INVALID_COMMAND, ACTIVE,
    UNSUPPORTED = 0x15, INVALID_PARAM, RESOURCE_LIMIT, SECURE_DATA_INVALID,
};

#define POLICY_NODBG 0x01
#define POLICY_NOKS  0x02
#define POLICY_ES    0x04
#define POLICY_NOSEND 0x08
#define POLICY_DOMAIN 0x10
#define POLICY_SEV   0x20

/*
 * How far a test takes the platform and one guest. S_LUPDATE and S_RUPDATE
 * have no ASID; from S_LSECRET on, an ES guest has a VMSA at VMSA_PAGE.
 */
typedef enum Stage {
    S_UNINIT, S_INIT, S_LUPDATE, S_ACTIVE, S_LSECRET, S_RUNNING, S_SUPDATE,
    S_SENT, S_RUPDATE, S_RACTIVE, S_COUNT
} Stage;

#define VMSA_PAGE (DATA + 0x8000)

typedef struct Field {
    uint8_t off;
    uint8_t size;
    uint64_t val;
} Field;

/* A field's value that stands for the handle of the test's guest */
#define HANDLE 0xaaaabbbbccccddddULL

typedef struct Psp {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar bar;
    uint32_t handle;
    uint8_t mnonce[16];
    uint8_t measure[PSP_SHA256_LEN];
} Psp;

extern Psp psp;

void psp_start(const char *device_args);
void psp_stop(void);

uint32_t psp_reg(unsigned off);
void psp_reg_write(unsigned off, uint32_t val);

/* Issue a command; returns the status */
unsigned psp_cmd_at(unsigned cmd, uint64_t cmdbuf, bool ioc);
unsigned psp_cmd(unsigned cmd, const Field *fields, size_t n);
#define PSP_CMD(cmd, ...) \
    psp_cmd(cmd, (Field[]){ __VA_ARGS__ }, \
            ARRAY_SIZE(((Field[]){ __VA_ARGS__ })))

/* What the command left in its buffer */
uint32_t psp_out32(unsigned off);
uint8_t psp_out8(unsigned off);

void psp_wbinvd(void);
/* From UNINIT, with a guest of @policy */
void psp_reach(Stage stage, uint32_t policy);

/* Guest owner: certificate and session for @tk = TEK, TIK, at IN */
#define IN_SESSION (IN + 0x1000)
#define SESSION_LEN 128
void psp_make_session(uint32_t policy, const uint8_t tk[32]);
/* A packet of @len bytes at IN, with the known keys; a secret's is of launch */
#define IN_PACKET (IN + 0x1000)
enum { PACKET_SECRET = 1, PACKET_DATA, PACKET_VMSA };
void psp_make_packet(uint8_t context, const void *plain, size_t len,
                     uint32_t flags);

/* Certificates of a platform's own keys */
#define USAGE_OCA 0x1001
#define USAGE_PEK 0x1002
#define USAGE_PDH 0x1003
#define USAGE_CEK 0x1004
void psp_cert_make(uint8_t *cert, uint32_t usage, const AmdPspEcKey *key);
void psp_cert_sign(uint8_t *cert, unsigned n, uint32_t usage,
                   const AmdPspEcKey *key);

/* A platform that this test plays, with its certificates at PEER_* */
#define PEER_PDH (IN + 0x6000)
#define PEER_CHAIN (IN + 0x7000)        /* PEK, OCA, CEK */
#define PEER_ROOT (IN + 0x9000)         /* ASK, ARK; none by default */
#define CHAIN_LEN (3 * CERT_LEN)
typedef struct Peer {
    AmdPspEcKey oca, pek, cek, pdh;
    uint8_t pdh_cert[CERT_LEN];
    uint8_t chain[3][CERT_LEN];
} Peer;
void psp_make_peer(Peer *p);
/* Session at OUT */
unsigned psp_send_start(void);
/* What the platform whose key is @pdh sealed in @se, for a guest of @policy */
bool psp_open_session(const AmdPspEcKey *key, const AmdPspEcPoint *pdh,
                      const uint8_t se[SESSION_LEN], uint32_t policy,
                      uint8_t tk[32]);
bool psp_open_packet(uint8_t context, const uint8_t tk[32],
                     const uint8_t hdr[52], uint8_t *data, uint32_t len);

extern const uint8_t psp_known_tk[32];
/* The device's PDH as exported */
void psp_get_pdh(AmdPspEcPoint *pub);
void psp_cert_point(const uint8_t *cert, AmdPspEcPoint *pub);
bool psp_cert_signed_by(const uint8_t *cert, unsigned n, uint32_t usage,
                        const uint8_t *issuer);

#endif
