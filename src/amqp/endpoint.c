/* SPDX-License-Identifier: MIT */
#include "amqp/endpoint.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX  3600
#define NAME_MAX_LEN 255

static gw_status parse_seconds(const gw_url *url, const char *key, unsigned least,
                               unsigned *seconds, gw_error *err)
{
    char text[16];
    gw_status st = gw_url_query(url, key, text, sizeof(text));
    if (st == GW_E_NOT_FOUND) {
        return GW_OK;
    }
    char *end = text;
    unsigned long value = st == GW_OK ? strtoul(text, &end, 10) : 0;
    if (st != GW_OK || text[0] < '0' || text[0] > '9' || *end != '\0' || value > SECONDS_MAX ||
        value < least) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "the AMQP URL's %s is not a number of seconds from %u to %d", key,
                            least, SECONDS_MAX);
    }
    *seconds = (unsigned)value;
    return GW_OK;
}

static gw_status parse_password_file(const gw_url *url, char **ret_path, gw_error *err)
{
    char path[PATH_MAX];
    gw_status st = gw_url_query(url, "password_file", path, sizeof(path));
    if (st == GW_E_NOT_FOUND) {
        return GW_OK;
    }
    if (st != GW_OK || path[0] != '/') {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "the AMQP URL's password_file is not an absolute path");
    }
    if (url->password != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "the AMQP URL has a password and a password_file: one of them");
    }
    *ret_path = strdup(path);
    return *ret_path != NULL ? GW_OK : gw_error_set(err, GW_E_NOMEM, 0, "no memory for a path");
}

static bool is_known(const char *key, size_t len)
{
    static const char *const known[] = {"heartbeat", "confirm_timeout", "password_file"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i]) == len && memcmp(key, known[i], len) == 0) {
            return true;
        }
    }
    return false;
}

/* Refuse keys that would be ignored: they were meant to do something. */
static gw_status check_query(const gw_url *url, gw_error *err)
{
    const char *pair = url->query;
    while (pair != NULL && *pair != '\0') {
        size_t key_len = strcspn(pair, "=&");
        if (!is_known(pair, key_len) || pair[key_len] != '=') {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "the AMQP URL has the unknown parameter '%.*s'",
                                (int)(key_len < 64 ? key_len : 64), pair);
        }
        pair += strcspn(pair, "&");
        pair += *pair == '&';
    }
    return GW_OK;
}

/* A password with a bare '/', '?' or '#' ends the authority early, and what follows would be taken
 * for a path or a query and perhaps be told. It gives itself away by the '@' after it. */
static gw_status check_password_is_whole(const char *url, gw_error *err)
{
    const char *authority = strstr(url, "://");
    const char *rest = authority == NULL ? url : authority + 3;
    rest += strcspn(rest, "/?#");
    if (strchr(rest, '@') != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "the AMQP URL has an '@' after its hosts: in a password write / as "
                            "%%2F, ? as %%3F, # as %%23; in a virtual host @ as %%40");
    }
    return GW_OK;
}

static gw_status check_parts(const gw__endpoint *endpoint, gw_error *err)
{
    if (strlen(endpoint->vhost) > NAME_MAX_LEN) {
        return gw_error_set(err, GW_E_LIMIT, 0,
                            "the AMQP URL's virtual host is longer than %d bytes", NAME_MAX_LEN);
    }
    if (strlen(endpoint->user) > NAME_MAX_LEN || strlen(endpoint->password) > GW__PASSWORD_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "the AMQP URL's user or password is too long");
    }
    return check_query(&endpoint->url, err);
}

gw_status gw__endpoint_parse(const char *url, unsigned heartbeat_s, gw__endpoint *ret_endpoint,
                             gw_error *err)
{
    gw__endpoint endpoint = {.heartbeat_s = heartbeat_s,
                             .confirm_timeout_s = GW__CONFIRM_TIMEOUT_S};
    gw_status st = check_password_is_whole(url, err);
    if (st == GW_OK) {
        st = gw_url_parse(url, &endpoint.url, err);
    }
    if (st != GW_OK) {
        return st;
    }
    const gw_url *parsed = &endpoint.url;
    if (strcmp(parsed->scheme, "amqps") == 0) {
        st = gw_error_set(err, GW_E_UNSUPPORTED, 0, "amqps:// (TLS) is not supported yet");
    } else if (strcmp(parsed->scheme, "amqp") != 0) {
        st = gw_error_set(err, GW_E_UNSUPPORTED, 0, "'%s' is not a scheme of AMQP", parsed->scheme);
    }
    bool no_vhost = parsed->path == NULL || strcmp(parsed->path, "/") == 0;
    endpoint.user = parsed->user != NULL ? parsed->user : "guest";
    endpoint.password = parsed->password != NULL ? parsed->password : "guest";
    endpoint.vhost = no_vhost ? "/" : parsed->path + 1;
    for (size_t i = 0; i < parsed->n_hosts; i++) {
        if (parsed->hosts[i].port == 0) {
            endpoint.url.hosts[i].port = GW__AMQP_PORT;
        }
    }
    if (st == GW_OK) {
        st = check_parts(&endpoint, err);
    }
    if (st == GW_OK) {
        st = parse_seconds(parsed, "heartbeat", 0, &endpoint.heartbeat_s, err);
    }
    if (st == GW_OK) {
        st = parse_seconds(parsed, "confirm_timeout", 1, &endpoint.confirm_timeout_s, err);
    }
    if (st == GW_OK) {
        st = parse_password_file(parsed, &endpoint.password_file, err);
    }
    if (st != GW_OK) {
        gw_url_dispose(&endpoint.url);
        return st;
    }
    *ret_endpoint = endpoint;
    return GW_OK;
}

void gw__endpoint_dispose(gw__endpoint *endpoint)
{
    gw_url_dispose(&endpoint->url);
    free(endpoint->password_file);
    *endpoint = (gw__endpoint){.user = NULL};
}
