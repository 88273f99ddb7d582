/* SPDX-License-Identifier: MIT */
#include "settings.h"

static const char *const durabilities[] = {"process", "disk", NULL};

const gw_setting vip_settings_table[VIP_SETTINGS_N] = {
    GW_SETTING_STRING(vip_settings, store_dir, "store_dir", "data/vipservice", 0, NULL,
                      "directory of the counts; all vipservices of a machine share it"),
    GW_SETTING_WORD(vip_settings, store_durability, "store_durability", "process", durabilities, 0,
                    "process: survives kill -9; disk: survives power loss"),
    GW_SETTING_STRING(vip_settings, vip_queue, "vip_queue", "vip_queue", 0, NULL,
                      "queue of the notifications"),
    GW_SETTING_INT(vip_settings, duplicates_max, "duplicates_max", "1000000", 1000, INT64_MAX, 0,
                   "message ids remembered to recognise duplicates"),
    GW_SETTING_DURATION(vip_settings, duplicates_age_ms, "duplicates_age", "7d", 60000, UINT64_MAX,
                        0, "how long they are remembered"),
};
