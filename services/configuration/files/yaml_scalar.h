/* SPDX-License-Identifier: MIT */
/*
 * What a YAML 1.1 scalar means, by the rules that Java's readers use: 010 is 8, 1:30 is 90, "on" is
 * true, 1_000 is 1000, timestamps are text, "y" and "n" are text. Numbers come out as JSON.
 */
#ifndef CS_YAML_SCALAR_H
#define CS_YAML_SCALAR_H

#include <stdbool.h>

#include <godwit/status.h>

#include "files/arena.h"

typedef enum cs_scalar_type {
    CS_SCALAR_TEXT,
    CS_SCALAR_NUMBER,  /* text is a JSON number */
    CS_SCALAR_BOOLEAN, /* text is true or false */
    CS_SCALAR_NULL,    /* text is empty */
    CS_SCALAR_MERGE    /* the key "<<" */
} cs_scalar_type;

typedef struct cs_scalar {
    cs_scalar_type type;
    cs_text text;
} cs_scalar;

/*
 * @param arena    for the text of numbers.
 * @param text     borrowed; the result may point to it.
 * @param tag      as libyaml gives it ("tag:yaml.org,2002:int", "!"), or NULL.
 * @param is_plain written without quotes, so that its form says its type.
 * @return GW_OK; GW_E_UNSUPPORTED for another tag; GW_E_INVALID when the text does not fit the tag;
 *         GW_E_LIMIT, GW_E_NOMEM from the arena.
 */
gw_status cs_scalar_resolve(cs_arena *arena, cs_text text, const char *tag, bool is_plain,
                            cs_scalar *ret_scalar);

#endif
