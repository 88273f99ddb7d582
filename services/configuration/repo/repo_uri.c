/* SPDX-License-Identifier: MIT */
#include "repo/repo_uri.h"

#include <string.h>

static const char *const PLACEHOLDERS[] = {"{application}", "{profile}", "{label}"};

#define N_PLACEHOLDERS (sizeof(PLACEHOLDERS) / sizeof(PLACEHOLDERS[0]))

/* The length of the placeholder that `text` begins with, and which; 0 if none. */
static size_t placeholder_at(const char *text, size_t *ret_which)
{
    for (size_t i = 0; i < N_PLACEHOLDERS; i++) {
        size_t len = strlen(PLACEHOLDERS[i]);
        if (strncmp(text, PLACEHOLDERS[i], len) == 0) {
            *ret_which = i;
            return len;
        }
    }
    return 0;
}

static const char *first_placeholder(const char *text)
{
    size_t which = 0;
    for (const char *p = strchr(text, '{'); p != NULL; p = strchr(p + 1, '{')) {
        if (placeholder_at(p, &which) > 0) {
            return p;
        }
    }
    return NULL;
}

bool cs_repo_uri_is_template(const char *uri)
{
    return first_placeholder(uri) != NULL;
}

/* Behind the scheme, or the beginning. */
static const char *after_scheme(const char *uri)
{
    const char *colon = strstr(uri, "://");
    if (colon != NULL && strcspn(uri, "/:") == (size_t)(colon - uri)) {
        return colon + 3;
    }
    return strncmp(uri, "file:", 5) == 0 ? uri + 5 : uri;
}

/* "user@host:path", as git writes it. */
static bool is_scp_like(const char *uri)
{
    size_t n = strcspn(uri, ":/");
    return n > 0 && uri[n] == ':' && after_scheme(uri) == uri;
}

gw_status cs_repo_uri_check(const char *uri, gw_error *err)
{
    const char *first = first_placeholder(uri);
    if (first == NULL) {
        return GW_OK;
    }
    const char *path = is_scp_like(uri) ? strchr(uri, ':') : strchr(after_scheme(uri), '/');
    if (path == NULL || first <= path) {
        gw_buf text;
        gw_buf_init(&text, 0);
        cs_repo_uri_public(uri, &text);
        gw_status st = gw_error_set(
            err, GW_E_INVALID, 0,
            "%s: clients would choose the host: {application}, {profile} and {label} may stand in "
            "the path only, behind its first '/'",
            text.len == 0 ? "" : text.data);
        gw_buf_dispose(&text);
        return st;
    }
    return GW_OK;
}

/* Names have been validated where they came in; this is what makes them safe here, whoever calls.
 */
static bool is_name(const char *name)
{
    for (const char *part = name;;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || part[0] == '.' || part[0] == '-') {
            return false;
        }
        for (size_t i = 0; i < len; i++) {
            unsigned char c = (unsigned char)part[i];
            if (c <= ' ' || c == 0x7f || strchr("\\:?*[]{}#%\"'`$&;|<>~^(),", c) != NULL) {
                return false;
            }
        }
        if (part[len] == '\0') {
            return true;
        }
        part += len + 1;
    }
}

bool cs_repo_uri_expand(const char *text, const cs_names *names, gw_buf *out)
{
    const char *values[N_PLACEHOLDERS] = {names->application, names->profile, names->label};
    while (*text != '\0') {
        size_t which = 0;
        size_t len = *text == '{' ? placeholder_at(text, &which) : 0;
        if (len == 0) {
            gw_buf_add_char(out, *text++);
            continue;
        }
        if (values[which] == NULL || !is_name(values[which])) {
            return false;
        }
        gw_buf_add_str(out, values[which]);
        text += len;
    }
    return gw_buf_status(out) == GW_OK;
}

/* Behind the last '@' of what can be a user and a password. */
static const char *after_user(const char *authority)
{
    size_t len = strcspn(authority, "/");
    const char *at = memrchr(authority, '@', len);
    return at == NULL ? authority : at + 1;
}

void cs_repo_uri_public(const char *uri, gw_buf *out)
{
    const char *rest = after_scheme(uri);
    if (rest > uri && rest[-1] == '/') {
        gw_buf_add(out, uri, (size_t)(rest - uri));
        rest = after_user(rest);
    }
    gw_buf_add_str(out, rest);
}

static void add_lower(gw_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        gw_buf_add_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
}

/* Without slashes at either end and ".git". */
static void add_path(gw_buf *out, const char *path)
{
    path += strspn(path, "/");
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    if (len > 4 && strncmp(path + len - 4, ".git", 4) == 0) {
        len -= path[len - 5] == '/' ? 5u : 4u; /* "a.git", and "a/.git" of a working tree */
    }
    gw_buf_add_char(out, '/');
    gw_buf_add(out, path, len);
}

void cs_repo_uri_key(const char *uri, gw_buf *out)
{
    const char *rest = after_scheme(uri);
    bool is_local = uri[0] == '/' || strncmp(uri, "file:", 5) == 0;
    if (is_local) {
        rest += strncmp(rest, "localhost/", 10) == 0 ? 9 : 0;
        add_path(out, rest);
        return;
    }
    rest = after_user(rest);
    bool is_scp = is_scp_like(uri);
    size_t host_len = strcspn(rest, is_scp ? ":" : "/:");
    add_lower(out, rest, host_len);
    rest += host_len;
    if (*rest == ':') {
        rest += is_scp ? 1 : strcspn(rest, "/"); /* hosts serve git on several ports */
    }
    add_path(out, rest);
}
