/* SPDX-License-Identifier: MIT */
#include <godwit/url.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

#define SCHEME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-."

/* Not the ones of <ctype.h>: a URL reads the same in every locale. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_unreserved(char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The byte that the `len` bytes at a '%' stand for, -1 for a broken escape or an encoded NUL. */
static int escaped_byte(const char *text, size_t len)
{
    int high = len > 2 ? gw__hex_value(text[1]) : -1;
    int low = high >= 0 ? gw__hex_value(text[2]) : -1;
    return low >= 0 && high + low > 0 ? high * 16 + low : -1;
}

gw_status gw_url_decode(gw_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int byte = text[i] == '%' ? escaped_byte(text + i, len - i) : (unsigned char)text[i];
        if (byte < 0) {
            return GW_E_INVALID;
        }
        gw_buf_add_char(out, (char)byte);
        i += text[i] == '%' ? 2 : 0;
    }
    return gw_buf_status(out);
}

void gw_url_encode(gw_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_unreserved(text[i])) {
            gw_buf_add_char(out, text[i]);
        } else {
            gw_buf_addf(out, "%%%02X", (unsigned char)text[i]);
        }
    }
}

/* Decode a part in place; the decoded form is never longer. */
static bool decode_in_place(char *part)
{
    char *to = part;
    const char *end = part + strlen(part);
    for (const char *from = part; from < end; from++) {
        int byte = *from == '%' ? escaped_byte(from, (size_t)(end - from)) : (unsigned char)*from;
        if (byte < 0 || is_control((char)byte)) {
            return false;
        }
        from += *from == '%' ? 2 : 0;
        *to++ = (char)byte;
    }
    *to = '\0';
    return true;
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
    unsigned long port = 0;
    size_t i = 0;
    for (; is_digit(text[i]) && i < 6; i++) {
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (i == 0 || text[i] != '\0' || port == 0 || port > 65535) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static bool is_host_name(const char *name)
{
    const char *p = name;
    while (is_unreserved(*p) || (unsigned char)*p >= 0x80) {
        p++;
    }
    return p > name && *p == '\0';
}

/* What stands between brackets: an address of hexadecimal digits, colons and dots, and perhaps a
 * zone after '%'. */
static bool is_ipv6_address(const char *text)
{
    size_t len = strspn(text, "0123456789abcdefABCDEF:.");
    return memchr(text, ':', len) != NULL &&
           (text[len] == '\0' || (text[len] == '%' && is_host_name(text + len + 1)));
}

static bool parse_host(char *text, gw_url_host *ret_host)
{
    bool bracketed = text[0] == '[';
    char *name = bracketed ? text + 1 : text;
    char *end = name + strcspn(name, bracketed ? "]" : ":");
    char *port = end;
    if (bracketed) {
        if (*end == '\0') {
            return false;
        }
        port = end + 1;
    }
    bool has_port = *port == ':';
    if (!has_port && *port != '\0') {
        return false;
    }
    *end = '\0';
    ret_host->name = name;
    ret_host->port = 0;
    return decode_in_place(name) && (bracketed ? is_ipv6_address(name) : is_host_name(name)) &&
           (!has_port || parse_port(port + 1, &ret_host->port));
}

static bool parse_hosts(char *list, gw_url *url)
{
    while (list != NULL) {
        char *next = strchr(list, ',');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (url->n_hosts == GW_URL_HOSTS_MAX || !parse_host(list, &url->hosts[url->n_hosts])) {
            return false;
        }
        url->n_hosts++;
        list = next;
    }
    return url->n_hosts > 0;
}

static bool parse_user(char *user, gw_url *url)
{
    char *password = strchr(user, ':');
    if (password != NULL) {
        *password++ = '\0';
        url->password = password;
        if (!decode_in_place(password)) {
            return false;
        }
    }
    url->user = user;
    return decode_in_place(user);
}

static bool parse_scheme(char *scheme, gw_url *url)
{
    if (!is_alpha(scheme[0]) || scheme[strspn(scheme, SCHEME_CHARACTERS)] != '\0') {
        return false;
    }
    for (char *p = scheme; *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    }
    url->scheme = scheme;
    return true;
}

/*
 * Take the path away from what comes after "://". It keeps its '/', so the authority before it
 * moves one byte to the front, over the last '/' of "://", to make room for its NUL. Returns the
 * authority, NULL for a bad path.
 */
static char *parse_path(char *rest, gw_url *url)
{
    char *path = strchr(rest, '/');
    if (path == NULL) {
        return rest;
    }
    size_t len = (size_t)(path - rest);
    memmove(rest - 1, rest, len);
    rest[(ptrdiff_t)len - 1] = '\0';
    url->path = path;
    return decode_in_place(path) ? rest - 1 : NULL;
}

/* What is wrong with the URL, or NULL. Cuts `text` into the parts of `url`. */
static const char *parse(char *text, gw_url *url)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (is_control(*p) || *p == ' ') {
            return "it contains a blank or a control character";
        }
    }
    char *rest = strstr(text, "://");
    if (rest == NULL || rest == text) {
        return "it has no scheme, such as amqp://";
    }
    *rest = '\0';
    rest += 3;
    if (!parse_scheme(text, url)) {
        return "its scheme has an odd character";
    }
    if (strchr(rest, '#') != NULL) {
        return "it contains '#' (write %23)";
    }
    char *query = strchr(rest, '?');
    if (query != NULL) {
        *query = '\0';
        url->query = query + 1;
    }
    rest = parse_path(rest, url);
    if (rest == NULL) {
        return "its path has a bad percent escape";
    }
    /* The last '@' ends the user, so that a bare '@' in a password is not taken for a host. */
    char *at = strrchr(rest, '@');
    if (at != NULL) {
        *at = '\0';
        if (!parse_user(rest, url)) {
            return "its user or password has a bad percent escape";
        }
        rest = at + 1;
    }
    return parse_hosts(rest, url) ? NULL : "its host or port is not valid";
}

