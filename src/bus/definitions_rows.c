/* SPDX-License-Identifier: MIT */
/* What is in the definitions' databases, to bytes and back. Whatever is read is checked. */
#include "bus/definitions_format.h"

#include <stdlib.h>
#include <string.h>

#include "bus/control.h"
#include "bus/record.h"

#define PRIORITY_MAX 9

/* ---- out ---------------------------------------------------------------------- */

void gw__definitions_write_queue(const gw__queue_row *row, uint8_t to[GW__QUEUE_VALUE_LEN])
{
    gw__lmdb_put_be(to, row->id, 4);
    to[4] = row->temporary;
    to[5] = (uint8_t)row->type;
    to[6] = (uint8_t)row->overflow;
    to[7] = 0;
    gw__lmdb_put_be(to + 8, row->temporary ? row->member : 0, 4);
    gw__lmdb_put_be(to + 12, row->temporary ? row->member_generation : 0, 8);
    gw__lmdb_put_be(to + 20, row->max_messages, 8);
    gw__lmdb_put_be(to + 28, row->max_bytes, 8);
}

void gw__definitions_write_log_key(uint32_t queue, gw__log_kind kind, uint32_t number,
                                   uint8_t to[GW__LOG_KEY_LEN])
{
    gw__lmdb_put_be(to, queue, 4);
    to[4] = (uint8_t)kind;
    gw__lmdb_put_be(to + 5, kind == GW__LOG_PRIORITY ? PRIORITY_MAX - number : number, 4);
}

void gw__definitions_write_log(const gw__log_row *row, uint8_t to[GW__LOG_VALUE_LEN])
{
    gw__lmdb_put_be(to, row->log, 4);
    gw__lmdb_put_be(to + 4, row->serial, 8);
}

/* Headers as a message has them: it has the limits, and the encoding. NULL without headers. */
static gw_status hold_headers(const gw__binding_row *row, gw_message **ret_holder, gw_error *err)
{
    *ret_holder = NULL;
    if (row->n_headers == 0) {
        return GW_OK;
    }
    gw_message *holder = gw_message_new(NULL, 0);
    gw_status st = holder == NULL ? GW_E_NOMEM : GW_OK;
    const char *name = "";
    for (size_t i = 0; st == GW_OK && i < row->n_headers; i++) {
        name = row->headers[i].name;
        st = gw_message_set_header(holder, name, &row->headers[i].value);
    }
    if (st != GW_OK) {
        gw_message_free(holder);
        return gw_error_set(err, st, 0, "binding of queue '%s': header '%.255s': %s", row->queue,
                            name == NULL ? "" : name, gw_status_text(st));
    }
    *ret_holder = holder;
    return GW_OK;
}

gw_status gw__definitions_write_binding(const gw__binding_row *row, uint8_t **ret_bytes,
                                        size_t *ret_len, gw_error *err)
{
    gw_message *holder;
    gw_status st = hold_headers(row, &holder, err);
    if (st != GW_OK) {
        return st;
    }
    size_t exchange_len = strlen(row->exchange);
    size_t key_len = strlen(row->key);
    size_t len = GW__BINDING_VALUE_MIN + exchange_len + key_len +
                 (holder == NULL ? 0 : gw__record_size(holder));
    uint8_t *bytes = malloc(len);
    if (bytes == NULL) {
        gw_message_free(holder);
        return gw_error_set(err, GW_E_NOMEM, 0, "binding of queue '%s': out of memory", row->queue);
    }
    bytes[0] = row->match_any;
    bytes[1] = (uint8_t)exchange_len;
    bytes[2] = (uint8_t)key_len;
    memcpy(bytes + GW__BINDING_VALUE_MIN, row->exchange, exchange_len);
    memcpy(bytes + GW__BINDING_VALUE_MIN + exchange_len, row->key, key_len);
    if (holder != NULL) {
        gw__record_write(holder, bytes + GW__BINDING_VALUE_MIN + exchange_len + key_len);
    }
    gw_message_free(holder);
    *ret_bytes = bytes;
    *ret_len = len;
    return GW_OK;
}

void gw__definitions_write_binding_key(uint32_t queue, const MDB_val *value, uint8_t number,
                                       uint8_t to[GW__BINDING_KEY_LEN])
{
    uint64_t hash = gw__definitions_hash(GW__HASH_START, value->mv_data, value->mv_size);
    gw__lmdb_put_be(to, queue, 4);
    gw__lmdb_put_be(to + 4, hash, 8);
    to[12] = number;
}

/* ---- in ----------------------------------------------------------------------- */

static bool read_name(const void *bytes, size_t len, char ret_name[GW__BUS_NAME_MAX + 1])
{
    if (len > GW__BUS_NAME_MAX || memchr(bytes, '\0', len) != NULL) {
        return false;
    }
    memcpy(ret_name, bytes, len);
    ret_name[len] = '\0';
    return true;
}

