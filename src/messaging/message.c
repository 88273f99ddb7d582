/* SPDX-License-Identifier: MIT */
/*
 * A message lives in one allocation where it can: the struct, then the body, then its texts; later
 * additions go to further chunks. It is freed as a whole, so replacing a property by a longer one
 * leaves the old bytes until then.
 */
#include "messaging/message.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SPARE 256
#define CHUNK_LEN   512

/* What a value takes on the wire, about, and a named one: more items than fit are refused before
 * memory is taken for them. */
#define VALUE_SIZE GW__VALUE_SIZE
#define FIELD_SIZE (VALUE_SIZE + 1)

typedef struct chunk {
    struct chunk *next;
    size_t used;
    size_t cap;
    _Alignas(max_align_t) char bytes[];
} chunk;

struct gw_message {
    char *texts[GW__N_TEXTS];
    char *body;
    size_t body_len;
    gw_header *headers;
    size_t n_headers;
    size_t headers_cap;
    size_t headers_size;
    uint64_t timestamp;
    int64_t expiration_ms;
    unsigned attempt;
    uint8_t priority;
    bool persistent;
    bool mandatory;
    bool redelivered;
    chunk *more; /* newest first */
    chunk first; /* last member: its bytes follow */
};

static void *carve(chunk *from, size_t len, size_t align)
{
    size_t at = (from->used + align - 1) & ~(align - 1);
    if (at > from->cap || len > from->cap - at) {
        return NULL;
    }
    from->used = at + len;
    return from->bytes + at;
}

/* Memory that lives as long as the message; NULL when there is none. */
static void *take(gw_message *msg, size_t len, size_t align)
{
    void *place = carve(&msg->first, len, align);
    if (place == NULL && msg->more != NULL) {
        place = carve(msg->more, len, align);
    }
    if (place != NULL) {
        return place;
    }
    size_t cap = len > CHUNK_LEN ? len : CHUNK_LEN;
    chunk *next = malloc(sizeof(*next) + cap);
    if (next == NULL) {
        return NULL;
    }
    next->next = msg->more;
    next->used = 0;
    next->cap = cap;
    msg->more = next;
    return carve(next, len, align);
}

void *gw__message_take(gw_message *msg, size_t len, size_t align)
{
    return take(msg, len, align);
}

static char *copy_bytes(gw_message *msg, const char *bytes, size_t len)
{
    char *copy = take(msg, len + 1, 1);
    if (copy == NULL) {
        return NULL;
    }
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    copy[len] = '\0';
    return copy;
}

gw_message *gw__message_new_sized(size_t body_len, size_t spare)
{
    if (body_len > GW_MESSAGE_BODY_MAX) {
        return NULL;
    }
    size_t cap = body_len + 1 + spare;
    gw_message *msg = malloc(sizeof(*msg) + cap);
    if (msg == NULL) {
        return NULL;
    }
    memset(msg, 0, sizeof(*msg));
    msg->first.cap = cap;
    msg->first.used = body_len + 1;
    msg->body = msg->first.bytes;
    msg->body[body_len] = '\0'; /* a text body can be printed as it is */
    msg->body_len = body_len;
    msg->persistent = true;
    msg->expiration_ms = -1;
    msg->attempt = 1;
    return msg;
}

char *gw__message_body_buffer(gw_message *msg)
{
    return msg->body;
}

gw_message *gw_message_new(const void *body, size_t len)
{
    if (body == NULL && len > 0) {
        return NULL;
    }
    gw_message *msg = gw__message_new_sized(len, FIRST_SPARE);
    if (msg != NULL && len > 0) {
        memcpy(msg->body, body, len);
    }
    return msg;
}

void gw_message_free(gw_message *msg)
{
    if (msg == NULL) {
        return;
    }
    chunk *next;
    for (chunk *it = msg->more; it != NULL; it = next) {
        next = it->next;
        free(it);
    }
    free(msg);
}

/* ---- texts and numbers ------------------------------------------------- */

