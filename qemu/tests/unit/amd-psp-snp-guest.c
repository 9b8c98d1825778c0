/*
 * Made-up SNP guests, for the unit tests of the AMD secure processor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "amd-psp-snp-guest.h"

MachineState machine;
MachineState *current_machine = &machine;
AmdPspState *psp;
AmdPspSnpGuest guest;

void fill(void *buf, size_t len, uint8_t salt)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)buf)[i] = (i * 7 + (i >> 8)) ^ salt;
    }
}

void setup(void)
{
    g_free(psp);
    psp = g_new0(AmdPspState, 1);
    amd_psp_sha256(psp->chip_secret, "", 0);
    machine.smp.threads = 2;
    g_assert_true(amd_psp_snp_chip_init(psp, &error_abort));
    fill(&guest, sizeof(guest), 0x5a);
    guest.author_key_en = true;
    guest.vcek_dis = false;
    guest.guest_svn = 7;
    guest.state = PSP_SNP_G_RUNNING;
    for (int i = 0; i < 4; i++) {
        memset(guest.vmpck[i], 0x11 * (i + 1), 32);
        guest.msg_seqno[i] = 0;
    }
}

void unhex(uint8_t *out, const char *hex)
{
    for (; *hex; hex += 2) {
        *out++ = g_ascii_xdigit_value(hex[0]) << 4 |
                 g_ascii_xdigit_value(hex[1]);
    }
}

static AmdPspGcm gcm_of(const uint8_t *page, unsigned vmpck, uint8_t iv[12])
{
    memcpy(iv, page + 0x20, 8);
    memset(iv + 8, 0, 4);
    return (AmdPspGcm) { guest.vmpck[vmpck], iv, page + AAD, HDR - AAD };
}

void seal(uint8_t *page, unsigned vmpck, size_t size)
{
    uint8_t iv[12];
    AmdPspGcm gcm = gcm_of(page, vmpck, iv);

    amd_psp_gcm_seal(&gcm, page + HDR, page + HDR, size, page);
}

void open_page(uint8_t *page, unsigned vmpck, size_t size)
{
    uint8_t iv[12];
    AmdPspGcm gcm = gcm_of(page, vmpck, iv);

    g_assert_true(amd_psp_gcm_open(&gcm, page + HDR, page + HDR, size, page));
}

void make(uint8_t *page, uint8_t type, unsigned vmpck, const void *payload,
          size_t size)
{
    memset(page, 0, PAGE);
    stq_le_p(page + 0x20, guest.msg_seqno[vmpck] + 1);
    page[0x30] = 1;
    page[0x31] = 1;
    stw_le_p(page + 0x32, HDR);
    page[0x34] = type;
    page[0x35] = 1;
    stw_le_p(page + 0x36, size);
    page[0x3c] = vmpck;
    memcpy(page + HDR, payload, size);
}

AmdPspStatus send_page(const uint8_t *page, uint8_t *resp)
{
    g_autofree uint8_t *was = g_malloc(PAGE);
    AmdPspSnpGuest before = guest;
    AmdPspStatus status;

    fill(resp, PAGE, 0xa5);
    memcpy(was, resp, PAGE);
    status = amd_psp_snp_message(psp, &guest, page, resp);
    if (status != PSP_SUCCESS) {
        g_assert_cmpmem(&guest, sizeof(guest), &before, sizeof(before));
        g_assert_cmpmem(resp, PAGE, was, PAGE);
    }
    return status;
}

void check_reply(const uint8_t *resp, uint64_t seqno, uint8_t type,
                 uint16_t size, uint8_t vmpck)
{
    uint8_t want[HDR] = {};

    stq_le_p(want + 0x20, seqno);
    want[0x30] = 1;
    want[0x31] = 1;
    stw_le_p(want + 0x32, HDR);
    want[0x34] = type;
    want[0x35] = 1;
    stw_le_p(want + 0x36, size);
    want[0x3c] = vmpck;
    g_assert_cmpmem(resp + 16, HDR - 16, want + 16, HDR - 16);
    g_assert_true(buffer_is_zero(resp + HDR + size, PAGE - HDR - size));
}

uint32_t ask(uint8_t type, unsigned vmpck, const void *payload, size_t size,
             size_t rsp_size, uint8_t *resp)
{
    g_autofree uint8_t *page = g_malloc(PAGE);
    uint64_t count = guest.msg_seqno[vmpck];

    make(page, type, vmpck, payload, size);
    seal(page, vmpck, size);
    g_assert_cmphex(send_page(page, resp), ==, PSP_SUCCESS);
    g_assert_cmpuint(guest.msg_seqno[vmpck], ==, count + 2);
    check_reply(resp, count + 2, type + 1, rsp_size, vmpck);
    open_page(resp, vmpck, rsp_size);
    return ldl_le_p(resp + HDR);
}

void assert_empty_reply(const uint8_t *resp, size_t size)
{
    g_assert_true(buffer_is_zero(resp + HDR + 4, size - 4));
}
