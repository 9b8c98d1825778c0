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

/* How far a test takes the platform and one guest. S_LUPDATE has no ASID. */
typedef enum Stage {
    S_UNINIT, S_INIT, S_LUPDATE, S_ACTIVE, S_LSECRET, S_RUNNING, S_COUNT
} Stage;

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
/* A session launch of a guest, whose TIK and TEK are then known */
unsigned psp_session_start(uint32_t policy);
/* Guest owner: secret packet of @len bytes at IN, with the known keys */
#define IN_PACKET (IN + 0x1000)
void psp_make_secret(const void *plain, size_t len, uint32_t flags);

extern const uint8_t psp_known_tk[32];
/* The device's PDH as exported */
void psp_get_pdh(AmdPspEcPoint *pub);
void psp_cert_point(const uint8_t *cert, AmdPspEcPoint *pub);
bool psp_cert_signed_by(const uint8_t *cert, unsigned n, uint32_t usage,
                        const uint8_t *issuer);

#endif
