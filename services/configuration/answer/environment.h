/* SPDX-License-Identifier: MIT */
/*
 * Which files make up an application's configuration, and in which order. The rules are Spring
 * Boot's: all plain files lie below all profile-specific ones; within each, later directories above
 * earlier ones, the shared "application" below the application; yaml below yml below xml below
 * properties; in a file, later documents above earlier ones. Of several labels the later lies above
 * the earlier; overrides lie above everything.
 */
#ifndef CS_ENVIRONMENT_H
#define CS_ENVIRONMENT_H

#include <godwit/buf.h>
#include <godwit/error.h>

#include "answer/request.h"
#include "files/document.h"
#include "repo/estate.h"

/* What the server decides for all requests. Immutable; outlives every environment. */
typedef struct cs_rules {
    const cs_property *overrides; /* the escapes \{ and \${ undone */
    size_t n_overrides;
    bool refuse_empty;        /* 404 for an application without any source */
    bool refuse_unknown;      /* 404 for one without a file of its own */
    bool skip_failing_labels; /* continue-on-multiple-label-failure */
    bool decrypt_text;        /* encrypt.plain-text-encrypt: {cipher} in plain files too */
    bool is_utf8_properties;  /* .properties are UTF-8 if they are valid as such */
    struct cs_keys *keys;     /* for {cipher}; NULL: values are passed on as they are */
} cs_rules;

/* A property source of the answer. */
typedef struct cs_source {
    const char *name;         /* "<uri>/<path>", " (document #1)" with several; unique */
    const char *path;         /* of the file; "" for overrides */
    const cs_property *items; /* in file order */
    size_t n_items;
} cs_source;

/* Immutable once loaded; may be used as long as the view it came from. */
typedef struct cs_environment {
    cs_source *sources; /* the highest precedence first */
    size_t n_sources;
    char *version; /* the commits joined with ','; NULL when there is none (a directory) */
    int64_t modified_s;
    bool is_stale; /* a repository could not be brought up to date */
    uint64_t age_ms;
    void *inside;     /* private: what the above points to */
    cs_arena *opened; /* private: what cs_environment_decrypt() made; wiped in the end */
} cs_environment;

/*
 * @return GW_OK, also when there is no file at all; GW_E_NOT_FOUND for an unknown label, and for no
 *         file at all with refuse_empty; GW_E_INVALID, GW_E_LIMIT, GW_E_DENIED or
 *         GW_E_UNSUPPORTED when a file is at fault, with its name and line; what
 *         cs_view_place() fails with.
 */
gw_status cs_environment_load(const cs_view *view, const cs_rules *rules, const cs_request *req,
                              cs_environment *ret_env, gw_error *err);

/* Accepts a zeroed struct. */
void cs_environment_dispose(cs_environment *env);

#endif