gw_status gw__message_set_text(gw_message *msg, gw__text which, const char *text, size_t len)
{
    if (len > GW_MESSAGE_TEXT_MAX) {
        return GW_E_LIMIT;
    }
    if (len > 0 && memchr(text, '\0', len) != NULL) {
        return GW_E_INVALID;
    }
    char *old = msg->texts[which];
    if (old != NULL && strlen(old) >= len) { /* a message sent again and again does not grow */
        memmove(old, text, len);
        old[len] = '\0';
        return GW_OK;
    }
    char *copy = copy_bytes(msg, text, len);
    if (copy == NULL) {
        return GW_E_NOMEM;
    }
    msg->texts[which] = copy;
    return GW_OK;
}

static gw_status set_text(gw_message *msg, gw__text which, const char *text)
{
    if (text == NULL) {
        msg->texts[which] = NULL;
        return GW_OK;
    }
    return gw__message_set_text(msg, which, text, strnlen(text, GW_MESSAGE_TEXT_MAX + 1));
}

#define TEXT_PROPERTY(name, which)                                                                 \
    const char *gw_message_##name(const gw_message *msg)                                           \
    {                                                                                              \
        return msg->texts[which];                                                                  \
    }                                                                                              \
    gw_status gw_message_set_##name(gw_message *msg, const char *text)                             \
    {                                                                                              \
        return set_text(msg, which, text);                                                         \
    }

TEXT_PROPERTY(content_type, GW__TEXT_CONTENT_TYPE)
TEXT_PROPERTY(content_encoding, GW__TEXT_CONTENT_ENCODING)
TEXT_PROPERTY(id, GW__TEXT_ID)
TEXT_PROPERTY(correlation_id, GW__TEXT_CORRELATION_ID)
TEXT_PROPERTY(reply_to, GW__TEXT_REPLY_TO)
TEXT_PROPERTY(type, GW__TEXT_TYPE)
TEXT_PROPERTY(app_id, GW__TEXT_APP_ID)
TEXT_PROPERTY(user_id, GW__TEXT_USER_ID)
TEXT_PROPERTY(routing_key, GW__TEXT_ROUTING_KEY)

#undef TEXT_PROPERTY

char *const *gw__message_texts(const gw_message *msg)
{
    return msg->texts;
}

const void *gw_message_body(const gw_message *msg, size_t *ret_len)
{
    if (ret_len != NULL) {
        *ret_len = msg->body_len;
    }
    return msg->body;
}

bool gw_message_is_persistent(const gw_message *msg)
{
    return msg->persistent;
}

void gw_message_set_persistent(gw_message *msg, bool on)
{
    msg->persistent = on;
}

bool gw_message_is_mandatory(const gw_message *msg)
{
    return msg->mandatory;
}

void gw_message_set_mandatory(gw_message *msg, bool on)
{
    msg->mandatory = on;
}

uint8_t gw_message_priority(const gw_message *msg)
{
    return msg->priority;
}

void gw_message_set_priority(gw_message *msg, uint8_t priority)
{
    msg->priority = priority;
}

uint64_t gw_message_timestamp(const gw_message *msg)
{
    return msg->timestamp;
}

void gw_message_set_timestamp(gw_message *msg, uint64_t unix_s)
{
    msg->timestamp = unix_s;
}

int64_t gw_message_expiration_ms(const gw_message *msg)
{
    return msg->expiration_ms;
}

void gw_message_set_expiration_ms(gw_message *msg, int64_t ms)
{
    msg->expiration_ms = ms < 0 ? -1 : ms;
}

/* ---- headers ------------------------------------------------------------ */

static gw_status copy_value(gw_message *msg, const gw_value *from, gw_value *to, unsigned depth,
                            size_t *size);

static gw_status copy_header(gw_message *msg, const gw_header *from, gw_header *to, unsigned depth,
                             size_t *size)
{
    size_t len = strnlen(from->name, GW_MESSAGE_TEXT_MAX + 1);
    if (len > GW_MESSAGE_TEXT_MAX) {
        return GW_E_LIMIT;
    }
    *size += len + 1;
    to->name = copy_bytes(msg, from->name, len);
    return to->name == NULL ? GW_E_NOMEM : copy_value(msg, &from->value, &to->value, depth, size);
}

static gw_status copy_array(gw_message *msg, const gw_value *from, gw_value *to, unsigned depth,
                            size_t *size)
{
    size_t n = from->as.array.n_items;
    if (n > (GW_MESSAGE_HEADERS_MAX - *size) / VALUE_SIZE) {
        return GW_E_LIMIT;
    }
    gw_value *items = take(msg, (n + 1) * sizeof(*items), _Alignof(gw_value));
    gw_status st = items == NULL ? GW_E_NOMEM : GW_OK;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        st = copy_value(msg, &from->as.array.items[i], &items[i], depth + 1, size);
    }
    to->as.array.items = items;
    return st;
}

