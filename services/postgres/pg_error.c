/* SPDX-License-Identifier: MIT */
#include "postgres/pg_error.h"

#include <string.h>

#include <godwit/buf.h>

#define MESSAGE_MAX 400
#define SECRET_MIN  3 /* a shorter password is a part of many words */

gw_status pg_error_status(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        gw_status st;
    } rows[] = {
        {"08", GW_E_UNAVAILABLE},    /* connection */
        {"57P", GW_E_UNAVAILABLE},   /* shut down, or starting */
        {"25006", GW_E_UNAVAILABLE}, /* read only: no longer the primary */
        {"25P03", GW_E_UNAVAILABLE}, /* idle in a transaction, so the server closed it */
        {"53300", GW_E_UNAVAILABLE}, /* too many connections */
        {"53100", GW_E_NO_SPACE},    {"57014", GW_E_TIMEOUT}, /* statement_timeout */
        {"55P03", GW_E_TIMEOUT},                              /* lock_timeout */
        {"40", GW_E_BUSY},           {"28", GW_E_DENIED},
        {"42501", GW_E_DENIED},      {"3D000", GW_E_NOT_FOUND}, /* no such database */
        {"42P01", GW_E_NOT_FOUND},                              /* no such table */
        {"0A000", GW_E_UNSUPPORTED}, {"22", GW_E_INVALID},
    };
    for (size_t i = 0; sqlstate != NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strncmp(sqlstate, rows[i].prefix, strlen(rows[i].prefix)) == 0) {
            return rows[i].st;
        }
    }
    return GW_E_IO;
}

/* Append the message's lines as one, without the password. */
static void add_clean(gw_buf *out, const char *message, const char *password)
{
    size_t secret_len = password != NULL ? strlen(password) : 0;
    bool is_secret = secret_len >= SECRET_MIN;
    size_t len = strlen(message);
    while (len > 0 && (message[len - 1] == '\n' || message[len - 1] == ' ')) {
        len--;
    }
    for (size_t i = 0; i < len;) {
        if (is_secret && len - i >= secret_len && memcmp(message + i, password, secret_len) == 0) {
            gw_buf_add_str(out, "***");
            i += secret_len;
            continue;
        }
        bool is_blank = message[i] == '\n' || message[i] == '\t';
        gw_buf_add_char(out, is_blank ? ' ' : message[i]);
        i++;
    }
}

gw_status pg_error_set(gw_error *err, gw_status st, const pg_place *place, const char *message)
{
    gw_buf clean;
    gw_buf_init(&clean, 0);
    add_clean(&clean, message != NULL ? message : "", place->password);
    const char *text = clean.len > 0 ? clean.data : gw_status_text(st);
    gw_error_set(err, st, 0, "the database at %s: %.*s", place->shown, MESSAGE_MAX, text);
    gw_buf_dispose(&clean);
    return st;
}

gw_status pg_error_of_result(gw_error *err, const pg_place *place, const pq_library *pq,
                             const PGresult *result)
{
    const char *sqlstate = pq->result_error_field(result, PG_DIAG_SQLSTATE);
    const char *message = pq->result_error_field(result, PG_DIAG_MESSAGE_PRIMARY);
    gw_status st = pg_error_status(sqlstate);
    if (sqlstate != NULL && strcmp(sqlstate, "26000") == 0) {
        message = "a prepared statement has gone: a pooler in transaction mode needs to keep them, "
                  "see docs/stores.md";
    }
    return pg_error_set(err, st, place, message);
}
