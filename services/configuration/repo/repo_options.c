/* SPDX-License-Identifier: MIT */
#include "repo/repo_options.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REFRESH_S 30
#define TIMEOUT_S 20

static bool copy_text(const char **text)
{
    if (*text == NULL) {
        return true;
    }
    *text = strdup(*text);
    return *text != NULL;
}

static char **copy_list(const char *const *items, size_t n)
{
    char **list = calloc(n + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && i < n; i++) {
        list[i] = strdup(items[i]);
        if (list[i] == NULL) {
            while (i > 0) {
                free(list[--i]);
            }
            free(list);
            return NULL;
        }
    }
    return list;
}

static void free_list(const char *const *items, size_t n)
{
    for (size_t i = 0; items != NULL && i < n; i++) {
        free((char *)(uintptr_t)items[i]);
    }
    free((void *)(uintptr_t)items);
}

static void free_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

static void free_secret(const char *secret)
{
    if (secret != NULL) {
        explicit_bzero((char *)(uintptr_t)secret, strlen(secret));
    }
    free_text(secret);
}

/* Each is copied or NULL, so that a copy which failed half-way can be freed. */
static bool copy_texts(cs_repo_options *copy)
{
    const char **texts[] = {
        &copy->name,
        &copy->uri,
        &copy->default_label,
        &copy->basedir,
        &copy->username,
        &copy->password,
        &copy->private_key_file,
        &copy->passphrase,
        &copy->known_hosts_file,
        &copy->ca_file,
    };
    bool is_good = true;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        is_good = copy_text(texts[i]) && is_good;
    }
    return is_good;
}

cs_repo_options *cs_repo_options_copy(const cs_repo_options *options, const char *name,
                                      const char *uri)
{
    cs_repo_options *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return NULL;
    }
    *copy = *options;
    copy->name = name != NULL ? name : options->name == NULL ? "default" : options->name;
    copy->uri = uri != NULL ? uri : options->uri == NULL ? "" : options->uri;
    copy->default_label = options->default_label == NULL ? "main" : options->default_label;
    copy->refresh_s = options->refresh_s == 0 ? REFRESH_S : options->refresh_s;
    copy->timeout_s = options->timeout_s == 0 ? TIMEOUT_S : options->timeout_s;
    copy->patterns = (const char *const *)copy_list(options->patterns, options->n_patterns);
    copy->search_paths =
        (const char *const *)copy_list(options->search_paths, options->n_search_paths);
    bool is_good = copy_texts(copy) && copy->patterns != NULL && copy->search_paths != NULL;
    if (!is_good) {
        cs_repo_options_free(copy);
        return NULL;
    }
    return copy;
}

void cs_repo_options_free(cs_repo_options *options)
{
    if (options == NULL) {
        return;
    }
    free_list(options->patterns, options->n_patterns);
    free_list(options->search_paths, options->n_search_paths);
    free_secret(options->uri);
    free_secret(options->password);
    free_secret(options->passphrase);
    free_text(options->name);
    free_text(options->default_label);
    free_text(options->basedir);
    free_text(options->username);
    free_text(options->private_key_file);
    free_text(options->known_hosts_file);
    free_text(options->ca_file);
    free(options);
}
