/* SPDX-License-Identifier: MIT */
/*
 * From the parts of a GET's path, its query and its headers to what is asked for. Which pattern a
 * path belongs to is decided here and not by the router, since some patterns share a segment:
 * "/{label}/{name}-{profiles}.yml" is one of the forms of "/{name}/{profiles}".
 */
#ifndef CS_QUERY_H
#define CS_QUERY_H

#include <stdbool.h>

#include <godwit/error.h>

#include "answer/request.h"

typedef enum cs_form {
    CS_FORM_ENVIRONMENT,         /* JSON */
    CS_FORM_ENVIRONMENT_ORIGINS, /* JSON, V2 */
    CS_FORM_PROPERTIES,
    CS_FORM_YAML,
    CS_FORM_JSON,
    CS_FORM_EXPLAIN_JSON,
    CS_FORM_EXPLAIN_PAGE,
    CS_FORM_TEXT, /* a file, placeholders resolved */
    CS_FORM_BYTES /* a file as it is */
} cs_form;

typedef struct cs_query {
    cs_form form;
    cs_request names;
    bool keep_placeholders;           /* ?resolvePlaceholders=false */
    bool is_latin1;                   /* the file is ISO-8859-1; CS_FORM_TEXT */
    const char *key;                  /* explain these only: keys with this text; NULL: all.
                                         Borrowed */
    char path[CS_PATH_BYTES_MAX + 1]; /* of a file, checked; "" in other forms */
} cs_query;

/* A request, decoded once; what is absent is NULL. Borrowed. */
typedef struct cs_asked {
    const char *first; /* segments of the path */
    const char *second;
    const char *third;
    const char *rest;                 /* what lies below the third, with its slashes */
    const char *use_default_label;    /* of the query; it counts if it is there */
    const char *resolve_placeholders; /* of the query */
    const char *key;                  /* of the query */
    const char *accept;               /* headers */
    const char *accept_charset;
} cs_asked;

/*
 * Every GET route but those of the next function.
 *
 * @return GW_OK; GW_E_NOT_FOUND when no route has such a path; GW_E_INVALID for a name, profile,
 *         label or path that is none, or a query that means nothing. The text says what is wrong.
 */
gw_status cs_query_read(cs_query *query, const cs_asked *asked, gw_error *err);

/* /explain/{first}/{second}[/{third}]. */
gw_status cs_query_read_explain(cs_query *query, const cs_asked *asked, gw_error *err);

#endif
