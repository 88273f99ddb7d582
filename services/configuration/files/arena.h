/* SPDX-License-Identifier: MIT */
/*
 * Memory that is given back all at once: the pieces of one parsed file. Bounded; errors stick, as
 * with gw_buf, so a parser allocates freely and reports cs_arena_status() where it gets NULL.
 */
#ifndef CS_ARENA_H
#define CS_ARENA_H

#include <stddef.h>

#include <godwit/status.h>

struct cs_arena_chunk;

typedef struct cs_arena {
    struct cs_arena_chunk *chunks; /* the newest first */
    size_t used;                   /* bytes given out */
    size_t limit;
    gw_status status;
} cs_arena;

/* A run of bytes that somebody else owns; NUL-terminated where an arena made it. */
typedef struct cs_text {
    const char *bytes;
    size_t len;
} cs_text;

void cs_arena_init(cs_arena *arena, size_t limit);
void cs_arena_dispose(cs_arena *arena);

/* The same, after it was overwritten: for secrets. */
void cs_arena_wipe(cs_arena *arena);

/* Zeroed and aligned for any type; NULL past the limit or out of memory. */
void *cs_arena_alloc(cs_arena *arena, size_t size);

/* A NUL-terminated copy; {NULL, 0} when there is no room. */
cs_text cs_arena_copy(cs_arena *arena, const char *bytes, size_t len);

/* GW_OK, or why an allocation failed: GW_E_LIMIT or GW_E_NOMEM. */
gw_status cs_arena_status(const cs_arena *arena);

#endif
