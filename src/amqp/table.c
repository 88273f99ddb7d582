/* SPDX-License-Identifier: MIT */
/*
 * Both directions recurse, at most GW_VALUE_DEPTH_MAX levels deep: values that go out were checked
 * when they were set, values that come in are checked here.
 */
#include "amqp/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Setting a header looks through those before it: more than anybody needs must not keep the I/O
 * thread busy. */
#define HEADERS_MAX 1000

/* ---- out ----------------------------------------------------------------- */

static amqp_bytes_t bytes_of(const char *data, size_t len)
{
    /* librabbitmq takes no const; encoding only reads. */
    return (amqp_bytes_t){.len = len, .bytes = (void *)(uintptr_t)data};
}

static gw_status field_of(const gw_value *value, unsigned depth, amqp_pool_t *pool,
                          amqp_field_value_t *ret_field);

static gw_status table_of(const gw_header *items, size_t n_items, unsigned depth, amqp_pool_t *pool,
                          amqp_table_t *ret_table)
{
    amqp_table_entry_t *entries = amqp_pool_alloc(pool, (n_items + 1) * sizeof(*entries));
    if (entries == NULL) {
        return GW_E_NOMEM;
    }
    for (size_t i = 0; i < n_items; i++) {
        entries[i].key = bytes_of(items[i].name, strlen(items[i].name));
        gw_status st = field_of(&items[i].value, depth, pool, &entries[i].value);
        if (st != GW_OK) {
            return st;
        }
    }
    *ret_table = (amqp_table_t){.num_entries = (int)n_items, .entries = entries};
    return GW_OK;
}

static gw_status array_of(const gw_value *items, size_t n_items, unsigned depth, amqp_pool_t *pool,
                          amqp_array_t *ret_array)
{
    amqp_field_value_t *entries = amqp_pool_alloc(pool, (n_items + 1) * sizeof(*entries));
    if (entries == NULL) {
        return GW_E_NOMEM;
    }
    for (size_t i = 0; i < n_items; i++) {
        gw_status st = field_of(&items[i], depth, pool, &entries[i]);
        if (st != GW_OK) {
            return st;
        }
    }
    *ret_array = (amqp_array_t){.num_entries = (int)n_items, .entries = entries};
    return GW_OK;
}

static void scalar_of(const gw_value *value, amqp_field_value_t *field)
{
    switch (value->kind) {
    case GW_VALUE_BOOL:
        field->kind = AMQP_FIELD_KIND_BOOLEAN;
        field->value.boolean = value->as.boolean;
        break;
    case GW_VALUE_INT:
        field->kind = AMQP_FIELD_KIND_I64;
        field->value.i64 = value->as.integer;
        break;
    case GW_VALUE_DOUBLE:
        field->kind = AMQP_FIELD_KIND_F64;
        field->value.f64 = value->as.real;
        break;
    case GW_VALUE_DECIMAL:
        field->kind = AMQP_FIELD_KIND_DECIMAL;
        field->value.decimal.decimals = value->as.decimal.scale;
        field->value.decimal.value = value->as.decimal.digits;
        break;
    case GW_VALUE_TIME:
        field->kind = AMQP_FIELD_KIND_TIMESTAMP;
        field->value.u64 = value->as.uinteger;
        break;
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES:
        field->kind = value->kind == GW_VALUE_TEXT ? AMQP_FIELD_KIND_UTF8 : AMQP_FIELD_KIND_BYTES;
        field->value.bytes = bytes_of(value->as.bytes.data, value->as.bytes.len);
        break;
    default: field->kind = AMQP_FIELD_KIND_VOID; break;
    }
}

/* RabbitMQ closes the connection over an unsigned 64-bit field, so what no signed one holds goes
 * out as its digits. */
static gw_status digits_of(const gw_value *value, amqp_pool_t *pool, amqp_field_value_t *ret_field)
{
    char *text = amqp_pool_alloc(pool, 24);
    if (text == NULL) {
        return GW_E_NOMEM;
    }
    int len = snprintf(text, 24, "%" PRIu64, value->as.uinteger);
    ret_field->kind = AMQP_FIELD_KIND_UTF8;
    ret_field->value.bytes = bytes_of(text, (size_t)len);
    return GW_OK;
}

