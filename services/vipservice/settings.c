/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include "postgres/pg_place.h"

static const char *const durabilities[] = {"process", "disk", NULL};

const gw_setting vip_settings_table[VIP_SETTINGS_N] = {
    GW_SETTING_STRING(
        vip_settings, vip_store, "vip_store", "", 0, pg_place_check,
        "the database of the counts, postgresql://user@host:port/database; without it "
        "store_dir"),
    GW_SETTING_STRING(vip_settings, store_password, "store_password", "", GW_SETTING_SECRET, NULL,
                      "of the database's user"),
    GW_SETTING_DURATION(vip_settings, store_timeout_ms, "store_timeout", "2s", 100, 60000, 0,
                        "of a statement in the database, and of waiting for a connection"),
    GW_SETTING_INT(vip_settings, store_connections, "store_connections", "8", 1, 64, 0,
                   "to the database, at most, and one more that watches it"),
    GW_SETTING_STRING(vip_settings, store_dir, "store_dir", "data/vipservice", 0, NULL,
                      "directory of the counts; all vipservices of a machine share it"),
    GW_SETTING_WORD(vip_settings, store_durability, "store_durability", "process", durabilities, 0,
                    "of store_dir. process: survives kill -9; disk: survives power loss"),
    GW_SETTING_STRING(vip_settings, vip_queue, "vip_queue", "vip_queue", 0, NULL,
                      "queue of the notifications"),
    GW_SETTING_INT(vip_settings, duplicates_max, "duplicates_max", "1000000", 1000, INT64_MAX, 0,
                   "message ids remembered to recognise duplicates"),
    GW_SETTING_DURATION(vip_settings, duplicates_age_ms, "duplicates_age", "7d", 60000, UINT64_MAX,
                        0, "how long they are remembered"),
};