/*
 * Append a text that was meant to be one URL, for an error. It may lack its scheme or hold blanks,
 * so all up to the last '@' is taken for the user and the password.
 */
static void show_masked(gw_buf *out, const char *text)
{
    const char *at = strrchr(text, '@');
    const char *mark = text + strspn(text, SCHEME_CHARACTERS);
    if (at == NULL) {
        gw_url_mask(out, text);
        return;
    }
    if (strncmp(mark, "://", 3) == 0) {
        const char *user = mark + 3;
        size_t user_len = strcspn(user, ":");
        if (user + user_len >= at) {
            gw_buf_add_str(out, text); /* a user alone */
            return;
        }
        gw_buf_add(out, text, (size_t)(user + user_len + 1 - text));
    }
    gw_buf_add_str(out, "***");
    gw_buf_add_str(out, at);
}

gw_status gw_url_parse(const char *text, gw_url *ret_url, gw_error *err)
{
    if (text == NULL || ret_url == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "no URL given");
    }
    size_t len = strnlen(text, GW_URL_MAX + 1);
    if (len > GW_URL_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "URL longer than %d bytes", GW_URL_MAX);
    }
    gw_url url = {.storage = strdup(text), .storage_len = len};
    if (url.storage == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a URL");
    }
    const char *fault = parse(url.storage, &url);
    if (fault != NULL) {
        gw_buf masked;
        gw_buf_init(&masked, 0);
        show_masked(&masked, text);
        bool ok = gw_buf_status(&masked) == GW_OK && masked.data != NULL;
        gw_error_set(err, GW_E_INVALID, 0, "URL '%s' is not valid: %s", ok ? masked.data : "",
                     fault);
        gw_buf_dispose(&masked);
        gw_url_dispose(&url);
        return GW_E_INVALID;
    }
    *ret_url = url;
    return GW_OK;
}

void gw_url_dispose(gw_url *url)
{
    if (url == NULL || url->storage == NULL) {
        return;
    }
    explicit_bzero(url->storage, url->storage_len);
    free(url->storage);
    *url = (gw_url){0};
}

