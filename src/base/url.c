/* SPDX-License-Identifier: MIT */
#include <godwit/url.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

gw_status gw_url_decode(gw_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            gw_buf_add_char(out, text[i]);
            continue;
        }
        int high = len - i > 2 ? hex_value(text[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low < 0 || (high == 0 && low == 0)) {
            return GW_E_INVALID;
        }
        gw_buf_add_char(out, (char)(high * 16 + low));
        i += 2;
    }
    return gw_buf_status(out);
}

void gw_url_encode(gw_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x80 && isalnum(c)) || (c != '\0' && strchr("-._~", c) != NULL)) {
            gw_buf_add_char(out, (char)c);
        } else {
            gw_buf_addf(out, "%%%02X", c);
        }
    }
}

/* Decode a part in place; the decoded form is never longer. */
static bool decode_in_place(char *part)
{
    char *to = part;
    for (char *from = part; *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int high = hex_value(from[1]);
        int low = high >= 0 ? hex_value(from[2]) : -1;
        if (low < 0 || (high == 0 && low == 0)) {
            return false;
        }
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = '\0';
    return true;
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
    unsigned long port = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9' && i < 6; i++) {
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (i == 0 || text[i] != '\0' || port == 0 || port > 65535) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static bool parse_host(char *text, gw_url_host *ret_host)
{
    char *port = NULL;
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return false;
        }
        port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        text++;
    } else {
        port = strchr(text, ':');
        if (port != NULL) {
            *port++ = '\0';
        }
        if (strpbrk(text, "[]") != NULL) {
            return false;
        }
    }
    ret_host->name = text;
    ret_host->port = 0;
    return text[0] != '\0' && decode_in_place(text) && (port == NULL || parse_port(port, &ret_host->port));
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

/* What is wrong with the URL, or NULL. Cuts `text` into the parts of `url`. */
static const char *parse(char *text, gw_url *url)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f) {
            return "it contains a blank or a control character";
        }
    }
    char *rest = strstr(text, "://");
    if (rest == NULL || rest == text) {
        return "it has no scheme, such as amqp://";
    }
    *rest = '\0';
    rest += 3;
    for (char *p = text; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("+-.", *p) == NULL) {
            return "its scheme has an odd character";
        }
        *p = (char)tolower((unsigned char)*p);
    }
    url->scheme = text;
    if (strchr(rest, '#') != NULL) {
        return "it contains '#' (write %23)";
    }
    char *query = strchr(rest, '?');
    if (query != NULL) {
        *query = '\0';
        url->query = query + 1;
    }
    /* The last '@' ends the user, so that an unescaped '@' in a password is not taken for a host. */
    char *slash = strchr(rest, '/');
    char *at = NULL;
    for (char *p = rest; *p != '\0' && (slash == NULL || p < slash); p++) {
        at = *p == '@' ? p : at;
    }
    char *path = strchr(at != NULL ? at : rest, '/');
    if (path != NULL) {
        /* The path keeps its '/', so the authority before it is moved one byte to the front. */
        size_t len = (size_t)(path - rest);
        memmove(rest - 1, rest, len);
        rest[len - 1] = '\0';
        rest--;
        at = at != NULL ? at - 1 : NULL;
        url->path = path;
        if (!decode_in_place(path)) {
            return "its path has a bad percent escape";
        }
    }
    if (at != NULL) {
        *at = '\0';
        if (!parse_user(rest, url)) {
            return "its user or password has a bad percent escape";
        }
        rest = at + 1;
    }
    if (!parse_hosts(rest, url)) {
        return "its host or port is not valid";
    }
    return NULL;
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
    gw_url url = {0};
    url.storage = strdup(text);
    if (url.storage == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a URL");
    }
    const char *fault = parse(url.storage, &url);
    if (fault != NULL) {
        gw_buf masked;
        gw_buf_init(&masked, 0);
        gw_url_mask(&masked, text);
        gw_error_set(err, GW_E_INVALID, 0, "URL '%s' is not valid: %s",
                     masked.data != NULL ? masked.data : "", fault);
        gw_buf_dispose(&masked);
        explicit_bzero(url.storage, len);
        free(url.storage);
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
    if (url->password != NULL) {
        explicit_bzero((char *)(uintptr_t)url->password, strlen(url->password));
    }
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
            gw_buf_init(&value, size - 1);
            gw_status st = gw_url_decode(&value, pair + key_len + 1, pair_len - key_len - 1);
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

/* End of the authority at `text`: a blank, a quote, or the '/', '?' or '#' after its last '@'. */
static const char *authority_end(const char *text)
{
    const char *word_end = text + strcspn(text, " \t\r\n\"'<>");
    const char *at = NULL;
    for (const char *p = text; p < word_end; p++) {
        at = *p == '@' ? p : at;
    }
    return at != NULL ? at : text;
}

void gw_url_mask(gw_buf *out, const char *text)
{
    const char *rest = text;
    const char *mark;
    while ((mark = strstr(rest, "://")) != NULL) {
        const char *authority = mark + 3;
        const char *at = authority_end(authority);
        const char *colon = memchr(authority, ':', (size_t)(at - authority));
        if (at == authority || colon == NULL) {
            gw_buf_add(out, rest, (size_t)(authority - rest));
            rest = authority;
            continue;
        }
        gw_buf_add(out, rest, (size_t)(colon + 1 - rest));
        gw_buf_add_str(out, "***");
        rest = at;
    }
    gw_buf_add_str(out, rest);
}