static gw_status copy_table(gw_message *msg, const gw_value *from, gw_value *to, unsigned depth,
                            size_t *size)
{
    size_t n = from->as.table.n_items;
    if (n > (GW_MESSAGE_HEADERS_MAX - *size) / FIELD_SIZE) {
        return GW_E_LIMIT;
    }
    gw_header *items = take(msg, (n + 1) * sizeof(*items), _Alignof(gw_header));
    gw_status st = items == NULL ? GW_E_NOMEM : GW_OK;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        st = copy_header(msg, &from->as.table.items[i], &items[i], depth + 1, size);
    }
    to->as.table.items = items;
    return st;
}

/* Deep copy; `size` adds up what it takes on the wire, about. */
static gw_status copy_value(gw_message *msg, const gw_value *from, gw_value *to, unsigned depth,
                            size_t *size)
{
    if (depth > GW_VALUE_DEPTH_MAX) {
        return GW_E_LIMIT;
    }
    *to = *from;
    *size += VALUE_SIZE;
    if (*size > GW_MESSAGE_HEADERS_MAX) {
        return GW_E_LIMIT;
    }
    switch (from->kind) {
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES:
        *size += from->as.bytes.len;
        if (from->as.bytes.len > GW_MESSAGE_HEADERS_MAX || *size > GW_MESSAGE_HEADERS_MAX) {
            return GW_E_LIMIT;
        }
        to->as.bytes.data = copy_bytes(msg, from->as.bytes.data, from->as.bytes.len);
        return to->as.bytes.data == NULL ? GW_E_NOMEM : GW_OK;
    case GW_VALUE_ARRAY: return copy_array(msg, from, to, depth, size);
    case GW_VALUE_TABLE: return copy_table(msg, from, to, depth, size);
    default: return GW_OK;
    }
}

static gw_header *find_header(const gw_message *msg, const char *name)
{
    for (size_t i = 0; i < msg->n_headers; i++) {
        if (strcmp(msg->headers[i].name, name) == 0) {
            return &msg->headers[i];
        }
    }
    return NULL;
}

static bool reserve_headers(gw_message *msg, size_t cap)
{
    gw_header *headers = take(msg, cap * sizeof(*headers), _Alignof(gw_header));
    if (headers == NULL) {
        return false;
    }
    if (msg->n_headers > 0) {
        memcpy(headers, msg->headers, msg->n_headers * sizeof(*headers));
    }
    msg->headers = headers;
    msg->headers_cap = cap;
    return true;
}

static bool reserve_header(gw_message *msg)
{
    return msg->n_headers < msg->headers_cap ||
           reserve_headers(msg, msg->headers_cap == 0 ? 4 : msg->headers_cap * 2);
}

gw_status gw__message_reserve_headers(gw_message *msg, size_t n_headers)
{
    size_t free_slots = msg->headers_cap - msg->n_headers;
    if (n_headers <= free_slots) {
        return GW_OK;
    }
    if (n_headers > GW_MESSAGE_HEADERS_MAX / FIELD_SIZE) {
        return GW_E_LIMIT;
    }
    return reserve_headers(msg, msg->n_headers + n_headers) ? GW_OK : GW_E_NOMEM;
}

gw_status gw__message_adopt_header(gw_message *msg, const gw_header *header, size_t size)
{
    if (header->name[0] == '\0') {
        return GW_E_INVALID;
    }
    if (size > GW_MESSAGE_HEADERS_MAX - msg->headers_size) {
        return GW_E_LIMIT;
    }
    if (find_header(msg, header->name) != NULL) {
        return GW_E_EXISTS;
    }
    if (!reserve_header(msg)) {
        return GW_E_NOMEM;
    }
    msg->headers[msg->n_headers++] = *header;
    msg->headers_size += size;
    return GW_OK;
}

