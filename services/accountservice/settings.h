/* SPDX-License-Identifier: MIT */
/* The configuration keys of accountservice. */
#ifndef ACCOUNTSERVICE_SETTINGS_H
#define ACCOUNTSERVICE_SETTINGS_H

#include <godwit/settings.h>

typedef struct account_settings {
    const char *account_store; /* empty: in store_dir */
    const char *store_password;
    uint64_t store_timeout_ms;
    int64_t store_connections;
    const char *store_dir;
    const char *vip_queue;
    gw_config_list vip_accounts;
} account_settings;

#define ACCOUNT_SETTINGS_N 7

extern const gw_setting account_settings_table[ACCOUNT_SETTINGS_N];

#endif
