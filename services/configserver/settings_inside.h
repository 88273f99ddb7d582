/* SPDX-License-Identifier: MIT */
/* What the files that read the settings share: tables of keys, and their values by kind. */
#ifndef CS_SETTINGS_INSIDE_H
#define CS_SETTINGS_INSIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "settings.h"

#define CS_SETTING_KEY_MAX  512
#define CS_SETTING_LIST_MAX 64

/* One reading of all settings. */
typedef struct cs_settings_reader {
    cs_settings *settings;
    cs_settings_file *file;
    cs_arena *arena;
    gw_error *err;
} cs_settings_reader;

typedef enum cs_setting_kind {
    CS_SETTING_TEXT,           /* const char * */
    CS_SETTING_FLAG,           /* bool */
    CS_SETTING_NOT_FLAG,       /* bool that is true when the setting is false */
    CS_SETTING_SECONDS,        /* unsigned */
    CS_SETTING_LIST,           /* const char *const *, and its count right behind it */
    CS_SETTING_SECRET_OF_FILE, /* const char *: what the named file holds, one line */
    CS_SETTING_KEY_OF_FILE,    /* the same, several lines */
    CS_SETTING_IGNORED,        /* has no meaning here and does no harm */
    CS_SETTING_REFUSED_IF_TRUE,
    CS_SETTING_REFUSED_IF_FALSE,
    CS_SETTING_REFUSED
} cs_setting_kind;

typedef struct cs_setting_row {
    const char *key; /* below the prefix */
    cs_setting_kind kind;
    size_t offset;
} cs_setting_row;

#define CS_SETTING_ROW(type, key, kind, field)                                                     \
    {                                                                                              \
        key, CS_SETTING_##kind, offsetof(type, field)                                              \
    }
#define CS_SETTING_WITHOUT(key, kind)                                                              \
    {                                                                                              \
        key, CS_SETTING_##kind, 0                                                                  \
    }

gw_status cs_settings_no_memory(const cs_settings_reader *r);

/* GW_E_INVALID: file, line, the key, and `what` is wrong with its value. */
gw_status cs_settings_wrong(const cs_settings_reader *r, const cs_setting *setting,
                            const char *what);

gw_status cs_settings_flag(const cs_settings_reader *r, const cs_setting *setting, bool *ret);

/* What the file that the setting names holds; of the settings' memory. */
gw_status cs_settings_secret(const cs_settings_reader *r, const cs_setting *setting,
                             bool is_one_line, const char **ret);

/* The value, to where the row says in the struct at `base`. */
gw_status cs_settings_value(const cs_settings_reader *r, const cs_setting_row *row,
                            const cs_setting *setting, void *base);

/* What the rows say of the keys below the prefix, into the struct at `base`. */
gw_status cs_settings_rows(const cs_settings_reader *r, const char *prefix,
                           const cs_setting_row *rows, size_t n_rows, void *base);

/* The repositories, of the flags and the file. */
gw_status cs_settings_read_repos(const cs_settings_reader *r, const cs_settings_flags *flags);

/* Who may do what. */
gw_status cs_settings_read_users(const cs_settings_reader *r);

#endif
