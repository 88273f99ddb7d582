/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include "accounts/account_store.h"
#include "postgres/pg_place.h"

static const char *check_account_id(const char *text)
{
    return account_id_is_valid(text) ? NULL : "an account id";
}

const gw_setting account_settings_table[ACCOUNT_SETTINGS_N] = {
    GW_SETTING_STRING(
        account_settings, account_store, "account_store", "", 0, pg_place_check,
        "the database of the accounts, postgresql://user@host:port/database; without it "
        "store_dir"),
    GW_SETTING_STRING(account_settings, store_password, "store_password", "", GW_SETTING_SECRET,
                      NULL, "of the database's user"),
    GW_SETTING_DURATION(account_settings, store_timeout_ms, "store_timeout", "2s", 100, 60000, 0,
                        "of a statement in the database, and of waiting for a connection"),
    GW_SETTING_INT(account_settings, store_connections, "store_connections", "8", 1, 64, 0,
                   "to the database, at most, and one more that watches it"),
    GW_SETTING_STRING(account_settings, store_dir, "store_dir", "data/accountservice", 0, NULL,
                      "directory of the accounts"),
    GW_SETTING_STRING(account_settings, vip_queue, "vip_queue", "vip_queue", 0, NULL,
                      "queue of the notifications"),
    GW_SETTING_LIST(account_settings, vip_accounts, "vip_accounts", "10000", GW_SETTING_LIVE,
                    check_account_id, "ids of the VIP accounts"),
};
