/* SPDX-License-Identifier: MIT */
/* Users and what they may do. */
#include "settings_inside.h"

#include <stdio.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* The secret in one of its forms below a prefix: `what`, what-file, what-sha256. */
static gw_status read_credential(const cs_settings_reader *r, const char *prefix, const char *what,
                                 bool is_token, cs_user *user)
{
    static const char *const forms[] = {"", "-file", "-sha256"};
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < N(forms); i++) {
        char key[CS_SETTING_KEY_MAX];
        snprintf(key, sizeof(key), "%s.%s%s", prefix, what, forms[i]);
        cs_setting setting;
        if (!cs_settings_find(r->file, key, &setting)) {
            continue;
        }
        if (user->has_secret) {
            return cs_settings_wrong(r, &setting, "is one secret too many for this user");
        }
        const char *secret = setting.value;
        if (i == 1) {
            st = cs_settings_secret(r, &setting, true, &secret);
        }
        if (i == 2 && !cs_digest_parse(secret, user->digest)) {
            st = cs_settings_wrong(r, &setting, "is not a SHA-256: 64 hexadecimal digits");
        } else if (i != 2 && st == GW_OK) {
            st = cs_digest_of(secret, strlen(secret), user->digest, r->err);
        }
        user->has_secret = true;
        user->is_token = is_token;
    }
    return st;
}

static gw_status read_actions(const cs_settings_reader *r, const char *prefix, unsigned fallback,
                              unsigned *ret_actions)
{
    static const struct {
        const char *name;
        unsigned actions;
    } words[] = {
        {"read", CS_ACTION_READ},       {"explain", CS_ACTION_EXPLAIN},
        {"encrypt", CS_ACTION_ENCRYPT}, {"decrypt", CS_ACTION_DECRYPT},
        {"refresh", CS_ACTION_REFRESH}, {"files", CS_ACTION_FILES},
        {"all", CS_ACTIONS_ALL},
    };
    char key[CS_SETTING_KEY_MAX];
    snprintf(key, sizeof(key), "%s.allow", prefix);
    const char *const *items;
    size_t n = 0;
    gw_status st =
        cs_settings_list(r->file, r->arena, key, CS_SETTING_LIST_MAX, &items, &n, r->err);
    *ret_actions = n == 0 ? fallback : 0;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        unsigned found = 0;
        for (size_t j = 0; j < N(words); j++) {
            found |= strcmp(words[j].name, items[i]) == 0 ? words[j].actions : 0;
        }
        if (found == 0) {
            st = gw_error_set(r->err, GW_E_INVALID, 0,
                              "'%s': '%.40s' is none of read, explain, files, encrypt, decrypt, "
                              "refresh, all",
                              key, items[i]);
        }
        *ret_actions |= found;
    }
    return st;
}

static gw_status read_lists(const cs_settings_reader *r, const char *prefix, cs_user *user)
{
    char key[CS_SETTING_KEY_MAX];
    snprintf(key, sizeof(key), "%s.applications", prefix);
    gw_status st = cs_settings_list(r->file, r->arena, key, CS_USER_RULES_MAX, &user->applications,
                                    &user->n_applications, r->err);
    snprintf(key, sizeof(key), "%s.profiles", prefix);
    return st == GW_OK ? cs_settings_list(r->file, r->arena, key, CS_USER_RULES_MAX,
                                          &user->profiles, &user->n_profiles, r->err)
                       : st;
}

static gw_status add_user(const cs_settings_reader *r, const cs_user *user)
{
    if (r->settings->n_users == CS_USERS_MAX) {
        return gw_error_set(r->err, GW_E_LIMIT, 0, "more than %u users", CS_USERS_MAX);
    }
    r->settings->users[r->settings->n_users++] = *user;
    return GW_OK;
}

static gw_status read_user(const cs_settings_reader *r, const char *prefix)
{
    cs_user user = {.name = NULL};
    char key[CS_SETTING_KEY_MAX];
    snprintf(key, sizeof(key), "%s.name", prefix);
    cs_setting name;
    if (cs_settings_find(r->file, key, &name)) {
        user.name = name.value;
    }
    gw_status st = read_credential(r, prefix, "password", false, &user);
    if (st == GW_OK) {
        st = read_credential(r, prefix, "token", true, &user);
    }
    if (st == GW_OK && (user.name == NULL || !user.has_secret)) {
        st = gw_error_set(r->err, GW_E_INVALID, 0,
                          "'%s' needs a name and one of password, password-file, password-sha256, "
                          "token, token-file, token-sha256",
                          prefix);
    }
    if (st == GW_OK) {
        st = read_actions(r, prefix, CS_ACTION_READ | CS_ACTION_EXPLAIN, &user.actions);
    }
    if (st == GW_OK) {
        st = read_lists(r, prefix, &user);
    }
    return st == GW_OK ? add_user(r, &user) : st;
}

/* Spring's one user, who may do everything. */
static gw_status read_spring_user(const cs_settings_reader *r)
{
    cs_user user = {.name = "user", .actions = CS_ACTIONS_ALL};
    cs_setting name;
    if (cs_settings_find(r->file, "spring.security.user.name", &name)) {
        user.name = name.value;
    }
    gw_status st = read_credential(r, "spring.security.user", "password", false, &user);
    return st == GW_OK && user.has_secret ? add_user(r, &user) : st;
}

gw_status cs_settings_read_users(const cs_settings_reader *r)
{
    r->settings->users = cs_arena_alloc(r->arena, CS_USERS_MAX * sizeof(cs_user));
    if (r->settings->users == NULL) {
        return cs_settings_no_memory(r);
    }
    gw_status st = read_spring_user(r);
    char index[16];
    for (size_t i = 0; st == GW_OK && cs_settings_name_below(r->file, "godwit.access.users", i,
                                                             index, sizeof(index));
         i++) {
        char prefix[64];
        snprintf(prefix, sizeof(prefix), "godwit.access.users[%s]", index);
        st = read_user(r, prefix);
    }
    cs_user anybody = {.name = NULL};
    if (st == GW_OK) {
        st = read_actions(r, "godwit.access.anonymous", 0, &anybody.actions);
    }
    if (st == GW_OK) {
        st = read_lists(r, "godwit.access.anonymous", &anybody);
    }
    return st == GW_OK && anybody.actions != 0 ? add_user(r, &anybody) : st;
}
