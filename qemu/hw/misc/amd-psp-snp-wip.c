#include "qemu/osdep.h"
#include "amd-psp-snp.h"
AmdPspStatus amd_psp_snp_message(AmdPspState *s, AmdPspSnpGuest *g, const uint8_t *req, uint8_t *resp) { return PSP_UNSUPPORTED; }
void amd_psp_snp_chip_init(AmdPspState *s) {}
void amd_psp_snp_vcek_update(AmdPspState *s) {}
