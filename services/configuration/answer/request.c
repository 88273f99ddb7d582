/* SPDX-License-Identifier: MIT */
#include "answer/request.h"

#include <string.h>

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

/* Characters that have no business in the name of an application or a label: those of URLs and
 * escapes, of git's revision syntax, of other systems' paths. */
static bool is_forbidden(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f || strchr("#%\\?*:[]~^<>|\"`$;&'{}", c) != NULL;
}

/* Replace each "(_)" with '/', in place. */
static void expand_slashes(char *text)
{
    char *out = text;
    while (*text != '\0') {
        if (strncmp(text, "(_)", 3) == 0) {
            *out++ = '/';
            text += 3;
        } else {
            *out++ = *text++;
        }
    }
    *out = '\0';
}

/* Whether each part between slashes is a name, not empty and not ".." or the like. */
static bool has_good_parts(const char *text)
{
    for (;;) {
        size_t len = strcspn(text, "/");
        if (len == 0 || text[0] == '.' || text[len - 1] == '.') {
            return false;
        }
        if (text[len] == '\0') {
            return true;
        }
        text += len + 1;
    }
}

static gw_status copy(const char *what, const char *text, char *ret, gw_error *err)
{
    size_t len = strlen(text);
    if (len == 0) {
        return gw_error_set(err, GW_E_INVALID, 0, "the %s is empty", what);
    }
    if (len > CS_NAME_BYTES_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "the %s has %zu bytes; at most %u are allowed",
                            what, len, CS_NAME_BYTES_MAX);
    }
    memcpy(ret, text, len + 1);
    return GW_OK;
}

/* A label or the name of one application, as it came. */
static gw_status check_path_like(const char *what, char *text, gw_error *err)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (is_forbidden(*p)) {
            return gw_error_set(err, GW_E_INVALID, 0, "the %s has a character that is not allowed",
                                what);
        }
    }
    if (strchr(text, '/') != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "the %s has a '/'; write it as (_)", what);
    }
    if (strstr(text, "..") != NULL || strncmp(text, "(_)", 3) == 0) {
        return gw_error_set(err, GW_E_INVALID, 0, "the %s leads out of the repository", what);
    }
    expand_slashes(text);
    if (text[0] == '-' || strstr(text, "..") != NULL || !has_good_parts(text)) {
        return gw_error_set(err, GW_E_INVALID, 0, "the %s is not a name", what);
    }
    return GW_OK;
}

/* A comma list of applications or labels; each is checked by itself, since each becomes a path or a
 * ref. */
static gw_status check_list(const char *what, size_t n_max, char *list, gw_error *err)
{
    char checked[CS_NAME_BYTES_MAX + 1];
    char part[CS_NAME_BYTES_MAX + 1];
    size_t out = 0;
    size_t n = 0;
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        memcpy(part, p, len);
        part[len] = '\0';
        gw_status st = len == 0 ? gw_error_set(err, GW_E_INVALID, 0, "the %s is empty", what)
                                : check_path_like(what, part, err);
        if (st != GW_OK) {
            return st;
        }
        if (++n > n_max) {
            return gw_error_set(err, GW_E_INVALID, 0, "more than %zu %ss", n_max, what);
        }
        size_t part_len = strlen(part);
        memcpy(checked + out, part, part_len);
        out += part_len;
        p += len;
        checked[out++] = *p;
        if (*p == '\0') {
            memcpy(list, checked, out);
            return GW_OK;
        }
    }
}

static gw_status check_profile(const char *text, size_t len, gw_error *err)
{
    if (len == 0) {
        return gw_error_set(err, GW_E_INVALID, 0, "a profile has no name");
    }
    if (!is_alnum(text[0]) || !is_alnum(text[len - 1])) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "a profile must begin and end with a letter or a digit");
    }
    for (size_t i = 0; i < len; i++) {
        bool is_twin_dot = text[i] == '.' && text[i + 1] == '.';
        if (is_twin_dot || (!is_alnum(text[i]) && strchr("-_.+@", text[i]) == NULL)) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "a profile may hold letters, digits and -_.+@ only");
        }
    }
    return GW_OK;
}

static gw_status check_profiles(const char *profiles, gw_error *err)
{
    size_t n = 0;
    for (const char *p = profiles;; p++) {
        size_t len = strcspn(p, ",");
        gw_status st = check_profile(p, len, err);
        if (st != GW_OK) {
            return st;
        }
        if (++n > CS_PROFILES_MAX) {
            return gw_error_set(err, GW_E_INVALID, 0, "more than %u profiles", CS_PROFILES_MAX);
        }
        p += len;
        if (*p == '\0') {
            return GW_OK;
        }
    }
}

gw_status cs_request_init(cs_request *req, const char *name, const char *profiles,
                          const char *label, gw_error *err)
{
    req->has_label = label != NULL;
    req->label[0] = '\0';
    gw_status st = copy("application", name, req->name, err);
    if (st == GW_OK) {
        st = check_list("application", CS_APPLICATIONS_MAX, req->name, err);
    }
    if (st == GW_OK) {
        st = copy("profile", profiles, req->profiles, err);
    }
    if (st == GW_OK) {
        st = check_profiles(req->profiles, err);
    }
    if (st == GW_OK && label != NULL) {
        st = copy("label", label, req->label, err);
        if (st == GW_OK) {
            st = check_list("label", CS_LABELS_MAX, req->label, err);
        }
    }
    return st;
}

/* Whether a part of a path names something: not ".", "..", what hides "..", or git's own. */
static bool is_good_part(const char *part, size_t len)
{
    return len > 0 && memmem(part, len, "..", 2) == NULL && !(len == 1 && part[0] == '.') &&
           !(len == 4 && strncasecmp(part, ".git", 4) == 0);
}

static bool has_good_path_parts(const char *path)
{
    for (;;) {
        size_t len = strcspn(path, "/");
        if (!is_good_part(path, len)) {
            return false;
        }
        if (path[len] == '\0') {
            return true;
        }
        path += len + 1;
    }
}

gw_status cs_path_init(char ret_path[CS_PATH_BYTES_MAX + 1], const char *text, gw_error *err)
{
    size_t len = strlen(text);
    if (len > CS_PATH_BYTES_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "the path has %zu bytes; at most %u are allowed",
                            len, CS_PATH_BYTES_MAX);
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || strchr("\x7f\\%#?*:", *p) != NULL) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "the path has a character that is not allowed");
        }
    }
    if (!has_good_path_parts(text)) {
        return gw_error_set(err, GW_E_INVALID, 0, "the path leads out of the repository");
    }
    memcpy(ret_path, text, len + 1);
    expand_slashes(ret_path);
    if (!has_good_path_parts(ret_path)) {
        return gw_error_set(err, GW_E_INVALID, 0, "the path leads out of the repository");
    }
    return GW_OK;
}

static bool is_word(char c)
{
    return is_alnum(c) || c == '_';
}

bool cs_profiles_have_extension(const char *profiles)
{
    static const char *const extensions[] = {"yml", "yaml", "properties", "json"};
    for (const char *dot = strchr(profiles, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        if (dot == profiles || !is_word(dot[-1])) {
            continue;
        }
        for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
            size_t len = strlen(extensions[i]);
            if (strncmp(dot + 1, extensions[i], len) == 0 && !is_word(dot[1 + len])) {
                return true;
            }
        }
    }
    return false;
}
