/* SPDX-License-Identifier: MIT */
#include "accounts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/log.h>

void accounts_find_address(char *ret_address, size_t size)
{
    snprintf(ret_address, size, "127.0.0.1");
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0) {
        return;
    }
    for (struct ifaddrs *it = list; it != NULL; it = it->ifa_next) {
        if (it->ifa_addr == NULL || it->ifa_addr->sa_family != AF_INET ||
            (it->ifa_flags & IFF_LOOPBACK) != 0 || (it->ifa_flags & IFF_UP) == 0) {
            continue;
        }
        struct sockaddr_in address;
        memcpy(&address, it->ifa_addr, sizeof(address));
        inet_ntop(AF_INET, &address.sin_addr, ret_address, (socklen_t)size);
        break;
    }
    freeifaddrs(list);
}

void accounts_on_state(void *ctx, const char *fault)
{
    accounts *self = ctx;
    if (fault != NULL) {
        gw_health_down(self->health, "%s", fault);
        gw_log_error("accounts", "the store cannot be used: %s", fault);
    } else {
        gw_health_up(self->health);
        gw_log_info("accounts", "the store can be used");
    }
}

/* Publish {"accountId":...,"readAt":...} on the VIP queue. */
static gw_status notify_vip(accounts *self, const char *id, gw_error *err)
{
    char now[GW_TIME_LEN + 1];
    gw_time_format(gw_clock_unix_ns(), now);
    char body[ACCOUNT_ID_MAX + GW_TIME_LEN + 64];
    /* An id that is in the store holds nothing that JSON would escape. */
    int len = snprintf(body, sizeof(body), "{\"accountId\":\"%s\",\"readAt\":\"%s\"}", id, now);
    gw_message *msg = gw_message_new(body, (size_t)len);
    if (msg == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a notification");
    }
    gw_status st = gw_message_set_content_type(msg, "application/json");
    if (st == GW_OK) {
        st = gw_publish_on_queue(self->client, self->settings->vip_queue, msg, err);
    } else {
        gw_error_set(err, st, 0, "no memory for a notification");
    }
    gw_message_free(msg);
    return st;
}

static void write_account(const accounts *self, const account *found, gw_buf *out)
{
    gw_buf_add_str(out, "{\"id\":");
    gw_buf_add_json(out, found->id, strlen(found->id));
    gw_buf_add_str(out, ",\"name\":");
    gw_buf_add_json(out, found->name, strlen(found->name));
    gw_buf_add_str(out, ",\"servedBy\":");
    gw_buf_add_json(out, self->served_by, strlen(self->served_by));
    gw_buf_add_char(out, '}');
}

/* Answer that the notification was not accepted. Under load there are many of these: one line a
 * second says so. */
static void refuse(accounts *self, gw_http_response *res, const gw_error *why)
{
    uint64_t now_ms = gw_clock_ms();
    uint64_t last_ms = atomic_load(&self->refusal_logged_ms);
    atomic_fetch_add(&self->n_refused, 1);
    if ((last_ms == 0 || now_ms - last_ms >= 1000) &&
        atomic_compare_exchange_strong(&self->refusal_logged_ms, &last_ms, now_ms)) {
        gw_log_warn("accounts", "%llu reads of VIP accounts answered with 503: %s",
                    (unsigned long long)atomic_exchange(&self->n_refused, 0), why->text);
    }
    gw_http_set_header(res, "Retry-After", "1");
    gw_http_problem(res, 503, "the notification of this read cannot be accepted at present");
}

/* What passes is in the log once, when it begins (see accounts_on_state()); a store that is damaged
 * each time. */
static void refuse_read(gw_http_response *res, gw_status st, const gw_error *why)
{
    gw_http_set_header(res, "Retry-After", "1");
    if (st == GW_E_IO) {
        gw_log_error("accounts", "%s", why->text);
        gw_http_problem(res, 503, "the account store cannot be read: the log says why");
    } else {
        gw_http_problem(res, 503, "the account store cannot be read at present: %s", why->text);
    }
}

void accounts_get(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    accounts *self = ctx;
    const char *id = gw_http_var(req, "accountId");
    if (!account_id_is_valid(id)) {
        gw_http_problem(res, 400, "an account id is 1 to %d letters, digits, '-' or '_'",
                        ACCOUNT_ID_MAX);
        return;
    }
    account found;
    gw_error err = GW_ERROR_INIT;
    gw_status st = account_store_get(self->store, id, &found, &err);
    if (st == GW_E_NOT_FOUND) {
        gw_http_problem(res, 404, "there is no account '%s'", id);
        return;
    }
    if (st != GW_OK) {
        refuse_read(res, st, &err);
        return;
    }
    if (vip_list_has(self->vips, id)) {
        st = notify_vip(self, id, &err);
    }
    if (st != GW_OK) {
        refuse(self, res, &err);
        return;
    }
    write_account(self, &found, gw_http_response_body(res));
}
