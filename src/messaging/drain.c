/* SPDX-License-Identifier: MIT */
#include "messaging/drain.h"

#include <time.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#define AT_ONCE  256
#define PAUSE_MS 20
#define WAIT_MS  10000 /* for what is not handed out at once: it cannot be read, or was refused */

static void no_wake(void *ctx)
{
    (void)ctx; /* nobody else publishes from here */
}

static gw_status publish(gw__transport *transport, gw__outgoing *const *items, size_t n_items,
                         size_t *ret_n, gw_error *err)
{
    gw__outgoing copies[AT_ONCE];
    for (size_t i = 0; i < n_items; i++) {
        copies[i] = *items[i];
    }
    gw_status st = GW_OK;
    size_t n = 0;
    if (transport->type->publish_many != NULL) {
        st = transport->type->publish_many(transport, copies, n_items, &n, err);
    } else {
        while (n < n_items &&
               (st = transport->type->publish(transport, &copies[n], err)) == GW_OK) {
            n++;
        }
    }
    *ret_n = n;
    return st;
}

/* Publish these, and settle what was decided. The rest goes back to be handed out again. */
static gw_status pass_on(const gw__source *from, gw__transport *to, gw__outgoing *const *items,
                         size_t n_items, gw_error *err)
{
    gw_error why = GW_ERROR_INIT;
    size_t n = 0;
    gw_status st = publish(to, items, n_items, &n, &why);
    if (n > 0) {
        from->settle(from->ctx, items, n, GW_OK, NULL);
    }
    if (st == GW_OK) {
        return GW_OK;
    }
    if (!gw_status_is_retriable(st)) {
        from->settle(from->ctx, items + n, 1, st, &why);
        st = GW_OK;
    }
    from->rewind(from->ctx);
    return st == GW_OK ? GW_OK : gw_error_set(err, st, why.native, "%s", why.text);
}

static gw_status drain(gw__relay *relay, gw__transport *transport, gw_error *err)
{
    gw__source from = gw__relay_source(relay);
    gw__outgoing *items[AT_ONCE];
    uint64_t idle_since_ms = gw_clock_ms();
    gw_status st = GW_OK;
    while (st == GW_OK && gw__relay_count(relay) > 0) {
        size_t n = from.next(from.ctx, items, AT_ONCE);
        if (n > 0) {
            st = pass_on(&from, transport, items, n, err);
            idle_since_ms = gw_clock_ms();
        } else if (gw_clock_ms() >= idle_since_ms + WAIT_MS) {
            st = gw_error_set(err, GW_E_UNAVAILABLE, 0, "they cannot be read");
        } else {
            struct timespec pause = {.tv_sec = 0, .tv_nsec = PAUSE_MS * (long)GW_NS_PER_MS};
            nanosleep(&pause, NULL);
        }
    }
    return st;
}

gw_status gw__drain(const gw__relay_options *options, gw__transport *transport, gw_error *err)
{
    if (!gw__journal_exists(options->dir)) {
        return GW_OK;
    }
    gw__relay_options own = *options;
    own.wake = no_wake;
    gw__relay *relay;
    gw_status st = gw__relay_open(&own, &relay, err);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "outbox");
    }
    size_t n_found = gw__relay_count(relay);
    st = drain(relay, transport, err);
    size_t n_left = gw__relay_count(relay);
    gw__relay_close(relay);
    gw__relay_free(relay);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "outbox %s: %zu messages stay there, to be sent first",
                               options->dir, n_left);
    }
    if (n_found > 0) {
        gw_log_info("messaging", "%zu messages of the outbox %s were moved to the %s", n_found,
                    options->dir, transport->type->scheme);
    }
    return GW_OK;
}
