/* SPDX-License-Identifier: MIT */
#include "config/places.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/url.h>

#define BLANKS " \t\r\n"

/* A part of a list with commas, without the blanks around it. */
typedef struct word {
    const char *text;
    size_t len;
} word;

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static word trim(const char *text, size_t len)
{
    while (len > 0 && strchr(BLANKS, text[0]) != NULL) {
        text++;
        len--;
    }
    while (len > 0 && strchr(BLANKS, text[len - 1]) != NULL) {
        len--;
    }
    return (word){text, len};
}

static bool is_any_comma(const char *rest)
{
    (void)rest;
    return true;
}

/* A comma before a scheme; one in a password, or between hosts, is none. */
static bool is_before_url(const char *rest)
{
    rest += strspn(rest, BLANKS);
    return strncasecmp(rest, "http://", 7) == 0 || strncasecmp(rest, "https://", 8) == 0;
}

/* SIZE_MAX when there are more than `max`. */
static size_t split(const char *text, bool (*divides)(const char *rest), word *words, size_t max)
{
    size_t n = 0;
    const char *start = text;
    for (const char *at = text;; at++) {
        if (*at != '\0' && (*at != ',' || !divides(at + 1))) {
            continue;
        }
        if (n == max) {
            return SIZE_MAX;
        }
        words[n++] = trim(start, (size_t)(at - start));
        start = at + 1;
        if (*at == '\0') {
            return n;
        }
    }
}

static gw_status check_url(const char *text, gw_error *err)
{
    gw_url url;
    gw_status st = gw_url_parse(text, &url, err);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "config server");
    }
    const char *fault = NULL;
    if (strcmp(url.scheme, "http") != 0 && strcmp(url.scheme, "https") != 0) {
        fault = "it begins with http:// or https://";
    } else if (url.n_hosts != 1) {
        fault = "it has one host (several servers are several URLs with commas)";
    } else if (url.query != NULL) {
        fault = "it has no query";
    }
    gw_url_dispose(&url);
    if (fault == NULL) {
        return GW_OK;
    }
    gw_buf masked;
    gw_buf_init(&masked, GW_URL_MAX);
    gw_url_mask(&masked, text);
    gw_error_set(err, GW_E_INVALID, 0, "'%s' is not the URL of a config server: %s",
                 masked.data != NULL ? masked.data : "", fault);
    gw_buf_dispose(&masked);
    return GW_E_INVALID;
}

static void add_segment(gw_buf *out, const char *text)
{
    gw_buf_add_char(out, '/');
    gw_url_encode(out, text, strlen(text));
}

/* A label can hold slashes, as branches do; Spring has "(_)" for them in a path. */
static void add_label(gw_buf *out, word label)
{
    gw_buf_add_char(out, '/');
    for (size_t i = 0; i < label.len; i++) {
        if (label.text[i] == '/') {
            gw_buf_add_str(out, "(_)");
        } else {
            gw_url_encode(out, label.text + i, 1);
        }
    }
}

/* The server's URL, with the user of the options if it has none itself. */
static void add_server(gw_buf *out, word server, const gw_config_options *options)
{
    const char *host = memchr(server.text, ':', server.len);
    host = host + strlen("://"); /* checked before */
    size_t authority = strcspn(host, "/");
    bool has_user = memchr(host, '@', authority) != NULL;
    gw_buf_add(out, server.text, (size_t)(host - server.text));
    if (!has_user && is_given(options->username)) {
        gw_url_encode(out, options->username, strlen(options->username));
        if (is_given(options->password)) {
            gw_buf_add_char(out, ':');
            gw_url_encode(out, options->password, strlen(options->password));
        }
        gw_buf_add_char(out, '@');
    }
    gw_buf_add(out, host, server.len - (size_t)(host - server.text));
    while (out->len > 0 && out->data[out->len - 1] == '/') {
        out->data[--out->len] = '\0';
    }
}

