/* SPDX-License-Identifier: MIT */
#include "config_show.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/secret.h>
#include <godwit/url.h>

#include "answer/keys.h"
#include "text.h"

void config_value_write(const json_t *value, gw_buf *out)
{
    if (json_is_string(value)) {
        gw_buf_add(out, json_string_value(value), json_string_length(value));
        return;
    }
    char *text = value != NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    gw_buf_add_str(out, text != NULL ? text : "");
    free(text);
}

void config_value_show(const char *key, const json_t *value, bool show_secrets, gw_buf *out)
{
    gw_buf plain;
    gw_buf shown;
    gw_buf_init(&plain, 0);
    gw_buf_init(&shown, 0);
    config_value_write(value, &plain);
    const char *text = plain.data != NULL ? plain.data : "";
    if (show_secrets || plain.len == 0) {
        gw_buf_add(&shown, text, plain.len);
    } else if (cs_value_is_cipher((cs_text){text, plain.len})) {
        gw_buf_add_str(&shown, "{cipher}***");
    } else if (gw_secret_is_named(key, strlen(key))) {
        gw_buf_add_str(&shown, "***");
    } else if (strstr(text, "://") != NULL) {
        gw_url_mask(&shown, text);
    } else {
        gw_buf_add(&shown, text, plain.len);
    }
    text_add_safe(out, shown.data != NULL ? shown.data : "", shown.len, TEXT_LINE);
    if (plain.data != NULL) {
        explicit_bzero(plain.data, plain.cap);
    }
    gw_buf_dispose(&plain);
    gw_buf_dispose(&shown);
}
