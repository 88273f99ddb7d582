/* SPDX-License-Identifier: MIT */
/* The configuration keys of accountservice. */
#ifndef ACCOUNTSERVICE_SETTINGS_H
#define ACCOUNTSERVICE_SETTINGS_H

#include <godwit/settings.h>

typedef struct account_settings {
    const char *store_dir;
    const char *vip_queue;
    gw_config_list vip_accounts;
} account_settings;

#define ACCOUNT_SETTINGS_N 3

extern const gw_setting account_settings_table[ACCOUNT_SETTINGS_N];

#endif
