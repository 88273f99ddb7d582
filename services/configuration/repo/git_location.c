/* SPDX-License-Identifier: MIT */
#include "repo/git_location.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/buf.h>
#include <godwit/url.h>

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* `what` after the location, which is shown without its password. */
static gw_status refuse(gw_status st, const char *text, const char *what, gw_error *err)
{
    gw_buf masked;
    gw_buf_init(&masked, 0);
    gw_url_mask(&masked, text);
    gw_error_set(err, st, 0, "%.256s: %s", masked.data == NULL ? "" : masked.data, what);
    gw_buf_dispose(&masked);
    return st;
}

static gw_status fail_nomem(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
}

static char *copy(const char *bytes, size_t len)
{
    return strndup(bytes, len);
}

static void cut_slashes(char *text)
{
    size_t len = strlen(text);
    while (len > 1 && text[len - 1] == '/') {
        text[--len] = '\0';
    }
}

static char *decode(const char *text, size_t len)
{
    gw_buf out;
    gw_buf_init(&out, GW_URL_MAX);
    gw_buf_add(&out, "", 0);
    gw_status st = gw_url_decode(&out, text, len);
    char *decoded = st == GW_OK ? strndup(out.data == NULL ? "" : out.data, out.len) : NULL;
    if (out.data != NULL) {
        explicit_bzero(out.data, out.len);
    }
    gw_buf_dispose(&out);
    return decoded;
}

/* ---- local ---------------------------------------------------------------------- */

/* The location's own spelling if it is a URI, "file://" and the absolute path otherwise. */
static gw_status set_local(cs_git_location *location, const char *text, gw_error *err)
{
    const char *path = text;
    if (strncmp(text, "file:", 5) == 0) {
        path = text + 5;
        path += strncmp(path, "//localhost/", 12) == 0 ? 11 : 0;
        path += strncmp(path, "//", 2) == 0 ? 2 : 0;
        location->uri = strdup(text);
    } else {
        char *absolute = realpath(text, NULL);
        if (asprintf(&location->uri, "file://%s", absolute == NULL ? text : absolute) < 0) {
            location->uri = NULL;
        }
        free(absolute);
    }
    if (path[0] == '\0') {
        return refuse(GW_E_INVALID, text, "no path", err);
    }
    location->scheme = CS_GIT_LOCAL;
    location->path = strdup(path);
    if (location->uri == NULL || location->path == NULL) {
        return fail_nomem(err);
    }
    cut_slashes(location->uri);
    return GW_OK;
}

/* ---- remote --------------------------------------------------------------------- */

/* A name or an address, with a port: nothing that ssh or git could take for an option. */
static bool is_host(const char *host, size_t len)
{
    size_t n = 0;
    if (len > 0 && host[0] == '[') {
        n = strspn(host + 1, DIGITS "abcdefABCDEF:.") + 1;
        if (n >= len || host[n] != ']') {
            return false;
        }
        n++;
    } else {
        n = strspn(host, LETTERS DIGITS "._-");
        if (n == 0 || n > len || host[0] == '-' || host[0] == '.') {
            return false;
        }
    }
    if (n == len) {
        return true;
    }
    return host[n] == ':' && n + 1 < len && strspn(host + n + 1, DIGITS) == len - n - 1 &&
           len - n - 1 <= 5;
}

/* Percent escapes are for the server; what breaks lines, requests or commands is not. */
static bool is_path(const char *path)
{
    for (const unsigned char *p = (const unsigned char *)path; *p != '\0'; p++) {
        if (*p <= ' ' || *p == 0x7f || strchr("\\?#{}\"'`$<>|;&*", *p) != NULL) {
            return false;
        }
    }
    return true;
}

static bool is_user(const char *user)
{
    return user[0] != '\0' && strspn(user, LETTERS DIGITS "._-@+") == strlen(user) &&
           user[0] != '-';
}

static gw_status set_user(cs_git_location *location, const char *text, const char *user, size_t len,
                          gw_error *err)
{
    const char *colon = memchr(user, ':', len);
    size_t user_len = colon == NULL ? len : (size_t)(colon - user);
    location->username = decode(user, user_len);
    if (colon != NULL) {
        location->password = decode(colon + 1, len - user_len - 1);
    }
    if (location->username == NULL || (colon != NULL && location->password == NULL)) {
        return refuse(GW_E_INVALID, text, "the user or the password is not well-formed", err);
    }
    if (location->scheme == CS_GIT_SSH && !is_user(location->username)) {
        return refuse(GW_E_INVALID, text, "no user that ssh knows", err);
    }
    return GW_OK;
}

