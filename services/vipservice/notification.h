/* SPDX-License-Identifier: MIT */
/* The message that says that a VIP account was read:
 * {"accountId":"10000","readAt":"2026-11-22T10:42:13.667108584Z"}. */
#ifndef VIPSERVICE_NOTIFICATION_H
#define VIPSERVICE_NOTIFICATION_H

#include <stddef.h>

#include <godwit/error.h>

#include "vip_store.h"

#define NOTIFICATION_MAX 4096 /* bytes */

typedef struct notification {
    char account_id[VIP_ID_MAX + 1];
    char read_at[VIP_READ_AT_MAX + 1];
} notification;

/* GW_OK; GW_E_INVALID with a text that says what is wrong with it; GW_E_LIMIT; GW_E_NOMEM. Fields
 * that it does not know are ignored. */
gw_status notification_parse(const char *body, size_t len, notification *ret_notification,
                             gw_error *err);

#endif
