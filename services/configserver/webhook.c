/* SPDX-License-Identifier: MIT */
#include "webhook.h"

#include <string.h>
#include <strings.h>

#include <godwit/buf.h>
#include <godwit/url.h>
#include <jansson.h>

#define ANY_CHANGE "application.yml" /* a host that does not say which files: everybody */

static gw_status add_any_change(cs_names *names)
{
    return cs_names_add_path(names, (cs_text){ANY_CHANGE, strlen(ANY_CHANGE)});
}

/* A path, or an array of paths; anything else is no path. */
static gw_status add_json_paths(cs_names *names, const json_t *value)
{
    if (json_is_string(value)) {
        return cs_names_add_path(names,
                                 (cs_text){json_string_value(value), json_string_length(value)});
    }
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (json_is_string(item)) {
            st = cs_names_add_path(names,
                                   (cs_text){json_string_value(item), json_string_length(item)});
        }
    }
    return st;
}

/* GitHub's form, which others took over: commits[] with added, removed and modified. */
static gw_status add_commits(cs_names *names, const json_t *body)
{
    static const char *const lists[] = {"added", "removed", "modified"};
    const json_t *commits = json_object_get(body, "commits");
    gw_status st = GW_OK;
    for (size_t i = 0; i < json_array_size(commits); i++) {
        const json_t *commit = json_array_get(commits, i);
        for (size_t j = 0; st == GW_OK && j < sizeof(lists) / sizeof(lists[0]); j++) {
            st = add_json_paths(names, json_object_get(commit, lists[j]));
        }
    }
    return st;
}

/* Newer Gitea names the files, older does not. */
static gw_status add_gitea(cs_names *names, const json_t *body)
{
    gw_status st = add_commits(names, body);
    if (st == GW_OK && names->n_paths == 0 && json_is_array(json_object_get(body, "commits"))) {
        st = add_any_change(names);
    }
    return st;
}

static bool header_is(const cs_webhook *hook, const char *name, const char *value)
{
    const char *found = hook->header(hook->ctx, name);
    return found != NULL && strcmp(found, value) == 0;
}

static bool has_header(const cs_webhook *hook, const char *name)
{
    return hook->header(hook->ctx, name) != NULL;
}

/* Bitbucket tells that something was pushed, not what. */
static bool is_bitbucket_push(const cs_webhook *hook, const json_t *body)
{
    if (has_header(hook, "X-Hook-UUID") &&
        (header_is(hook, "X-Event-Key", "repo:push") ||
         header_is(hook, "X-Event-Key", "pullrequest:fulfilled"))) {
        const json_t *changes = json_object_get(json_object_get(body, "push"), "changes");
        return json_array_size(changes) > 0;
    }
    if (!has_header(hook, "X-Request-Id")) {
        return false;
    }
    return header_is(hook, "X-Event-Key", "pr:merged") ||
           (header_is(hook, "X-Event-Key", "repo:refs_changed") &&
            json_array_size(json_object_get(body, "changes")) > 0);
}

static gw_status add_json(const cs_webhook *hook, const json_t *body, cs_names *names)
{
    static const struct {
        const char *header;
        const char *value;
        gw_status (*add)(cs_names *names, const json_t *body);
    } providers[] = {
        {"X-Gitea-Event", "push", add_gitea}, /* first: it sends the two below as well */
        {"X-Gogs-Event", "push", add_commits},
        {"X-GitHub-Event", "push", add_commits},
        {"X-Gitlab-Event", "Push Hook", add_commits},
        {"X-Git-Oschina-Event", "Push Hook", add_commits},
    };
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        if (header_is(hook, providers[i].header, providers[i].value)) {
            return providers[i].add(names, body);
        }
    }
    if (is_bitbucket_push(hook, body)) {
        return add_any_change(names);
    }
    return add_json_paths(names, json_object_get(body, "path"));
}

static gw_status read_json(const cs_webhook *hook, cs_names *names, gw_error *err)
{
    json_error_t where;
    json_t *body = json_loadb(hook->body, hook->body_len, JSON_REJECT_DUPLICATES, &where);
    if (body == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "the body is not JSON: line %d, column %d",
                            where.line, where.column);
    }
    gw_status st = add_json(hook, body, names);
    json_decref(body);
    return st;
}

/* "path" of a form, decoded. */
static gw_status add_form_value(cs_names *names, const char *value, size_t len)
{
    gw_buf plain;
    gw_buf decoded;
    gw_buf_init(&plain, 3 * CS_WEBHOOK_PATH_MAX);
    gw_buf_init(&decoded, 3 * CS_WEBHOOK_PATH_MAX);
    for (size_t i = 0; i < len; i++) {
        gw_buf_add_char(&plain, value[i] == '+' ? ' ' : value[i]);
    }
    gw_status st = gw_buf_status(&plain);
    if (st == GW_OK && plain.len > 0) {
        st = gw_url_decode(&decoded, plain.data, plain.len);
    }
    if (st == GW_OK && decoded.len > 0) {
        st = cs_names_add_path(names, (cs_text){decoded.data, decoded.len});
    }
    gw_buf_dispose(&plain);
    gw_buf_dispose(&decoded);
    return st;
}

static gw_status read_form(const cs_webhook *hook, cs_names *names)
{
    const char *p = hook->body;
    const char *end = hook->body + hook->body_len;
    gw_status st = GW_OK;
    while (st == GW_OK && p < end) {
        const char *next = memchr(p, '&', (size_t)(end - p));
        const char *field_end = next == NULL ? end : next;
        size_t len = (size_t)(field_end - p);
        if (len > 5 && memcmp(p, "path=", 5) == 0) {
            st = add_form_value(names, p + 5, len - 5);
        }
        p = next == NULL ? end : next + 1;
    }
    return st;
}

/* Many a script sends JSON as what curl -d calls it, so the body has a say too. */
static bool is_form(const cs_webhook *hook)
{
    static const char type[] = "application/x-www-form-urlencoded";
    const char *found = hook->header(hook->ctx, "Content-Type");
    return found != NULL && strncasecmp(found, type, sizeof(type) - 1) == 0 &&
           (hook->body_len == 0 || hook->body[0] != '{');
}

gw_status cs_webhook_read(const cs_webhook *hook, cs_names *names, gw_error *err)
{
    gw_status st = GW_OK;
    if (is_form(hook)) {
        st = read_form(hook, names);
        if (st == GW_E_INVALID) {
            return gw_error_set(err, st, 0, "the form's 'path' has a broken escape or a NUL");
        }
    } else {
        st = read_json(hook, names, err);
    }
    if (st == GW_E_LIMIT) {
        return gw_error_set(err, st, 0, "more than %u paths, or one of more than %u bytes",
                            CS_WEBHOOK_PATHS_MAX, CS_WEBHOOK_PATH_MAX);
    }
    if (st == GW_E_NOMEM) {
        return gw_error_set(err, st, 0, "out of memory");
    }
    return st;
}
