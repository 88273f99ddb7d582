/* SPDX-License-Identifier: MIT */
#include "postgres/pg_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_DEFAULT_S 3
#define CONNECT_MAX_S     60

/* Of libpq's parameters those that say how to reach the server. The others are ours to set (such as
 * client_encoding), or would be secrets in a URL. */
static const char *const allowed[] = {
    "application_name",
    "channel_binding",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "options",
    "require_auth",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "ssl_min_protocol_version",
    "target_session_attrs",
    "tcp_user_timeout",
};

bool pg_place_is_url(const char *text)
{
    return strstr(text, "://") != NULL;
}

/* ---- parameters ------------------------------------------------------------------------ */

static bool has_param(const pg_place *place, const char *keyword)
{
    for (size_t i = 0; i < place->n_params; i++) {
        if (strcmp(place->keywords[i], keyword) == 0) {
            return true;
        }
    }
    return false;
}

/* Room is left for those of ours: see PG_PARAMS_MAX. */
static void add_param(pg_place *place, const char *keyword, const char *value)
{
    if (value != NULL && place->n_params < PG_PARAMS_MAX && !has_param(place, keyword)) {
        place->keywords[place->n_params] = keyword;
        place->values[place->n_params++] = value;
    }
}

static const char *find_allowed(const char *name)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        if (strcmp(name, allowed[i]) == 0) {
            return allowed[i];
        }
    }
    return NULL;
}

static gw_status set_connect_timeout(pg_place *place, const char *value, gw_error *err)
{
    char *end;
    unsigned long seconds = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || seconds < 1 ||
        seconds > CONNECT_MAX_S) {
        return gw_error_set(err, GW_E_INVALID, 0, "connect_timeout: not 1 to %d seconds",
                            CONNECT_MAX_S);
    }
    place->connect_ms = (unsigned)seconds * 1000;
    return GW_OK;
}

/* One "name=value" of the query; `value` is kept. */
static gw_status take_param(pg_place *place, const char *name, char *value, gw_error *err)
{
    if (strcmp(name, "connect_timeout") == 0) {
        return set_connect_timeout(place, value, err);
    }
    if (strcmp(name, "host") == 0) {
        place->socket_dir = value;
        return value[0] == '/' ? GW_OK
                               : gw_error_set(err, GW_E_INVALID, 0,
                                              "host: in the query only the directory of a Unix "
                                              "socket; other hosts are named before the database");
    }
    if (strstr(name, "password") != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "%s: a password has no place in the query; use the key store_password",
                            name);
    }
    const char *keyword = find_allowed(name);
    if (keyword == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "unknown parameter '%.40s'", name);
    }
    add_param(place, keyword, value);
    return GW_OK;
}

static gw_status take_pair(pg_place *place, const char *pair, size_t len, gw_error *err)
{
    const char *equals = memchr(pair, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - pair) : len;
    char name[64];
    if (equals == NULL || name_len == 0 || name_len >= sizeof(name)) {
        return gw_error_set(err, GW_E_INVALID, 0, "a parameter is not name=value");
    }
    memcpy(name, pair, name_len);
    name[name_len] = '\0';
    size_t n_texts = 0;
    while (n_texts < PG_PARAMS_MAX && place->texts[n_texts] != NULL) {
        n_texts++;
    }
    if (n_texts >= PG_PARAMS_MAX / 2) {
        return gw_error_set(err, GW_E_INVALID, 0, "more than %d parameters", PG_PARAMS_MAX / 2);
    }
    gw_buf value;
    gw_buf_init(&value, GW_URL_MAX);
    gw_buf_add_str(&value, "");
    gw_status st = gw_url_decode(&value, equals + 1, len - name_len - 1);
    gw_buf_reserve(&value, 1);
    char *text = st == GW_OK ? gw_buf_detach(&value, NULL) : NULL;
    gw_buf_dispose(&value);
    if (text == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s: bad percent escape", name);
    }
    place->texts[n_texts] = text;
    return take_param(place, name, text, err);
}

static gw_status take_query(pg_place *place, gw_error *err)
{
    const char *at = place->url.query;
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, "&");
        gw_status st = take_pair(place, at, len, err);
        if (st != GW_OK) {
            return st;
        }
        at += len + (at[len] == '&' ? 1 : 0);
    }
    return GW_OK;
}