/* The two spellings without secrets. `separator` is '/', or ':' of "host:path". */
static gw_status set_url(cs_git_location *location, const char *prefix, const char *host,
                         size_t host_len, const char *path, gw_error *err)
{
    bool with_user = location->scheme == CS_GIT_SSH && location->username != NULL;
    location->host = copy(host, host_len);
    if (asprintf(&location->url, "%s%s%s%.*s%s", prefix, with_user ? location->username : "",
                 with_user ? "@" : "", (int)host_len, host, path) < 0) {
        location->url = NULL;
    }
    location->uri = location->url == NULL ? NULL : strdup(location->url);
    if (location->host == NULL || location->uri == NULL) {
        return fail_nomem(err);
    }
    cut_slashes(location->uri);
    return GW_OK;
}

/* After "scheme://". */
static gw_status set_remote(cs_git_location *location, const char *text, const char *rest,
                            gw_error *err)
{
    size_t authority_len = strcspn(rest, "/?#");
    const char *path = rest + authority_len;
    const char *host = rest;
    for (size_t i = 0; i < authority_len; i++) {
        host = rest[i] == '@' ? rest + i + 1 : host;
    }
    size_t host_len = (size_t)(path - host);
    if (!is_host(host, host_len)) {
        return refuse(GW_E_INVALID, text, "the host is not well-formed", err);
    }
    if (path[0] != '/' || path[1] == '\0' || !is_path(path)) {
        return refuse(GW_E_INVALID, text, "the path is not one of a repository", err);
    }
    gw_status st = GW_OK;
    if (host != rest) {
        st = set_user(location, text, rest, (size_t)(host - rest) - 1, err);
    }
    char prefix[16];
    snprintf(prefix, sizeof(prefix), "%.*s", (int)(rest - text), text);
    return st == GW_OK ? set_url(location, prefix, host, host_len, path, err) : st;
}

/* "[user@]host:path". */
static gw_status set_scp(cs_git_location *location, const char *text, const char *colon,
                         gw_error *err)
{
    const char *at = memrchr(text, '@', (size_t)(colon - text));
    const char *host = at == NULL ? text : at + 1;
    location->scheme = CS_GIT_SSH;
    if (colon[1] == ':') { /* "ext::command" */
        return refuse(GW_E_UNSUPPORTED, text,
                      "a repository is a path, or a file:, https:, http: or ssh: URI", err);
    }
    if (!is_host(host, (size_t)(colon - host))) {
        return refuse(GW_E_INVALID, text, "the host is not well-formed", err);
    }
    if (colon[1] == '\0' || colon[1] == '-' || !is_path(colon + 1)) {
        return refuse(GW_E_INVALID, text, "the path is not one of a repository", err);
    }
    if (strchr(colon, '@') != NULL) { /* "user:password@host:path" */
        return refuse(GW_E_INVALID, text, "a password has no place in it", err);
    }
    gw_status st = GW_OK;
    if (at != NULL) {
        st = set_user(location, text, text, (size_t)(at - text), err);
    }
    return st == GW_OK ? set_url(location, "", host, (size_t)(colon - host), colon, err) : st;
}

static gw_status parse(const char *text, cs_git_location *location, gw_error *err)
{
    static const struct {
        const char *prefix;
        cs_git_scheme scheme;
    } remotes[] = {{"http://", CS_GIT_HTTP}, {"https://", CS_GIT_HTTPS}, {"ssh://", CS_GIT_SSH}};

    if (text == NULL || text[0] == '\0' || strlen(text) > GW_URL_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "the URI of a repository has 1 to %d bytes",
                            GW_URL_MAX);
    }
    if (text[0] == '-') {
        return refuse(GW_E_INVALID, text, "a repository's URI does not begin with '-'", err);
    }
    for (size_t i = 0; i < sizeof(remotes) / sizeof(remotes[0]); i++) {
        size_t len = strlen(remotes[i].prefix);
        if (strncmp(text, remotes[i].prefix, len) == 0) {
            location->scheme = remotes[i].scheme;
            return set_remote(location, text, text + len, err);
        }
    }
    size_t n = strcspn(text, ":/");
    if (text[n] != ':' || strncmp(text, "file:", 5) == 0) {
        return set_local(location, text, err);
    }
    if (strncmp(text + n, "://", 3) == 0) {
        return refuse(GW_E_UNSUPPORTED, text,
                      "a repository is a path, or a file:, https:, http: or ssh: URI", err);
    }
    return set_scp(location, text, text + n, err);
}

gw_status cs_git_location_parse(const char *uri, cs_git_location *ret_location, gw_error *err)
{
    cs_git_location location = {.scheme = CS_GIT_LOCAL};
    gw_status st = parse(uri, &location, err);
    if (st != GW_OK) {
        cs_git_location_dispose(&location);
        return st;
    }
    *ret_location = location;
    return GW_OK;
}

void cs_git_location_dispose(cs_git_location *location)
{
    if (location->password != NULL) {
        explicit_bzero(location->password, strlen(location->password));
    }
    free(location->path);
    free(location->url);
    free(location->uri);
    free(location->host);
    free(location->username);
    free(location->password);
    *location = (cs_git_location){.scheme = CS_GIT_LOCAL};
}
