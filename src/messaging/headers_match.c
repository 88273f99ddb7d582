/* SPDX-License-Identifier: MIT */
#include "messaging/headers_match.h"

#include <string.h>

#include "messaging/message.h"

static bool is_equal(const gw_value *a, const gw_value *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case GW_VALUE_NULL: return true;
    case GW_VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case GW_VALUE_INT: return a->as.integer == b->as.integer;
    case GW_VALUE_UINT:
    case GW_VALUE_TIME: return a->as.uinteger == b->as.uinteger;
    case GW_VALUE_DOUBLE: return a->as.real >= b->as.real && a->as.real <= b->as.real;
    case GW_VALUE_DECIMAL:
        return a->as.decimal.scale == b->as.decimal.scale &&
               a->as.decimal.digits == b->as.decimal.digits;
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES:
        return a->as.bytes.len == b->as.bytes.len &&
               (a->as.bytes.len == 0 ||
                memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len) == 0);
    case GW_VALUE_ARRAY:
    case GW_VALUE_TABLE: return false; /* no binding has one */
    }
    return false;
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
