/* SPDX-License-Identifier: MIT */
#include "messaging/headers_match.h"

#include <string.h>

#include "messaging/message.h"

static bool is_equal(const gw_value *a, const gw_value *b);

static bool are_arrays_equal(const gw_value *a, const gw_value *b)
{
    bool equal = a->as.array.n_items == b->as.array.n_items;
    for (size_t i = 0; equal && i < a->as.array.n_items; i++) {
        equal = is_equal(&a->as.array.items[i], &b->as.array.items[i]);
    }
    return equal;
}

static bool are_tables_equal(const gw_value *a, const gw_value *b)
{
    bool equal = a->as.table.n_items == b->as.table.n_items;
    for (size_t i = 0; equal && i < a->as.table.n_items; i++) {
        const gw_header *one = &a->as.table.items[i];
        const gw_header *two = &b->as.table.items[i];
        equal = strcmp(one->name, two->name) == 0 && is_equal(&one->value, &two->value);
    }
    return equal;
}

/* INT and UINT are one kind of number in two ranges. */
static bool are_integers_equal(const gw_value *a, const gw_value *b)
{
    bool has_sign = (a->kind == GW_VALUE_INT && a->as.integer < 0) ||
                    (b->kind == GW_VALUE_INT && b->as.integer < 0);
    uint64_t one = a->kind == GW_VALUE_INT ? (uint64_t)a->as.integer : a->as.uinteger;
    uint64_t two = b->kind == GW_VALUE_INT ? (uint64_t)b->as.integer : b->as.uinteger;
    return one == two && (!has_sign || a->kind == b->kind);
}

static bool is_integer(const gw_value *value)
{
    return value->kind == GW_VALUE_INT || value->kind == GW_VALUE_UINT;
}

/* Nesting is bounded by GW_VALUE_DEPTH_MAX: both are in messages. */
static bool is_equal(const gw_value *a, const gw_value *b)
{
    if (is_integer(a) && is_integer(b)) {
        return are_integers_equal(a, b);
    }
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case GW_VALUE_NULL: return true;
    case GW_VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case GW_VALUE_DOUBLE: return a->as.real == b->as.real;
    case GW_VALUE_DECIMAL:
        return a->as.decimal.scale == b->as.decimal.scale &&
               a->as.decimal.digits == b->as.decimal.digits;
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES:
        return a->as.bytes.len == b->as.bytes.len &&
               (a->as.bytes.len == 0 ||
                memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len) == 0);
    case GW_VALUE_TIME: return a->as.uinteger == b->as.uinteger;
    case GW_VALUE_ARRAY: return are_arrays_equal(a, b);
    case GW_VALUE_TABLE: return are_tables_equal(a, b);
    default: return false;
    }
}

bool gw__header_counts(const gw_header *wanted)
{
    return strncmp(wanted->name, "x-", 2) != 0;
}

bool gw__headers_match(const gw_header *wanted, size_t n_wanted, bool any, const gw_message *msg)
{
    size_t n_counted = 0;
    for (size_t i = 0; i < n_wanted; i++) {
        if (!gw__header_counts(&wanted[i])) {
            continue;
        }
        n_counted++;
        const gw_value *has = gw_message_header(msg, wanted[i].name);
        bool matches = has != NULL &&
                       (wanted[i].value.kind == GW_VALUE_NULL || is_equal(&wanted[i].value, has));
        if (matches == any) { /* it decides for all */
            return any;
        }
    }
    return !any || n_counted == 0;
}

static gw_status copy_one(gw_message *carrier, const gw_header *header, gw_error *err)
{
    if (header->name == NULL || header->name[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "a binding header has no name");
    }
    if (gw_message_header(carrier, header->name) != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "binding header '%.100s' is there twice",
                            header->name);
    }
    if (header->value.kind == GW_VALUE_ARRAY || header->value.kind == GW_VALUE_TABLE) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "binding header '%.100s' has several values: it can have one",
                            header->name);
    }
    gw_status st = gw_message_set_header(carrier, header->name, &header->value);
    return st == GW_OK ? GW_OK
                       : gw_error_set(err, st, 0, "binding header '%.100s': %s", header->name,
                                      gw_status_text(st));
}

gw_status gw__headers_copy(const gw_header *headers, size_t n_headers, gw_message **ret_carrier,
                           gw_error *err)
{
    if (n_headers > GW__BINDING_HEADERS_MAX || (n_headers > 0 && headers == NULL)) {
        return gw_error_set(err, n_headers > GW__BINDING_HEADERS_MAX ? GW_E_LIMIT : GW_E_INVALID, 0,
                            "%zu binding headers: there can be %d, in an array", n_headers,
                            GW__BINDING_HEADERS_MAX);
    }
    gw_message *carrier = gw_message_new("", 0);
    if (carrier == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for binding headers");
    }
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < n_headers; i++) {
        st = copy_one(carrier, &headers[i], err);
    }
    if (st == GW_OK && gw__message_headers_size(carrier) > GW__BINDING_SIZE_MAX) {
        st = gw_error_set(err, GW_E_LIMIT, 0,
                          "the binding headers take %zu bytes together: there can be %zu",
                          gw__message_headers_size(carrier), GW__BINDING_SIZE_MAX);
    }
    if (st != GW_OK) {
        gw_message_free(carrier);
        return st;
    }
    *ret_carrier = carrier;
    return GW_OK;
}
