/* SPDX-License-Identifier: MIT */
#include "ring_file.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A word that changes with the number and the place, and its bytes in turn. */
static uint8_t byte_at(uint64_t seq, size_t i)
{
    return (uint8_t)(seq * 131 + i * 7 + (i >> 8) * 13);
}

gw__ring *ring_open(const char *path)
{
    gw__ring *ring = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw__ring_open(path, &ring, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return ring;
}

void ring_check(const gw__ring_entry *entry)
{
    bool right = entry->queue == entry->seq % 1000 && entry->accepted_ms == entry->seq * 3 + 1;
    for (size_t i = 0; right && i < entry->len; i++) {
        right = entry->bytes[i] == byte_at(entry->seq, i);
    }
    if (!right) {
        fail_msg("record %llu is not what was put there", (unsigned long long)entry->seq);
    }
}

static gw_status see(void *ctx, const gw__ring_entry *entry, gw_error *err)
{
    (void)err;
    ring_seen *seen = ctx;
    assert_false(entry->settled);
    if (entry->damaged) {
        seen->n_damaged++;
        return GW_OK;
    }
    ring_check(entry);
    assert_true(seen->n < RING_SEEN_MAX);
    assert_true(seen->n == 0 || entry->seq > seen->seqs[seen->n - 1]);
    seen->n_external += entry->external;
    seen->seqs[seen->n++] = entry->seq;
    return GW_OK;
}

ring_seen ring_recover(gw__ring *ring)
{
    static ring_seen seen;
    seen = (ring_seen){.n = 0};
    assert_int_equal(gw__ring_recover(ring, see, &seen, &seen.n_lost, NULL), GW_OK);
    return seen;
}

uint64_t ring_put(gw__ring *ring, size_t len, bool external)
{
    uint8_t *place = gw__ring_reserve(ring, len);
    if (place == NULL) {
        return 0;
    }
    uint64_t seq = gw__ring_next(ring);
    for (size_t i = 0; i < len; i++) {
        place[i] = byte_at(seq, i);
    }
    return gw__ring_commit(ring, len, (uint32_t)(seq % 1000), seq * 3 + 1, external);
}
