/* SPDX-License-Identifier: MIT */
/* What the chassis asks of settings beyond <godwit/settings.h>: rows in words, and which snapshot a
 * value in force is of. */
#ifndef GW_CONFIG_SETTINGS_H
#define GW_CONFIG_SETTINGS_H

#include <godwit/settings.h>

/* What is allowed, for people: "1 to 65535", "text or json", "100ms to 1h", "text". */
void gw__setting_describe(const gw_setting *row, gw_buf *out);

/* Whether the members of two structs are equal. */
bool gw__setting_equal(const gw_setting *row, const void *a, const void *b);

/* Put a copy of `from`'s member into `to`, whose own is freed. GW_E_NOMEM: nothing has changed. */
gw_status gw__setting_copy(const gw_setting *row, const void *from, void *to, gw_error *err);

/* The snapshots, acquired for the caller: that of the start, of which the rows that are not live
 * are, and the last valid one, of which live rows are. */
void gw__settings_snapshots(gw_settings *settings, const gw_config_snapshot **ret_first,
                            const gw_config_snapshot **ret_valid);

/* Follow no longer: on_change is not running and will not be called. */
void gw__settings_unfollow(gw_settings *settings);

/* Log each line of what a binding found wrong. */
void gw__settings_log_faults(const gw_buf *faults);

#endif