/* ---- the whole ------------------------------------------------------------------------- */

static void describe(pg_place *place)
{
    size_t len = 0;
    const size_t size = sizeof(place->shown);
    if (place->socket_dir != NULL) {
        len = (size_t)snprintf(place->shown, size, "%.100s", place->socket_dir);
    }
    for (size_t i = 0; place->socket_dir == NULL && i < place->url.n_hosts && len < size; i++) {
        const gw_url_host *host = &place->url.hosts[i];
        len += (size_t)snprintf(place->shown + len, size - len, "%s%s:%u", i > 0 ? "," : "",
                                host->name, host->port != 0 ? host->port : 5432);
    }
    if (len < size) {
        snprintf(place->shown + len, size - len, "%.64s", place->url.path);
    }
}

static gw_status check_url(const gw_url *url, gw_error *err)
{
    if (strcmp(url->scheme, "postgresql") != 0 && strcmp(url->scheme, "postgres") != 0) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "'%.20s://' is no store: only postgresql:// is known", url->scheme);
    }
    if (url->path == NULL || url->path[0] == '\0' || url->path[1] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "it names no database: postgresql://user@host:port/DATABASE");
    }
    if (url->user == NULL || url->user[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "it names no user: postgresql://USER@host:port/database");
    }
    return GW_OK;
}

static gw_status take_password(pg_place *place, const char *password, gw_error *err)
{
    bool has_own = place->url.password != NULL && place->url.password[0] != '\0';
    bool has_other = password != NULL && password[0] != '\0';
    if (has_own && has_other) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "there is a password in it and another in store_password: keep one");
    }
    if (has_own || has_other) {
        place->password = strdup(has_own ? place->url.password : password);
        if (place->password == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a password");
        }
    }
    return GW_OK;
}

static void set_params(pg_place *place, const char *application)
{
    add_param(place, "dbname", place->url.path + 1);
    add_param(place, "user", place->url.user);
    add_param(place, "password", place->password);
    add_param(place, "fallback_application_name", application);
    add_param(place, "client_encoding", "UTF8");
    /* Kerberos would be loaded to find out that nobody uses it. */
    add_param(place, "gssencmode", "disable");
    if (place->url.n_hosts > 1) { /* after a failover the one that can be written to */
        add_param(place, "target_session_attrs", "read-write");
    }
    add_param(place, "keepalives_idle", "10");
    add_param(place, "keepalives_interval", "5");
    add_param(place, "keepalives_count", "3");
    place->keywords[place->n_params] = NULL;
    place->values[place->n_params] = NULL;
}

gw_status pg_place_init(pg_place *place, const char *url, const char *password,
                        const char *application, gw_error *err)
{
    memset(place, 0, sizeof(*place));
    place->connect_ms = CONNECT_DEFAULT_S * 1000;
    gw_status st = gw_url_parse(url, &place->url, err);
    if (st == GW_OK) {
        st = check_url(&place->url, err);
    }
    if (st == GW_OK) {
        st = take_query(place, err);
    }
    if (st == GW_OK) {
        st = take_password(place, password, err);
    }
    if (st != GW_OK) {
        pg_place_dispose(place);
        return st;
    }
    set_params(place, application);
    describe(place);
    return GW_OK;
}

size_t pg_place_n_hosts(const pg_place *place)
{
    return place->socket_dir != NULL ? 1 : place->url.n_hosts;
}

void pg_place_dispose(pg_place *place)
{
    for (size_t i = 0; i < PG_PARAMS_MAX; i++) {
        free(place->texts[i]);
    }
    if (place->password != NULL) {
        explicit_bzero(place->password, strlen(place->password));
        free(place->password);
    }
    gw_url_dispose(&place->url);
    memset(place, 0, sizeof(*place));
}

const char *pg_place_check(const char *text)
{
    if (text[0] == '\0') {
        return NULL;
    }
    pg_place place;
    gw_status st = pg_place_init(&place, text, NULL, "check", NULL);
    if (st == GW_OK) {
        pg_place_dispose(&place);
    }
    return st == GW_E_INVALID || st == GW_E_LIMIT ? "empty, or postgresql://user@host:port/database"
                                                  : NULL;
}
