/* SPDX-License-Identifier: MIT */
/* The configuration keys of vipservice. */
#ifndef VIPSERVICE_SETTINGS_H
#define VIPSERVICE_SETTINGS_H

#include <godwit/settings.h>

typedef enum vip_durability { VIP_SURVIVES_PROCESS, VIP_SURVIVES_POWER_LOSS } vip_durability;

typedef struct vip_settings {
    const char *vip_store; /* empty: in store_dir */
    const char *store_password;
    uint64_t store_timeout_ms;
    int64_t store_connections;
    const char *store_dir;
    vip_durability store_durability;
    const char *vip_queue;
    int64_t duplicates_max;
    uint64_t duplicates_age_ms;
} vip_settings;

#define VIP_SETTINGS_N 9

extern const gw_setting vip_settings_table[VIP_SETTINGS_N];

#endif