gw_status gw_message_set_header(gw_message *msg, const char *name, const gw_value *value)
{
    if (name == NULL || name[0] == '\0' || value == NULL) {
        return GW_E_INVALID;
    }
    gw_header header = {.name = name, .value = *value};
    gw_header copy;
    size_t size = msg->headers_size; /* a replaced header still counts: its bytes are still here */
    gw_status st = copy_header(msg, &header, &copy, 0, &size);
    if (st != GW_OK) {
        return st;
    }
    gw_header *slot = find_header(msg, name);
    if (slot == NULL) {
        if (!reserve_header(msg)) {
            return GW_E_NOMEM;
        }
        slot = &msg->headers[msg->n_headers++];
    }
    *slot = copy;
    msg->headers_size = size;
    return GW_OK;
}

gw_status gw_message_set_header_text(gw_message *msg, const char *name, const char *text)
{
    if (text == NULL) {
        return GW_E_INVALID;
    }
    gw_value value = {.kind = GW_VALUE_TEXT, .as.bytes = {.data = text, .len = strlen(text)}};
    return gw_message_set_header(msg, name, &value);
}

gw_status gw_message_set_header_int(gw_message *msg, const char *name, int64_t number)
{
    gw_value value = {.kind = GW_VALUE_INT, .as.integer = number};
    return gw_message_set_header(msg, name, &value);
}

size_t gw__message_headers_size(const gw_message *msg)
{
    return msg->headers_size;
}

size_t gw_message_n_headers(const gw_message *msg)
{
    return msg->n_headers;
}

const gw_header *gw_message_header_at(const gw_message *msg, size_t i)
{
    return i < msg->n_headers ? &msg->headers[i] : NULL;
}

const gw_value *gw_message_header(const gw_message *msg, const char *name)
{
    const gw_header *header = find_header(msg, name);
    return header == NULL ? NULL : &header->value;
}

const char *gw_message_header_text(const gw_message *msg, const char *name)
{
    const gw_value *value = gw_message_header(msg, name);
    return value != NULL && value->kind == GW_VALUE_TEXT ? value->as.bytes.data : NULL;
}

int64_t gw_message_header_int(const gw_message *msg, const char *name, int64_t otherwise)
{
    const gw_value *value = gw_message_header(msg, name);
    return value != NULL && value->kind == GW_VALUE_INT ? value->as.integer : otherwise;
}

/* ---- received messages and copies ---------------------------------------- */

const char *gw_message_exchange(const gw_message *msg)
{
    return msg->texts[GW__TEXT_EXCHANGE];
}

const char *gw_message_queue(const gw_message *msg)
{
    return msg->texts[GW__TEXT_QUEUE];
}

bool gw_message_is_redelivered(const gw_message *msg)
{
    return msg->redelivered;
}

void gw__message_set_redelivered(gw_message *msg, bool on)
{
    msg->redelivered = on;
}

unsigned gw_message_attempt(const gw_message *msg)
{
    return msg->attempt;
}

void gw__message_set_attempt(gw_message *msg, unsigned attempt)
{
    msg->attempt = attempt;
}

size_t gw__message_size(const gw_message *msg)
{
    size_t size = sizeof(*msg) + msg->first.cap;
    for (const chunk *it = msg->more; it != NULL; it = it->next) {
        size += sizeof(*it) + it->cap;
    }
    return size;
}

gw_message *gw_message_dup(const gw_message *msg)
{
    size_t spare = 0;
    for (int i = 0; i < GW__TEXT_EXCHANGE; i++) {
        spare += msg->texts[i] == NULL ? 0 : strlen(msg->texts[i]) + 1;
    }
    gw_message *copy = gw__message_new_sized(msg->body_len, spare);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy->body, msg->body, msg->body_len);
    copy->timestamp = msg->timestamp;
    copy->expiration_ms = msg->expiration_ms;
    copy->priority = msg->priority;
    copy->persistent = msg->persistent;
    copy->mandatory = msg->mandatory;
    gw_status st = GW_OK;
    for (int i = 0; st == GW_OK && i < GW__TEXT_EXCHANGE; i++) {
        st = msg->texts[i] == NULL ? GW_OK : set_text(copy, (gw__text)i, msg->texts[i]);
    }
    for (size_t i = 0; st == GW_OK && i < msg->n_headers; i++) {
        st = gw_message_set_header(copy, msg->headers[i].name, &msg->headers[i].value);
    }
    if (st != GW_OK) {
        gw_message_free(copy);
        return NULL;
    }
    return copy;
}
