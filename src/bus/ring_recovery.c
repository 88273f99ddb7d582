/* SPDX-License-Identifier: MIT */
/* What is in a ring's file: for its owner after the last one has died, and for anybody meanwhile.
 * Nothing in it is believed until its checksum is right. */
#include "bus/ring.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "bus/ring_format.h"

typedef struct found {
    uint64_t seq;
    size_t offset;
} found;

typedef struct found_list {
    found *items;
    size_t n_items;
    size_t cap;
    uint64_t first_seq; /* of the file; 0 when that is damaged, so that all are taken */
} found_list;

static int by_seq(const void *left, const void *right)
{
    uint64_t a = ((const found *)left)->seq;
    uint64_t b = ((const found *)right)->seq;
    return a < b ? -1 : a > b;
}

/* The record that starts here, if one does. Reads its head once: its owner may be writing. */
static bool read_head(const gw__ring *ring, size_t offset, record_head *ret_head)
{
    if (ring->size - offset < sizeof(record_head)) {
        return false;
    }
    memcpy(ret_head, ring->data + offset, sizeof(ret_head->check));
    if (ret_head->check == 0) { /* most of a young ring */
        return false;
    }
    memcpy(ret_head, ring->data + offset, sizeof(*ret_head));
    return ret_head->seq <= SEQ_MASK / 2 &&
           ret_head->len <= ring->size - offset - sizeof(record_head) &&
           ret_head->check == check_of(ring, offset, ret_head);
}

static bool add_found(found_list *list, uint64_t seq, size_t offset)
{
    if (list->n_items == list->cap) {
        size_t cap = list->cap == 0 ? 1024 : list->cap * 2;
        found *more = realloc(list->items, cap * sizeof(*more));
        if (more == NULL) {
            return false;
        }
        list->items = more;
        list->cap = cap;
    }
    list->items[list->n_items++] = (found){.seq = seq, .offset = offset};
    return true;
}

/* The caller frees the items. */
static gw_status find_all(const gw__ring *ring, found_list *ret_list, gw_error *err)
{
    *ret_list = (found_list){.items = NULL};
    if (!read_first(ring, &ret_list->first_seq)) {
        gw_log_error("outbox", "the beginning of an outbox's ring is damaged: some of its messages "
                               "may be sent once more");
        ret_list->first_seq = 0;
    }
    for (size_t at = 0; at < ring->size;) {
        record_head head;
        if (!read_head(ring, at, &head)) {
            at += ALIGN;
            continue;
        }
        if (head.seq >= ret_list->first_seq && !add_found(ret_list, head.seq, at)) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory to read the outbox");
        }
        at += whole(head.len);
    }
    if (ret_list->n_items > 0) {
        qsort(ret_list->items, ret_list->n_items, sizeof(*ret_list->items), by_seq);
    }
    return GW_OK;
}

/* Whether its place may have been written over since it was found. */
static bool is_given_up(const gw__ring *ring, const found *it)
{
    record_head head;
    uint64_t first_seq;
    return !read_head(ring, it->offset, &head) || head.seq != it->seq ||
           (read_first(ring, &first_seq) && it->seq < first_seq);
}

/* A record that was found, with its bytes copied: they and its head may be changing. Returns NULL
 * when it is not there any more, or out of memory (`ret_st`). The caller frees it. */
static uint8_t *copy_record(const gw__ring *ring, const found *it, gw__ring_entry *ret_entry,
                            gw_status *ret_st)
{
    record_head head;
    if (!read_head(ring, it->offset, &head) || head.seq != it->seq) {
        return NULL;
    }
    uint8_t *bytes = malloc((size_t)head.len + 1);
    if (bytes == NULL) {
        *ret_st = GW_E_NOMEM;
        return NULL;
    }
    memcpy(bytes, ring->data + it->offset + sizeof(head), head.len);
    *ret_entry = entry_of(&head, bytes);
    ret_entry->damaged = gw__crc32c(0, bytes, head.len) != head.bytes_crc;
    if (ret_entry->damaged && is_given_up(ring, it)) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

static gw_status visit_all(const gw__ring *ring, const found_list *list, gw__ring_visitor visitor,
                           void *ctx, gw_error *err)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < list->n_items; i++) {
        gw__ring_entry entry;
        uint8_t *bytes = copy_record(ring, &list->items[i], &entry, &st);
        if (bytes != NULL && !entry.settled) {
            st = visitor(ctx, &entry, err);
        } else if (st != GW_OK) {
            gw_error_set(err, st, 0, "no memory to read the outbox");
        }
        free(bytes);
    }
    return st;
}

/* How many numbers between the first and the last one are missing. */
static uint64_t count_lost(const found_list *list)
{
    uint64_t n_lost = 0;
    uint64_t expected = list->first_seq;
    for (size_t i = 0; expected > 0 && i < list->n_items; i++) {
        uint64_t seq = list->items[i].seq;
        n_lost += seq > expected ? seq - expected : 0;
        expected = seq + 1;
    }
    return n_lost;
}

gw_status gw__ring_recover(gw__ring *ring, gw__ring_visitor visitor, void *ctx,
                           uint64_t *ret_n_lost, gw_error *err)
{
    found_list list;
    gw_status st = find_all(ring, &list, err);
    if (st == GW_OK) {
        st = visit_all(ring, &list, visitor, ctx, err);
    }
    if (st == GW_OK) {
        *ret_n_lost = count_lost(&list);
        uint64_t last = list.n_items > 0 ? list.items[list.n_items - 1].seq : 0;
        ring->next_seq = last >= ring->next_seq ? last + 1 : ring->next_seq;
    }
    free(list.items);
    return st;
}

gw_status gw__ring_peek(const char *path, gw__ring_visitor visitor, void *ctx, gw_error *err)
{
    gw__ring ring = {.fd = -1};
    gw_status st = gw__ring_attach(&ring, path, err);
    found_list list = {.items = NULL};
    if (st == GW_OK) {
        st = find_all(&ring, &list, err);
    }
    if (st == GW_OK) {
        st = visit_all(&ring, &list, visitor, ctx, err);
    }
    free(list.items);
    gw__ring_detach(&ring);
    return st;
}
