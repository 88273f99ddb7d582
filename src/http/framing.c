/* SPDX-License-Identifier: MIT */
#include "http/framing.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct look {
    unsigned n_hosts;
    unsigned n_lengths;
    unsigned n_encodings;
    bool is_chunked;
    size_t body_len;
    const char *fault;
} look;

static bool is_name(const char *name, size_t name_len, const char *wanted, size_t wanted_len)
{
    return name_len == wanted_len && strncasecmp(name, wanted, wanted_len) == 0;
}

#define IS(name, len, literal) is_name(name, len, literal, sizeof(literal) - 1)

/* Digits alone; what does not fit is larger than any limit. */
static size_t parse_length(const char *text, size_t len, const char **ret_fault)
{
    size_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            *ret_fault = "Content-Length is not a number";
            return 0;
        }
        size_t digit = (size_t)(text[i] - '0');
        value = value > (SIZE_MAX - digit) / 10 ? SIZE_MAX : value * 10 + digit;
    }
    if (len == 0) {
        *ret_fault = "Content-Length is empty";
    }
    return value;
}

static enum MHD_Result on_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    look *l = ctx;
    if (memchr(name, ' ', name_len) != NULL || memchr(name, '\t', name_len) != NULL ||
        name_len == 0) {
        l->fault = "a header's name is empty or has a blank";
    } else if (IS(name, name_len, "Host")) {
        l->n_hosts++;
    } else if (IS(name, name_len, "Content-Length")) {
        l->n_lengths++;
        l->body_len = parse_length(value, value_len, &l->fault);
    } else if (IS(name, name_len, "Transfer-Encoding")) {
        l->n_encodings++;
        l->is_chunked = IS(value, value_len, "chunked");
    }
    return MHD_YES;
}

gw__http_framing gw__http_framing_of(struct MHD_Connection *mhd, const char *version)
{
    look l = {0};
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, on_header, &l);
    if (l.fault != NULL) {
        return (gw__http_framing){0, l.fault};
    }
    if (l.n_hosts > 1 || (l.n_hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0)) {
        l.fault = "a request needs one Host header";
    } else if (l.n_lengths > 1) {
        l.fault = "more than one Content-Length";
    } else if (l.n_encodings > 0 && l.n_lengths > 0) {
        l.fault = "both Content-Length and Transfer-Encoding";
    } else if (l.n_encodings > 1 || (l.n_encodings == 1 && !l.is_chunked)) {
        l.fault = "the only Transfer-Encoding understood is chunked";
    }
    return (gw__http_framing){l.body_len, l.fault};
}
