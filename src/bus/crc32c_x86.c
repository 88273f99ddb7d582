/* SPDX-License-Identifier: MIT */
/* CRC-32C by the instruction of SSE4.2, on x86-64; elsewhere there is none. */
#include "bus/crc32c.h"

#if defined(__x86_64__)

#include <string.h>

/* The processor was asked once, before main(): this only looks at the answer. */
bool gw__crc32c_has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) uint32_t gw__crc32c_by_instruction(uint32_t crc,
                                                                     const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    unsigned long long wide = (uint32_t)~crc;
    for (; len >= sizeof(wide); at += sizeof(wide), len -= sizeof(wide)) {
        unsigned long long word;
        memcpy(&word, at, sizeof(word));
        wide = __builtin_ia32_crc32di(wide, word);
    }
    uint32_t narrow = (uint32_t)wide;
    for (; len > 0; at++, len--) {
        narrow = __builtin_ia32_crc32qi(narrow, *at);
    }
    return ~narrow;
}

#else

bool gw__crc32c_has_instruction(void)
{
    return false;
}

uint32_t gw__crc32c_by_instruction(uint32_t crc, const void *bytes, size_t len)
{
    return gw__crc32c_by_table(crc, bytes, len);
}

#endif
