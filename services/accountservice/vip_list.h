/* SPDX-License-Identifier: MIT */
/* Which accounts are VIPs: the key `vip_accounts`, swapped whole when the configuration changes.
 * Shareable between threads. */
#ifndef ACCOUNTSERVICE_VIP_LIST_H
#define ACCOUNTSERVICE_VIP_LIST_H

#include <stdbool.h>

#include <godwit/config.h>

#define VIP_LIST_KEY     "vip_accounts"
#define VIP_LIST_DEFAULT "10000"

typedef struct vip_list vip_list;

vip_list *vip_list_new(void);
void vip_list_free(vip_list *list);

/* Take the list from the snapshot in force. On failure the list stays as it is. */
gw_status vip_list_load(vip_list *list, gw_config *config, gw_error *err);

bool vip_list_has(vip_list *list, const char *id);

#endif
