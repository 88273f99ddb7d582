/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli), the checksum of what is stored: it finds what a torn write or a bad disk
 * did, and protects from nobody who means harm.
 */
#ifndef GW_BUS_CRC32C_H
#define GW_BUS_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The checksum of bytes, continuing from `crc`, that of the bytes before them; 0 to begin. */
uint32_t gw__crc32c(uint32_t crc, const void *bytes, size_t len);

/* The two ways to it, of which gw__crc32c() takes the faster one that works here. */
uint32_t gw__crc32c_by_table(uint32_t crc, const void *bytes, size_t len);
bool gw__crc32c_has_instruction(void);
/* Only where gw__crc32c_has_instruction(). */
uint32_t gw__crc32c_by_instruction(uint32_t crc, const void *bytes, size_t len);

#endif
