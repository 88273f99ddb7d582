/* SPDX-License-Identifier: MIT */
#include "providers.h"

#include <string.h>

gw_status cs_names_add_json(cs_names *names, const json_t *value)
{
    if (json_is_string(value)) {
        return cs_names_add_path(names,
                                 (cs_text){json_string_value(value), json_string_length(value)});
    }
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (json_is_string(item)) {
            st = cs_names_add_json(names, item);
        }
    }
    return st;
}

static gw_status add_any_file(cs_names *names, const json_t *body)
{
    (void)body;
    return cs_names_add_path(names, (cs_text){CS_ANY_FILE, strlen(CS_ANY_FILE)});
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
            st = cs_names_add_json(names, json_object_get(commit, lists[j]));
        }
    }
    return st;
}

/* Newer Gitea names the files, older does not. */
static gw_status add_gitea(cs_names *names, const json_t *body)
{
    gw_status st = add_commits(names, body);
    if (st == GW_OK && names->n_paths == 0 && json_is_array(json_object_get(body, "commits"))) {
        st = add_any_file(names, body);
    }
    return st;
}

/* The members one below the other; NULL if one is not there. The path ends with NULL. */
static const json_t *member(const json_t *value, const char *const *path)
{
    for (; value != NULL && *path != NULL; path++) {
        value = json_object_get(value, *path);
    }
    return value;
}

#define MEMBER(value, ...) member(value, (const char *const[]){__VA_ARGS__, NULL})

/* An id of zeros stands for "not there". */
static bool is_nothing(const char *commit)
{
    return commit != NULL && commit[0] != '\0' && strspn(commit, "0") == strlen(commit);
}

static void add_ref(cs_branches *branches, const json_t *body)
{
    bool is_deleted = json_is_true(json_object_get(body, "deleted")) ||
                      is_nothing(json_string_value(json_object_get(body, "after")));
    cs_branches_add(branches, json_string_value(json_object_get(body, "ref")), is_deleted);
}

/* Bitbucket Cloud: a change from "old" to "new", of which one is null when there was or is none. */
static void add_cloud_changes(cs_branches *branches, const json_t *body)
{
    const json_t *changes = MEMBER(body, "push", "changes");
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        const char *name = json_string_value(MEMBER(change, "new", "name"));
        const char *old = json_string_value(MEMBER(change, "old", "name"));
        cs_branches_add(branches, name != NULL ? name : old, name == NULL);
    }
}

static void add_server_changes(cs_branches *branches, const json_t *body)
{
    const json_t *changes = json_object_get(body, "changes");
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        const char *type = json_string_value(json_object_get(change, "type"));
        cs_branches_add(branches, json_string_value(MEMBER(change, "ref", "displayId")),
                        type != NULL && strcmp(type, "DELETE") == 0);
    }
}

static void add_merged(cs_branches *branches, const json_t *body)
{
    cs_branches_add(branches, json_string_value(MEMBER(body, "pullRequest", "toRef", "displayId")),
                    false);
}

static const char *header_of(const cs_webhook *hook, const char *name)
{
    return hook->header(hook->ctx, name);
}

static bool header_is(const cs_webhook *hook, const char *name, const char *value)
{
    const char *found = header_of(hook, name);
    return found != NULL && strcmp(found, value) == 0;
}

/* Bitbucket tells that something was pushed, and where to, not which files. */
static const cs_host *bitbucket_of(const cs_webhook *hook, const json_t *body)
{
    static const cs_host cloud = {"Bitbucket", CS_BITBUCKET, add_any_file, add_cloud_changes};
    static const cs_host server = {"Bitbucket Server", CS_BITBUCKET, add_any_file,
                                   add_server_changes};
    static const cs_host merged = {"Bitbucket Server", CS_BITBUCKET, add_any_file, add_merged};
    if (header_of(hook, "X-Hook-UUID") != NULL &&
        (header_is(hook, "X-Event-Key", "repo:push") ||
         header_is(hook, "X-Event-Key", "pullrequest:fulfilled"))) {
        return json_array_size(MEMBER(body, "push", "changes")) > 0 ? &cloud : NULL;
    }
    if (header_of(hook, "X-Request-Id") == NULL) {
        return NULL;
    }
    if (header_is(hook, "X-Event-Key", "pr:merged")) {
        return &merged;
    }
    return header_is(hook, "X-Event-Key", "repo:refs_changed") &&
                   json_array_size(json_object_get(body, "changes")) > 0
               ? &server
               : NULL;
}

