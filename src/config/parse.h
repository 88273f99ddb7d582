/* SPDX-License-Identifier: MIT */
/* A value's text read as a kind, and what a person is told when it is none. Knows no snapshot. */
#ifndef GW_CONFIG_PARSE_H
#define GW_CONFIG_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/buf.h>
#include <godwit/error.h>

/* A value and where it comes from; all borrowed. */
typedef struct gw__text {
    const char *key;
    const char *value;
    const char *origin;
    bool secret; /* shown to nobody, whatever the key is called */
} gw__text;

/* Append the value as people may see it: "***" for a secret one, URLs without their passwords. */
void gw__text_show(const gw__text *text, gw_buf *out);

/* GW_E_INVALID: "key 'k' = 'v' from o is not <what>". */
gw_status gw__text_wrong(const gw__text *text, const char *what, gw_error *err);

/* Outputs are written on success only; GW_E_INVALID otherwise. Blanks around are ignored. */
gw_status gw__text_int(const gw__text *text, int64_t min, int64_t max, int64_t *ret_value,
                       gw_error *err);
gw_status gw__text_bool(const gw__text *text, bool *ret_value, gw_error *err);
gw_status gw__text_duration_ms(const gw__text *text, uint64_t min_ms, uint64_t max_ms,
                               uint64_t *ret_ms, gw_error *err);
gw_status gw__text_size(const gw__text *text, uint64_t min, uint64_t max, uint64_t *ret_bytes,
                        gw_error *err);

/* One of the words; `ret_index` says which. What YAML 1.1 makes of a bare off, on, no or yes is
 * taken back. */
gw_status gw__text_word(const gw__text *text, const char *const *words, size_t *ret_index,
                        gw_error *err);

#endif
