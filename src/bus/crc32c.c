/* SPDX-License-Identifier: MIT */
/*
 * By table, eight bytes a step ("slicing by 8"): tables[k][b] is what the byte b does to the
 * checksum when k more bytes follow it, so the effects of eight bytes are looked up side by side
 * and combined. The tables are computed when they are first needed, which is never where the
 * processor has an instruction for it.
 */
#include "bus/crc32c.h"

#include <pthread.h>

#define SLICES     8
#define POLYNOMIAL 0x82f63b78U /* 0x1edc6f41, lowest bit first */

static uint32_t tables[SLICES][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        }
        tables[0][byte] = crc;
    }
    for (int k = 1; k < SLICES; k++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
        }
    }
}

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t gw__crc32c_by_table(uint32_t crc, const void *bytes, size_t len)
{
    pthread_once(&tables_once, make_tables);
    const uint8_t *at = bytes;
    crc = ~crc;
    for (; len >= SLICES; at += SLICES, len -= SLICES) {
        uint32_t low = read_u32(at) ^ crc;
        uint32_t high = read_u32(at + 4);
        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][high & 0xff] ^ tables[2][high >> 8 & 0xff] ^
              tables[1][high >> 16 & 0xff] ^ tables[0][high >> 24];
    }
    for (; len > 0; at++, len--) {
        crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 0xff];
    }
    return ~crc;
}

uint32_t gw__crc32c(uint32_t crc, const void *bytes, size_t len)
{
    return gw__crc32c_has_instruction() ? gw__crc32c_by_instruction(crc, bytes, len)
                                        : gw__crc32c_by_table(crc, bytes, len);
}