/* One URL, and the same for people. */
static gw_status add_place(gw__places *places, size_t i, word server, word label,
                           const gw_config_options *options, gw_error *err)
{
    gw_buf url;
    gw_buf masked;
    gw_buf_init(&url, 2 * GW_URL_MAX);
    gw_buf_init(&masked, 2 * GW_URL_MAX);
    add_server(&url, server, options);
    add_segment(&url, options->app);
    add_segment(&url, is_given(options->profile) ? options->profile : "default");
    if (label.len > 0) {
        add_label(&url, label);
    }
    gw_status st = gw_buf_status(&url);
    if (st == GW_OK) {
        gw_url_mask(&masked, url.data);
        st = gw_buf_status(&masked);
    }
    places->urls[i] = gw_buf_detach(&url, NULL);
    places->masked[i] = gw_buf_detach(&masked, NULL);
    gw_buf_dispose(&url);
    gw_buf_dispose(&masked);
    if (st == GW_OK && (places->urls[i] == NULL || places->masked[i] == NULL)) {
        st = GW_E_NOMEM;
    }
    return st == GW_OK
               ? GW_OK
               : gw_error_set(err, st, 0, "the URL of the configuration: %s", gw_status_text(st));
}

/* "http://a/app/test/main,more, http://b/app/test/main,more" */
static gw_status write_where(gw__places *places, const word *labels, gw_error *err)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    gw_buf_add_str(&out, "");
    for (size_t i = 0; i < places->n_servers; i++) {
        gw_buf_addf(&out, "%s%s", i > 0 ? ", " : "", places->masked[i]);
        for (size_t l = 1; l < places->n_labels; l++) {
            gw_buf_addf(&out, ",%.*s", (int)labels[l].len, labels[l].text);
        }
    }
    places->where = gw_buf_detach(&out, NULL);
    gw_buf_dispose(&out);
    return places->where != NULL
               ? GW_OK
               : gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
}

static gw_status read_servers(const gw_config_options *options, word *servers, size_t *ret_n,
                              gw_error *err)
{
    size_t n = split(options->url, is_before_url, servers, GW__SERVERS_MAX);
    if (n == SIZE_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "more than %d config servers", GW__SERVERS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        char *text = strndup(servers[i].text, servers[i].len);
        gw_status st = text != NULL ? check_url(text, err)
                                    : gw_error_set(err, GW_E_NOMEM, 0, "no memory for a URL");
        if (text != NULL) {
            explicit_bzero(text, servers[i].len);
        }
        free(text);
        if (st != GW_OK) {
            return st;
        }
    }
    *ret_n = n;
    return GW_OK;
}

static gw_status read_labels(const gw_config_options *options, word *labels, size_t *ret_n,
                             gw_error *err)
{
    const char *text = options->label != NULL ? options->label : "";
    size_t n = split(text, is_any_comma, labels, GW__LABELS_MAX);
    if (n == SIZE_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "more than %d labels", GW__LABELS_MAX);
    }
    for (size_t i = 0; i < n && n > 1; i++) {
        if (labels[i].len == 0) {
            return gw_error_set(err, GW_E_INVALID, 0, "an empty label in '%.200s'", text);
        }
    }
    *ret_n = n;
    return GW_OK;
}

gw_status gw__places_init(gw__places *places, const gw_config_options *options, gw_error *err)
{
    word servers[GW__SERVERS_MAX] = {{NULL, 0}};
    word labels[GW__LABELS_MAX] = {{NULL, 0}};
    *places = (gw__places){.urls = NULL};
    if (!is_given(options->url)) {
        return write_where(places, labels, err);
    }
    size_t n_servers = 0;
    size_t n_labels = 0;
    gw_status st = read_servers(options, servers, &n_servers, err);
    st = st == GW_OK ? read_labels(options, labels, &n_labels, err) : st;
    if (st != GW_OK) {
        return st;
    }
    if (!is_given(options->app)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "a config server is given, but no name to ask it for");
    }
    places->urls = calloc(n_servers * n_labels, sizeof(*places->urls));
    places->masked = calloc(n_servers * n_labels, sizeof(*places->masked));
    if (places->urls == NULL || places->masked == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
    }
    places->n_servers = n_servers;
    places->n_labels = n_labels;
    for (size_t i = 0; st == GW_OK && i < n_servers * n_labels; i++) {
        st = add_place(places, i, servers[i % n_servers], labels[i / n_servers], options, err);
    }
    return st == GW_OK ? write_where(places, labels, err) : st;
}

void gw__places_dispose(gw__places *places)
{
    for (size_t i = 0; i < places->n_servers * places->n_labels; i++) {
        if (places->urls != NULL && places->urls[i] != NULL) {
            explicit_bzero(places->urls[i], strlen(places->urls[i]));
            free(places->urls[i]);
        }
        free(places->masked != NULL ? places->masked[i] : NULL);
    }
    free(places->urls);
    free(places->masked);
    free(places->where);
    *places = (gw__places){.urls = NULL};
}
