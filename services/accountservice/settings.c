/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include "accounts/account_store.h"

static const char *check_account_id(const char *text)
{
    return account_id_is_valid(text) ? NULL : "an account id";
}

const gw_setting account_settings_table[ACCOUNT_SETTINGS_N] = {
    GW_SETTING_STRING(account_settings, store_dir, "store_dir", "data/accountservice", 0, NULL,
                      "directory of the accounts"),
    GW_SETTING_STRING(account_settings, vip_queue, "vip_queue", "vip_queue", 0, NULL,
                      "queue of the notifications"),
    GW_SETTING_LIST(account_settings, vip_accounts, "vip_accounts", "10000", GW_SETTING_LIVE,
                    check_account_id, "ids of the VIP accounts"),
};