static gw_status field_of(const gw_value *value, unsigned depth, amqp_pool_t *pool,
                          amqp_field_value_t *ret_field)
{
    if (depth > GW_VALUE_DEPTH_MAX) {
        return GW_E_LIMIT;
    }
    switch (value->kind) {
    case GW_VALUE_UINT: return digits_of(value, pool, ret_field);
    case GW_VALUE_ARRAY:
        ret_field->kind = AMQP_FIELD_KIND_ARRAY;
        return array_of(value->as.array.items, value->as.array.n_items, depth + 1, pool,
                        &ret_field->value.array);
    case GW_VALUE_TABLE:
        ret_field->kind = AMQP_FIELD_KIND_TABLE;
        return table_of(value->as.table.items, value->as.table.n_items, depth + 1, pool,
                        &ret_field->value.table);
    default: scalar_of(value, ret_field); return GW_OK;
    }
}

gw_status gw__table_from_headers(const gw_message *msg, amqp_pool_t *pool, amqp_table_t *ret_table)
{
    return table_of(gw_message_header_at(msg, 0), gw_message_n_headers(msg), 0, pool, ret_table);
}

gw_status gw__table_from(const gw_header *headers, size_t n_headers, amqp_pool_t *pool,
                         amqp_table_t *ret_table)
{
    return table_of(headers, n_headers, 0, pool, ret_table);
}

/* ---- in ------------------------------------------------------------------ */

static gw_status value_of(const amqp_field_value_t *field, unsigned depth, amqp_pool_t *pool,
                          gw_value *ret_value);

/* A NUL-terminated copy in the pool; NULL when out of memory. */
static char *text_of(amqp_bytes_t bytes, amqp_pool_t *pool)
{
    char *text = amqp_pool_alloc(pool, bytes.len + 1);
    if (text != NULL) {
        if (bytes.len > 0) {
            memcpy(text, bytes.bytes, bytes.len);
        }
        text[bytes.len] = '\0';
    }
    return text;
}

static gw_status name_of(amqp_bytes_t key, amqp_pool_t *pool, const char **ret_name)
{
    if (key.len == 0 || memchr(key.bytes, '\0', key.len) != NULL) {
        return GW_E_INVALID;
    }
    *ret_name = text_of(key, pool);
    return *ret_name == NULL ? GW_E_NOMEM : GW_OK;
}

static gw_status items_of_table(const amqp_table_t *table, unsigned depth, amqp_pool_t *pool,
                                gw_value *ret_value)
{
    size_t n = (size_t)table->num_entries;
    gw_header *items = amqp_pool_alloc(pool, (n + 1) * sizeof(*items));
    gw_status st = items == NULL ? GW_E_NOMEM : GW_OK;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        st = name_of(table->entries[i].key, pool, &items[i].name);
        if (st == GW_OK) {
            st = value_of(&table->entries[i].value, depth, pool, &items[i].value);
        }
    }
    ret_value->kind = GW_VALUE_TABLE;
    ret_value->as.table.items = items;
    ret_value->as.table.n_items = n;
    return st;
}

static gw_status items_of_array(const amqp_array_t *array, unsigned depth, amqp_pool_t *pool,
                                gw_value *ret_value)
{
    size_t n = (size_t)array->num_entries;
    gw_value *items = amqp_pool_alloc(pool, (n + 1) * sizeof(*items));
    gw_status st = items == NULL ? GW_E_NOMEM : GW_OK;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        st = value_of(&array->entries[i], depth, pool, &items[i]);
    }
    ret_value->kind = GW_VALUE_ARRAY;
    ret_value->as.array.items = items;
    ret_value->as.array.n_items = n;
    return st;
}

static gw_value int_value(int64_t integer)
{
    return (gw_value){.kind = GW_VALUE_INT, .as.integer = integer};
}

static gw_value double_value(double real)
{
    return (gw_value){.kind = GW_VALUE_DOUBLE, .as.real = real};
}

