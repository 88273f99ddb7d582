/* SPDX-License-Identifier: MIT */
#include "support/place.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>

#include "postgres/pg_conn.h"

static pg_place place;
static pg_conn *conn;
static char schema[64];
static char where[GW_URL_MAX];

static const char *url_of_server(void)
{
    const char *url = getenv("GODWIT_TEST_POSTGRES_URL");
    if (url == NULL) {
        fprintf(stderr, "GODWIT_TEST_POSTGRES_URL is not set: this suite needs a PostgreSQL, such "
                        "as one of script/postgres\n");
        exit(1);
    }
    return url;
}

static void fail(const char *what, const gw_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

const char *place_sql(const char *format, ...)
{
    static char value[512];
    char sql[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    const pg_call call = {.sql = sql};
    PGresult *result;
    gw_error err = GW_ERROR_INIT;
    if (pg_run(conn, &call, 1, &result, &err) != GW_OK) {
        fail(sql, &err);
    }
    size_t n = pg_n_rows(conn, result);
    snprintf(value, sizeof(value), "%s", n > 0 ? pg_text(conn, result, n - 1, 0) : "");
    pg_clear(conn, &result, 1);
    return value;
}

const char *place_make(void)
{
    static unsigned n_made;
    gw_error err = GW_ERROR_INIT;
    if (pg_place_init(&place, url_of_server(), NULL, "test", &err) != GW_OK) {
        fail("GODWIT_TEST_POSTGRES_URL", &err);
    }
    pg_conn_options options = {
        .place = &place, .timeout_ms = 20000, .deadline_ms = gw_clock_ms() + 20000};
    if (pg_conn_open(&options, &conn, &err) != GW_OK) {
        fail("GODWIT_TEST_POSTGRES_URL", &err);
    }
    snprintf(schema, sizeof(schema), "test_%d_%u", (int)getpid(), n_made++);
    place_sql("DROP SCHEMA IF EXISTS %s CASCADE", schema);
    place_sql("CREATE SCHEMA %s", schema);
    place_sql("SET search_path = %s", schema);
    snprintf(where, sizeof(where), "%s%coptions=-csearch_path%%3D%s", url_of_server(),
             place.url.query != NULL ? '&' : '?', schema);
    return where;
}

void place_remove(void)
{
    place_sql("DROP SCHEMA %s CASCADE", schema);
    pg_conn_close(conn);
    conn = NULL;
    pg_place_dispose(&place);
}
