/* SPDX-License-Identifier: MIT */
#include "repo/hash.h"

#include <string.h>

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t cs_hash(uint64_t seed, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    uint64_t hash = seed ^ mix(len ^ 0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u);
    while (len > 0) {
        uint64_t word = 0;
        size_t n = len < sizeof(word) ? len : sizeof(word);
        memcpy(&word, p, n);
        hash = mix(hash ^ word ^ 0x589965cc75374cc3u, 0x94d049bb133111ebu ^ seed) +
               0x1d8e4e27c47d124fu;
        p += n;
        len -= n;
    }
    return mix(hash, 0x2545f4914f6cdd1du) ^ hash;
}
