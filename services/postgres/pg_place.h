/* SPDX-License-Identifier: MIT */
/* Where a database is: the URL of a key such as `account_store`, taken apart and checked. */
#ifndef POSTGRES_PG_PLACE_H
#define POSTGRES_PG_PLACE_H

#include <stdbool.h>

#include <godwit/error.h>
#include <godwit/url.h>

#define PG_PARAMS_MAX 32

/* Immutable once made. */
typedef struct pg_place {
    gw_url url;
    /* For PQconnectStartParams(), NULL behind the last; host and port come before them. */
    const char *keywords[PG_PARAMS_MAX + 1];
    const char *values[PG_PARAMS_MAX + 1];
    char *texts[PG_PARAMS_MAX]; /* decoded values of the query */
    size_t n_params;
    char *password;         /* NULL: none; what no error text may show */
    const char *socket_dir; /* the query's "host": of a Unix socket, instead of the URL's hosts */
    unsigned connect_ms;    /* for one host */
    char shown[256];        /* host:port[,...]/database, for people */
} pg_place;

/* Whether a text names a database and not a directory: it has a scheme. */
bool pg_place_is_url(const char *text);

/* What a setting should be, when it is not: for <godwit/settings.h>. */
const char *pg_place_check(const char *text);

/**
 * @param url "postgresql://user[:password]@host[:port][,host[:port]]/database[?param=value&...]"
 * @param password    of the user, if it is not in the URL; NULL or empty for none.
 * @param application what the server shows as application_name.
 * @return GW_OK; GW_E_INVALID, without a secret in its text; GW_E_NOMEM.
 */
gw_status pg_place_init(pg_place *place, const char *url, const char *password,
                        const char *application, gw_error *err);

/* Hosts to try: one for a Unix socket. */
size_t pg_place_n_hosts(const pg_place *place);

/* Accepts one that is zeroed. */
void pg_place_dispose(pg_place *place);

#endif