static gw_value unsigned_value(uint64_t uinteger)
{
    if (uinteger <= INT64_MAX) {
        return int_value((int64_t)uinteger);
    }
    return (gw_value){.kind = GW_VALUE_UINT, .as.uinteger = uinteger};
}

static gw_value decimal_value(amqp_decimal_t decimal)
{
    return (gw_value){.kind = GW_VALUE_DECIMAL,
                      .as.decimal = {.scale = decimal.decimals, .digits = decimal.value}};
}

/* TEXT is NUL-terminated when the message copies it; what is read here has a length. */
static gw_value bytes_value(gw_value_kind kind, amqp_bytes_t bytes)
{
    const char *data = bytes.len > 0 ? bytes.bytes : "";
    return (gw_value){.kind = kind, .as.bytes = {.data = data, .len = bytes.len}};
}

static gw_status value_of(const amqp_field_value_t *field, unsigned depth, amqp_pool_t *pool,
                          gw_value *ret_value)
{
    if (depth > GW_VALUE_DEPTH_MAX) {
        return GW_E_LIMIT;
    }
    switch (field->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        *ret_value = (gw_value){.kind = GW_VALUE_BOOL, .as.boolean = field->value.boolean != 0};
        return GW_OK;
    case AMQP_FIELD_KIND_I8: *ret_value = int_value(field->value.i8); return GW_OK;
    case AMQP_FIELD_KIND_U8: *ret_value = int_value(field->value.u8); return GW_OK;
    case AMQP_FIELD_KIND_I16: *ret_value = int_value(field->value.i16); return GW_OK;
    case AMQP_FIELD_KIND_U16: *ret_value = int_value(field->value.u16); return GW_OK;
    case AMQP_FIELD_KIND_I32: *ret_value = int_value(field->value.i32); return GW_OK;
    case AMQP_FIELD_KIND_U32: *ret_value = int_value(field->value.u32); return GW_OK;
    case AMQP_FIELD_KIND_I64: *ret_value = int_value(field->value.i64); return GW_OK;
    case AMQP_FIELD_KIND_U64: *ret_value = unsigned_value(field->value.u64); return GW_OK;
    case AMQP_FIELD_KIND_F32: *ret_value = double_value((double)field->value.f32); return GW_OK;
    case AMQP_FIELD_KIND_F64: *ret_value = double_value(field->value.f64); return GW_OK;
    case AMQP_FIELD_KIND_DECIMAL: *ret_value = decimal_value(field->value.decimal); return GW_OK;
    case AMQP_FIELD_KIND_TIMESTAMP:
        *ret_value = (gw_value){.kind = GW_VALUE_TIME, .as.uinteger = field->value.u64};
        return GW_OK;
    case AMQP_FIELD_KIND_UTF8:
        *ret_value = bytes_value(GW_VALUE_TEXT, field->value.bytes);
        return GW_OK;
    case AMQP_FIELD_KIND_BYTES:
        *ret_value = bytes_value(GW_VALUE_BYTES, field->value.bytes);
        return GW_OK;
    case AMQP_FIELD_KIND_ARRAY:
        return items_of_array(&field->value.array, depth + 1, pool, ret_value);
    case AMQP_FIELD_KIND_TABLE:
        return items_of_table(&field->value.table, depth + 1, pool, ret_value);
    default: *ret_value = (gw_value){.kind = GW_VALUE_NULL}; return GW_OK;
    }
}

gw_status gw__table_to_headers(const amqp_table_t *table, amqp_pool_t *pool, gw_message *msg,
                               size_t *ret_left_out)
{
    size_t left_out = 0;
    for (int i = 0; i < table->num_entries; i++) {
        const char *name = NULL;
        gw_value value;
        gw_status st = name_of(table->entries[i].key, pool, &name);
        if (st == GW_OK) {
            st = value_of(&table->entries[i].value, 0, pool, &value);
        }
        if (st == GW_OK && gw_message_n_headers(msg) >= HEADERS_MAX) {
            st = GW_E_LIMIT;
        }
        if (st == GW_OK) {
            st = gw_message_set_header(msg, name, &value);
        }
        if (st == GW_E_NOMEM) {
            return st;
        }
        left_out += st != GW_OK;
    }
    *ret_left_out = left_out;
    return GW_OK;
}
