/* SPDX-License-Identifier: MIT */
#include "settings_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <godwit/secret.h>

#define N(array)   (sizeof(array) / sizeof((array)[0]))
#define SECRET_MAX ((size_t)64 << 10) /* a PEM key, or a password */

gw_status cs_settings_no_memory(const cs_settings_reader *r)
{
    return gw_error_set(r->err, GW_E_NOMEM, 0, "out of memory for the settings");
}

gw_status cs_settings_wrong(const cs_settings_reader *r, const cs_setting *setting,
                            const char *what)
{
    return gw_error_set(r->err, GW_E_INVALID, 0, "%s: '%s' %s", setting->origin, setting->key,
                        what);
}

static bool parse_flag(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < N(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

gw_status cs_settings_flag(const cs_settings_reader *r, const cs_setting *setting, bool *ret)
{
    return parse_flag(setting->value, ret)
               ? GW_OK
               : cs_settings_wrong(r, setting, "is neither true nor false");
}

static gw_status read_seconds(const cs_settings_reader *r, const cs_setting *setting, unsigned *ret)
{
    char *end;
    unsigned long value = strtoul(setting->value, &end, 10);
    bool is_number = setting->value[0] >= '0' && setting->value[0] <= '9';
    if (!is_number || (*end != '\0' && strcmp(end, "s") != 0) || value > 7 * 86400) {
        return cs_settings_wrong(r, setting, "is not a number of seconds from 0 to 604800");
    }
    *ret = (unsigned)value;
    return GW_OK;
}

gw_status cs_settings_secret(const cs_settings_reader *r, const cs_setting *setting,
                             bool is_one_line, const char **ret)
{
    char *bytes = cs_arena_alloc(r->arena, SECRET_MAX);
    if (bytes == NULL) {
        return cs_settings_no_memory(r);
    }
    gw_status st =
        gw_secret_read(setting->key, setting->value, is_one_line, bytes, SECRET_MAX, r->err);
    *ret = bytes;
    return st == GW_OK ? GW_OK : gw_error_prefix(r->err, st, "%s", setting->origin);
}

gw_status cs_settings_value(const cs_settings_reader *r, const cs_setting_row *row,
                            const cs_setting *setting, void *base)
{
    void *place = (char *)base + row->offset;
    bool flag = false;
    switch (row->kind) {
    case CS_SETTING_TEXT: *(const char **)place = setting->value; return GW_OK;
    case CS_SETTING_FLAG: return cs_settings_flag(r, setting, place);
    case CS_SETTING_NOT_FLAG: {
        gw_status st = cs_settings_flag(r, setting, &flag);
        *(bool *)place = !flag;
        return st;
    }
    case CS_SETTING_SECONDS: return read_seconds(r, setting, place);
    case CS_SETTING_SECRET_OF_FILE: return cs_settings_secret(r, setting, true, place);
    case CS_SETTING_KEY_OF_FILE: return cs_settings_secret(r, setting, false, place);
    case CS_SETTING_REFUSED_IF_TRUE:
    case CS_SETTING_REFUSED_IF_FALSE:
        if (parse_flag(setting->value, &flag) &&
            flag == (row->kind == CS_SETTING_REFUSED_IF_FALSE)) {
            return GW_OK;
        }
        break;
    case CS_SETTING_REFUSED: break;
    case CS_SETTING_LIST:
    case CS_SETTING_IGNORED: return GW_OK;
    }
    return gw_error_set(r->err, GW_E_UNSUPPORTED, 0,
                        "%s: '%s' is not supported here; see "
                        "docs/config-repositories.md",
                        setting->origin, setting->key);
}

static bool make_key(char *ret_key, const char *prefix, const char *name)
{
    return snprintf(ret_key, CS_SETTING_KEY_MAX, "%s.%s", prefix, name) < CS_SETTING_KEY_MAX;
}

gw_status cs_settings_rows(const cs_settings_reader *r, const char *prefix,
                           const cs_setting_row *rows, size_t n_rows, void *base)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < n_rows; i++) {
        char key[CS_SETTING_KEY_MAX];
        if (!make_key(key, prefix, rows[i].key)) {
            return gw_error_set(r->err, GW_E_LIMIT, 0, "'%.100s...' is too long a key", prefix);
        }
        cs_setting setting;
        if (rows[i].kind == CS_SETTING_LIST) {
            struct {
                const char *const *items;
                size_t n;
            } list;
            st = cs_settings_list(r->file, r->arena, key, CS_SETTING_LIST_MAX, &list.items, &list.n,
                                  r->err);
            memcpy((char *)base + rows[i].offset, &list, sizeof(list));
        } else if (cs_settings_find(r->file, key, &setting)) {
            st = cs_settings_value(r, &rows[i], &setting, base);
        }
    }
    return st;
}
