/* SPDX-License-Identifier: MIT */
/* A fast hash of bytes. Nobody can choose what it comes to who does not know the seed. */
#ifndef CS_HASH_H
#define CS_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t cs_hash(uint64_t seed, const void *bytes, size_t len);

#endif
