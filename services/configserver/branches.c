/* SPDX-License-Identifier: MIT */
#include "branches.h"

#include <stdio.h>
#include <string.h>

#include <godwit/buf.h>

static const char *short_name(const char *ref)
{
    static const char *const prefixes[] = {"refs/heads/", "refs/tags/"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t len = strlen(prefixes[i]);
        if (strncmp(ref, prefixes[i], len) == 0) {
            return ref + len;
        }
    }
    return ref;
}

/* Only one of the two is in a repository as a rule, and it is served under both names. */
static const char *stand_in(const char *branch)
{
    return strcmp(branch, "main") == 0 ? "master" : strcmp(branch, "master") == 0 ? "main" : branch;
}

static bool is_served(const cs_webhook_rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->n_branches; i++) {
        const char *branch = rules->branches[i];
        if (strcmp(branch, "*") == 0 || strcmp(branch, name) == 0 ||
            (rules->with_stand_ins && strcmp(stand_in(branch), name) == 0)) {
            return true;
        }
    }
    return rules->n_branches == 0;
}

void cs_branches_add(cs_branches *branches, const char *ref, bool is_deleted)
{
    if (ref == NULL) {
        return;
    }
    branches->is_any = true;
    branches->last = short_name(ref);
    branches->is_last_deleted = is_deleted;
    branches->is_served =
        branches->is_served || (!is_deleted && is_served(branches->rules, branches->last));
}

bool cs_branches_count(const cs_branches *branches)
{
    return branches->is_served || !branches->is_any;
}

void cs_branches_explain(const cs_branches *branches, char *ret_text, size_t size)
{
    if (branches->is_last_deleted) {
        snprintf(ret_text, size, "the branch '%.100s' was deleted", branches->last);
        return;
    }
    gw_buf served;
    gw_buf_init(&served, 0);
    for (size_t i = 0; i < branches->rules->n_branches && served.len < 80; i++) {
        gw_buf_addf(&served, "%s%.80s", i > 0 ? ", " : "", branches->rules->branches[i]);
    }
    snprintf(ret_text, size, "a push to '%.100s', which is none of the branches that count: %s",
             branches->last, served.data != NULL ? served.data : "");
    gw_buf_dispose(&served);
}
