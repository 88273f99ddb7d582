/* SPDX-License-Identifier: MIT */
/* Which accounts are VIPs: the key `vip_accounts`, sorted, swapped whole when it changes. Shareable
 * between threads. */
#ifndef ACCOUNTSERVICE_VIP_LIST_H
#define ACCOUNTSERVICE_VIP_LIST_H

#include <stdbool.h>

#include <godwit/settings.h>

typedef struct vip_list vip_list;

vip_list *vip_list_new(void);
void vip_list_free(vip_list *list);

/* Take the ids, which are copied. On failure (GW_E_NOMEM) the list stays as it is. */
gw_status vip_list_set(vip_list *list, const gw_config_list *ids, gw_error *err);

/* The same with those of the account_settings in force: with a vip_list_set() at the same time, by
 * the callback of a change, the newer wins. */
gw_status vip_list_load(vip_list *list, gw_settings *settings, gw_error *err);

bool vip_list_has(vip_list *list, const char *id);

#endif
