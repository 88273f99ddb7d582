/* SPDX-License-Identifier: MIT */
#include "answer/activation.h"

#include <string.h>

#define ON_PROFILE        "spring.config.activate.onprofile"
#define ON_CLOUD_PLATFORM "spring.config.activate.oncloudplatform"
#define PROFILES          "spring.profiles"
#define ACTIVE            "spring.profiles.active"
#define INCLUDE           "spring.profiles.include"
#define IMPORT            "spring.config.import"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/*
 * Whether a key is `name`, or with `items` one of its list items (`name[0]`). Spring binds loosely:
 * case, '-' and '_' do not count, so onProfile is on-profile. `name` is in lower case without them.
 */
static bool is_key(cs_text key, const char *name, bool items)
{
    size_t i = 0;
    for (; i < key.len && *name != '\0'; i++) {
        if (key.bytes[i] == '-' || key.bytes[i] == '_') {
            continue;
        }
        if (lower(key.bytes[i]) != *name) {
            return false;
        }
        name++;
    }
    return *name == '\0' && (i == key.len || (items && key.bytes[i] == '['));
}

static bool begins_with_spring(cs_text key)
{
    return key.len > 6 && lower(key.bytes[0]) == 's' && strncasecmp(key.bytes, "spring", 6) == 0;
}

/* A list of which one must hold. */
static gw_status match_list(const cs_file *file, const cs_property *property,
                            const cs_profiles *profiles, bool *ret_match, gw_error *err)
{
    cs_text rest = property->value;
    cs_text expression;
    while (cs_list_next(&rest, &expression)) {
        bool match = false;
        gw_status st = cs_profiles_match(profiles, expression, &match);
        if (st != GW_OK) {
            return gw_error_set(err, GW_E_INVALID, 0, "%s:%u: malformed profile expression '%.*s'",
                                file->path, property->line,
                                (int)(expression.len < 128 ? expression.len : 128),
                                expression.bytes);
        }
        *ret_match = *ret_match || match;
    }
    return GW_OK;
}

gw_status cs_document_is_active(const cs_file *file, const cs_document *doc,
                                const cs_profiles *profiles, bool *ret_is_active, gw_error *err)
{
    bool has_condition = false;
    bool holds = false;
    bool on_platform = true;
    for (size_t i = 0; i < doc->n_items; i++) {
        const cs_property *property = &doc->items[i];
        if (!begins_with_spring(property->key)) {
            continue;
        }
        if (is_key(property->key, ON_PROFILE, true)) {
            has_condition = has_condition || property->value.len > 0;
            gw_status st = match_list(file, property, profiles, &holds, err);
            if (st != GW_OK) {
                return st;
            }
        } else if (is_key(property->key, ON_CLOUD_PLATFORM, false)) {
            on_platform = property->value.len == 0 || cs_text_is(property->value, "none");
        }
    }
    *ret_is_active = on_platform && (holds || !has_condition);
    return GW_OK;
}

bool cs_document_has_directives(const cs_document *doc)
{
    for (size_t i = 0; i < doc->n_items; i++) {
        if (begins_with_spring(doc->items[i].key)) {
            return true;
        }
    }
    return false;
}

bool cs_document_depends_on_profile(const cs_document *doc)
{
    for (size_t i = 0; i < doc->n_items; i++) {
        if (is_key(doc->items[i].key, ON_PROFILE, true)) {
            return true;
        }
    }
    return false;
}

static bool is_profile_setting(cs_text key)
{
    return is_key(key, INCLUDE, true) || is_key(key, ACTIVE, true) ||
           is_key(key, PROFILES ".default", true);
}

gw_status cs_document_check(const cs_file *file, const cs_document *doc, bool is_profile_specific,
                            gw_error *err)
{
    for (size_t i = 0; i < doc->n_items; i++) {
        const cs_property *property = &doc->items[i];
        if (!begins_with_spring(property->key)) {
            continue;
        }
        if (is_key(property->key, PROFILES, true)) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "%s:%u: 'spring.profiles' is no longer allowed; use "
                                "'spring.config.activate.on-profile'",
                                file->path, property->line);
        }
        if (is_profile_setting(property->key) &&
            (is_profile_specific || cs_document_depends_on_profile(doc))) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "%s:%u: '%s' is not allowed in a profile-specific document",
                                file->path, property->line, property->key.bytes);
        }
    }
    return GW_OK;
}

const cs_property *cs_document_next(const cs_document *doc, cs_directive which, size_t *at)
{
    static const char *const names[] = {
        [CS_DIRECTIVE_ACTIVE] = ACTIVE,
        [CS_DIRECTIVE_INCLUDE] = INCLUDE,
        [CS_DIRECTIVE_IMPORT] = IMPORT,
    };
    while (*at < doc->n_items) {
        const cs_property *property = &doc->items[(*at)++];
        if (begins_with_spring(property->key) && is_key(property->key, names[which], true)) {
            return property;
        }
    }
    return NULL;
}
