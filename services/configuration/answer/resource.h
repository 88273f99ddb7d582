/* SPDX-License-Identifier: MIT */
/*
 * Plain files of a repository: a configuration of nginx or logback, with the placeholders in it
 * resolved from the environment that is asked for.
 */
#ifndef CS_RESOURCE_H
#define CS_RESOURCE_H

#include <godwit/buf.h>
#include <godwit/error.h>

#include "answer/environment.h"
#include "answer/query.h"

typedef struct cs_resource {
    gw_buf body;
    bool is_text; /* UTF-8; otherwise bytes as they are in the file, whatever was asked for */
    char version[CS_COMMIT_LEN + 1]; /* "" for a directory */
    int64_t modified_s;
    bool is_stale;
    uint64_t age_ms;
} cs_resource;

/*
 * Read query->path. The directories are tried in order, and in each, for each profile,
 * "file-profile.ext" and in the end "file.ext"; of several labels the last is tried first. With
 * CS_FORM_TEXT the file is decoded, {cipher} values of .json, .yml, .yaml and .properties are
 * opened if the rules say so, and placeholders are resolved unless the query keeps them. What is
 * not text, because it holds a NUL or is not in its charset, stays as it is.
 *
 * @return GW_OK; GW_E_NOT_FOUND for a label or a file; GW_E_INVALID, GW_E_LIMIT, GW_E_DENIED when a
 *         file is at fault, with its name; what cs_view_place() and cs_environment_load() fail
 * with.
 */
gw_status cs_resource_load(const cs_view *view, const cs_rules *rules, const cs_query *query,
                           cs_resource *ret_resource, gw_error *err);

void cs_resource_dispose(cs_resource *resource); /* accepts a zeroed struct */

#endif