gw_status gw_url_query(const gw_url *url, const char *key, char *ret_value, size_t size)
{
    size_t key_len = strlen(key);
    const char *pair = url->query;
    while (pair != NULL) {
        size_t pair_len = strcspn(pair, "&");
        if (pair_len > key_len && strncmp(pair, key, key_len) == 0 && pair[key_len] == '=') {
            gw_buf value;
            gw_buf_init(&value, GW_URL_MAX);
            gw_status st = gw_url_decode(&value, pair + key_len + 1, pair_len - key_len - 1);
            if (st == GW_OK && value.len >= size) {
                st = GW_E_LIMIT;
            }
            if (st == GW_OK) {
                memcpy(ret_value, value.data != NULL ? value.data : "", value.len + 1);
            }
            gw_buf_dispose(&value);
            return st;
        }
        pair = pair[pair_len] == '&' ? pair + pair_len + 1 : NULL;
    }
    return GW_E_NOT_FOUND;
}

/* Whether a port begins at `text`: digits, and then nothing that could go on with a password. */
static bool is_port(const char *text)
{
    size_t n_digits = strspn(text, "0123456789");
    const char *end = text + n_digits;
    if (n_digits == 0) {
        return false;
    }
    if (*end == '.' || *end == ':') { /* the sentence goes on, not the word */
        end++;
        return *end == '\0' || strchr(" \t\r\n", *end) != NULL;
    }
    return *end == '\0' || strchr(" \t\r\n/?#,;'\"<>()[]{}", *end) != NULL;
}

/* Mask what stands for a port after "://" but is none. There is no '@' between `text` and `end`. */
static void mask_ports(gw_buf *out, const char *text, const char *end)
{
    const char *mark;
    while ((mark = memmem(text, (size_t)(end - text), "://", 3)) != NULL) {
        const char *host = mark + 3;
        const char *host_end = host + strcspn(host, " \t\r\n/?#");
        const char *after_brackets = *host == '[' ? host + strcspn(host, "] \t\r\n/?#") : host;
        const char *colon = memchr(after_brackets, ':', (size_t)(host_end - after_brackets));
        if (colon == NULL || colon + 1 == host_end || is_port(colon + 1)) {
            gw_buf_add(out, text, (size_t)(host - text));
            text = host;
        } else {
            gw_buf_add(out, text, (size_t)(colon + 1 - text));
            gw_buf_add_str(out, "***");
            text = host_end;
        }
    }
    gw_buf_add(out, text, (size_t)(end - text));
}

/* Mask in what stands between two blanks. */
static void mask_word(gw_buf *out, const char *word, const char *end)
{
    const char *at = memrchr(word, '@', (size_t)(end - word));
    if (at != NULL) {
        const char *mark = memmem(word, (size_t)(at - word), "://", 3);
        const char *user = mark != NULL ? mark + 3 : word;
        const char *colon = memchr(user, ':', (size_t)(at - user));
        const char *shown_end = colon != NULL ? colon + 1 : at;
        gw_buf_add(out, word, (size_t)(shown_end - word));
        if (shown_end < at) {
            gw_buf_add_str(out, "***");
        }
        word = at;
    }
    mask_ports(out, word, end);
}

void gw_url_mask(gw_buf *out, const char *text)
{
    gw_buf_add(out, "", 0);
    while (*text != '\0') {
        const char *word = text + strspn(text, " \t\r\n");
        const char *end = word + strcspn(word, " \t\r\n");
        gw_buf_add(out, text, (size_t)(word - text));
        mask_word(out, word, end);
        text = end;
    }
}

/* Whether the query, up to its end, has the key. */
static bool has_query(const char *query, const char *key)
{
    size_t len = strlen(key);
    while (query != NULL) {
        query++; /* the '?' or the '&' */
        if (strncmp(query, key, len) == 0 && query[len] == '=') {
            return true;
        }
        query = strchr(query, '&');
    }
    return false;
}

void gw_url_add_password(gw_buf *out, const char *url, const char *password)
{
    const char *mark = strstr(url, "://");
    const char *user = mark != NULL ? mark + 3 : url;
    const char *end = user + strcspn(user, "/?#");
    const char *at = memrchr(user, '@', (size_t)(end - user));
    if (mark == NULL || at == NULL || memchr(user, ':', (size_t)(at - user)) != NULL ||
        has_query(strchr(end, '?'), "password_file")) {
        gw_buf_add_str(out, url);
        return;
    }
    gw_buf_add(out, url, (size_t)(at - url));
    gw_buf_add_char(out, ':');
    gw_url_encode(out, password, strlen(password));
    gw_buf_add_str(out, at);
}