bool gw__definitions_read_exchange(const MDB_val *key, const MDB_val *value,
                                   gw__exchange_row *ret_row)
{
    const uint8_t *bytes = value->mv_data;
    if (key->mv_size == 0 || !read_name(key->mv_data, key->mv_size, ret_row->name) ||
        value->mv_size != 1 || bytes[0] > GW_EXCHANGE_HEADERS) {
        return false;
    }
    ret_row->type = (gw_exchange_type)bytes[0];
    return true;
}

bool gw__definitions_read_queue(const MDB_val *key, const MDB_val *value, gw__queue_row *ret_row)
{
    const uint8_t *bytes = value->mv_data;
    memset(ret_row, 0, offsetof(gw__queue_row, name));
    if (key->mv_size == 0 || !read_name(key->mv_data, key->mv_size, ret_row->name) ||
        value->mv_size != GW__QUEUE_VALUE_LEN || bytes[4] > 1 || bytes[5] > GW_QUEUE_QUORUM ||
        bytes[6] > GW__OVERFLOW_DEAD_LETTER || bytes[7] != 0) {
        return false;
    }
    ret_row->id = (uint32_t)gw__lmdb_get_be(bytes, 4);
    ret_row->temporary = bytes[4] != 0;
    ret_row->type = (gw_queue_type)bytes[5];
    ret_row->overflow = (gw__overflow)bytes[6];
    ret_row->member = (uint32_t)gw__lmdb_get_be(bytes + 8, 4);
    ret_row->member_generation = gw__lmdb_get_be(bytes + 12, 8);
    ret_row->max_messages = gw__lmdb_get_be(bytes + 20, 8);
    ret_row->max_bytes = gw__lmdb_get_be(bytes + 28, 8);
    ret_row->n_logs = 0;
    ret_row->logs = NULL;
    return ret_row->id != 0 && (ret_row->temporary || ret_row->member == 0);
}

bool gw__definitions_read_log(const MDB_val *key, const MDB_val *value, uint32_t *ret_queue,
                              gw__log_row *ret_row)
{
    const uint8_t *at = key->mv_data;
    const uint8_t *bytes = value->mv_data;
    if (key->mv_size != GW__LOG_KEY_LEN || value->mv_size != GW__LOG_VALUE_LEN ||
        at[4] > GW__LOG_DELAY) {
        return false;
    }
    uint32_t rank = (uint32_t)gw__lmdb_get_be(at + 5, 4);
    *ret_queue = (uint32_t)gw__lmdb_get_be(at, 4);
    ret_row->kind = (gw__log_kind)at[4];
    ret_row->log = (uint32_t)gw__lmdb_get_be(bytes, 4);
    ret_row->serial = gw__lmdb_get_be(bytes + 4, 8);
    if (ret_row->log >= GW__BUS_LOGS_MAX || ret_row->serial == 0) {
        return false;
    }
    switch (ret_row->kind) {
    case GW__LOG_MAIN: ret_row->number = 0; return rank == 0;
    case GW__LOG_PRIORITY: ret_row->number = PRIORITY_MAX - rank; return rank < PRIORITY_MAX;
    case GW__LOG_DELAY: ret_row->number = rank; return rank > 0;
    }
    return false;
}

gw_status gw__definitions_read_binding(const MDB_val *key, const MDB_val *value,
                                       uint32_t *ret_queue, gw__binding_row *ret_row,
                                       gw_message **ret_holder, gw_error *err)
{
    const uint8_t *bytes = value->mv_data;
    uint8_t expected[GW__BINDING_KEY_LEN];
    if (key->mv_size != GW__BINDING_KEY_LEN || value->mv_size < GW__BINDING_VALUE_MIN) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "it has not the size of one");
    }
    const uint8_t *key_bytes = key->mv_data;
    *ret_queue = (uint32_t)gw__lmdb_get_be(key_bytes, 4);
    gw__definitions_write_binding_key(*ret_queue, value, key_bytes[12], expected);
    size_t exchange_len = bytes[1];
    size_t rest = value->mv_size - GW__BINDING_VALUE_MIN;
    if (memcmp(key_bytes, expected, sizeof(expected)) != 0 || bytes[0] > 1 || exchange_len == 0 ||
        exchange_len + bytes[2] > rest) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "its checksum or lengths are wrong");
    }
    const uint8_t *at = bytes + GW__BINDING_VALUE_MIN;
    if (!read_name(at, exchange_len, ret_row->exchange) ||
        !read_name(at + exchange_len, bytes[2], ret_row->key)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "a name holds a NUL");
    }
    rest -= exchange_len + bytes[2];
    gw_message *holder = NULL;
    gw_status st =
        rest == 0 ? GW_OK : gw__record_read(at + exchange_len + bytes[2], rest, &holder, err);
    if (st != GW_OK) {
        return st;
    }
    ret_row->match_any = bytes[0] != 0;
    ret_row->n_headers = holder == NULL ? 0 : gw_message_n_headers(holder);
    ret_row->headers = holder == NULL ? NULL : gw_message_header_at(holder, 0); /* an array */
    *ret_holder = holder;
    return GW_OK;
}
