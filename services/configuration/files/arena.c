/* SPDX-License-Identifier: MIT */
#include "files/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)8192)

struct cs_arena_chunk {
    struct cs_arena_chunk *next;
    size_t used;
    size_t size;
    alignas(max_align_t) char bytes[];
};

void cs_arena_init(cs_arena *arena, size_t limit)
{
    *arena = (cs_arena){.limit = limit, .status = GW_OK};
}

void cs_arena_dispose(cs_arena *arena)
{
    while (arena->chunks != NULL) {
        struct cs_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    cs_arena_init(arena, arena->limit);
}

void cs_arena_wipe(cs_arena *arena)
{
    for (struct cs_arena_chunk *chunk = arena->chunks; chunk != NULL; chunk = chunk->next) {
        explicit_bzero(chunk->bytes, chunk->used);
    }
    cs_arena_dispose(arena);
}

static struct cs_arena_chunk *add_chunk(cs_arena *arena, size_t size)
{
    size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    struct cs_arena_chunk *chunk = malloc(sizeof(*chunk) + room);
    if (chunk == NULL) {
        arena->status = GW_E_NOMEM;
        return NULL;
    }
    chunk->used = 0;
    chunk->size = room;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

void *cs_arena_alloc(cs_arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (arena->status != GW_OK) {
        return NULL;
    }
    if (size > arena->limit || arena->used > arena->limit - size) {
        arena->status = GW_E_LIMIT;
        return NULL;
    }
    size_t rounded = (size + align - 1) / align * align;
    struct cs_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < rounded) {
        chunk = add_chunk(arena, rounded);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *memory = chunk->bytes + chunk->used;
    chunk->used += rounded;
    arena->used += rounded;
    return memset(memory, 0, size);
}

cs_text cs_arena_copy(cs_arena *arena, const char *bytes, size_t len)
{
    char *copy = cs_arena_alloc(arena, len + 1);
    if (copy == NULL) {
        return (cs_text){NULL, 0};
    }
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    return (cs_text){copy, len};
}

gw_status cs_arena_status(const cs_arena *arena)
{
    return arena->status;
}