static const struct {
    const char *header;
    const char *event;
    cs_host host;
} hosts[] = {
    /* First: Gitea and Forgejo send the headers of the two below as well. */
    {"X-Gitea-Event", "push", {"Gitea", CS_GITEA, add_gitea, add_ref}},
    {"X-Gogs-Event", "push", {"Gogs", CS_GOGS, add_commits, add_ref}},
    {"X-GitHub-Event", "push", {"GitHub", CS_GITHUB, add_commits, add_ref}},
    {"X-Gitlab-Event", "Push Hook", {"GitLab", CS_GITLAB, add_commits, add_ref}},
    {"X-Git-Oschina-Event", "Push Hook", {"Gitee", CS_GITEE, add_commits, add_ref}},
    {"X-Gitee-Event", "Push Hook", {"Gitee", CS_GITEE, add_commits, add_ref}},
};

const cs_host *cs_host_of(const cs_webhook *hook, const json_t *body)
{
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        if (header_is(hook, hosts[i].header, hosts[i].event)) {
            return &hosts[i].host;
        }
    }
    return bitbucket_of(hook, body);
}

const char *cs_event_of(const cs_webhook *hook)
{
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        const char *event = hook->header(hook->ctx, hosts[i].header);
        if (event != NULL) {
            return event;
        }
    }
    return NULL;
}

static gw_status add_url(cs_push *push, const json_t *value)
{
    size_t len = json_string_length(value);
    if (len == 0 || len > CS_WEBHOOK_PATH_MAX || push->n_urls == CS_WEBHOOK_URLS_MAX) {
        return GW_OK;
    }
    cs_text url = {json_string_value(value), len};
    for (size_t i = 0; i < push->n_urls; i++) {
        if (push->urls[i].len == len && memcmp(push->urls[i].bytes, url.bytes, len) == 0) {
            return GW_OK;
        }
    }
    url = cs_arena_copy(&push->names.arena, url.bytes, len);
    if (url.bytes == NULL) {
        return cs_arena_status(&push->names.arena);
    }
    push->urls[push->n_urls++] = url;
    return GW_OK;
}

/* Bitbucket's: "html" and "self" are {"href":...}, or arrays of these, as "clone" is. */
static gw_status add_links(cs_push *push, const json_t *links)
{
    static const char *const names[] = {"clone", "html", "self"};
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *link = json_object_get(links, names[i]);
        st = add_url(push, json_object_get(link, "href"));
        for (size_t j = 0; st == GW_OK && j < json_array_size(link); j++) {
            st = add_url(push, json_object_get(json_array_get(link, j), "href"));
        }
    }
    return st;
}

gw_status cs_push_add_urls(cs_push *push, const json_t *body)
{
    static const char *const names[] = {"clone_url", "ssh_url",     "git_url",  "git_http_url",
                                        "http_url",  "git_ssh_url", "html_url", "web_url",
                                        "homepage",  "url"};
    const json_t *repositories[] = {
        json_object_get(body, "repository"),
        json_object_get(body, "project"),
        MEMBER(body, "pullRequest", "toRef", "repository"),
    };
    gw_status st = GW_OK;
    for (size_t i = 0; i < sizeof(repositories) / sizeof(repositories[0]); i++) {
        for (size_t j = 0; st == GW_OK && j < sizeof(names) / sizeof(names[0]); j++) {
            st = add_url(push, json_object_get(repositories[i], names[j]));
        }
        if (st == GW_OK) {
            st = add_links(push, json_object_get(repositories[i], "links"));
        }
    }
    return st;
}
