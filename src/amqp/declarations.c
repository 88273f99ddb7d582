/* SPDX-License-Identifier: MIT */
#include "amqp/declarations.h"

#include <godwit/log.h>

#define AREA "amqp"
/* Messages for a target that the broker refuses go back to the source for so long. */
#define DENIED_MS 5000
/* RabbitMQ confirms what it puts into a quorum queue that it has just made, and forgets the queue
 * when it is killed a moment later. */
#define YOUNG_MS      5000
#define DENIED_MAX_MS 300000 /* twice as long for each time it did not even answer, up to this */

const char *gw__target_name(const gw__target *target)
{
    return target->waiting_queue != NULL ? target->waiting_queue
           : target->queue != NULL       ? target->queue
                                         : target->exchange;
}

const char *gw__outgoing_key(const gw__outgoing *item)
{
    return item->target->waiting_queue != NULL ? item->target->waiting_queue : item->routing_key;
}

const char *gw__target_noun(const gw__target *target)
{
    return target->queue != NULL ? "queue" : "exchange";
}

void gw__declarations_begin(gw__declarations *all, gw__session *session)
{
    all->session = session;
    all->epoch++;
    all->n_denied = 0; /* it may be another broker, or the same one in a better state */
}

void gw__declarations_abandon(gw__declarations *all)
{
    for (size_t i = 0; i < GW__N_DECLARING; i++) {
        if (all->declaring[i].target != NULL) {
            gw__topology_abandon(&all->declaring[i].topology);
            all->declaring[i].target = NULL;
        }
    }
}

bool gw__declarations_has(const gw__declarations *all, const gw__target *target)
{
    return target->declared_epoch == all->epoch;
}

/* ---- denied --------------------------------------------------------------- */

static gw__denied *find_denied(gw__declarations *all, const gw__target *target)
{
    for (size_t i = 0; i < all->n_denied; i++) {
        if (all->denied[i].target == target) {
            return &all->denied[i];
        }
    }
    return NULL;
}

static uint64_t denied_for_ms(gw__target *target, const gw_error *why)
{
    uint64_t ms = DENIED_MS;
    if (why->status != GW_E_TIMEOUT) {
        return ms;
    }
    for (unsigned i = 0; i < target->n_timeouts && ms < DENIED_MAX_MS; i++) {
        ms *= 2;
    }
    target->n_timeouts++;
    return ms < DENIED_MAX_MS ? ms : DENIED_MAX_MS;
}

static void deny(gw__declarations *all, gw__target *target, uint64_t until_ms, const gw_error *why)
{
    gw__denied *denied = find_denied(all, target);
    if (denied == NULL) {
        /* When there are too many, the one that was added first is asked for again sooner. */
        size_t at = all->n_denied < GW__N_DENIED ? all->n_denied++ : 0;
        denied = &all->denied[at];
    }
    denied->target = target;
    denied->until_ms = until_ms;
    denied->why = *why;
    target->declared_epoch = 0;
}

void gw__declarations_deny(gw__declarations *all, gw__target *target, const gw_error *why)
{
    deny(all, target, all->session->now_ms + denied_for_ms(target, why), why);
    gw_log_warn(AREA, "cannot publish to %s '%s': %s", gw__target_noun(target),
                gw__target_name(target), why->text);
}

const gw_error *gw__declarations_denied(gw__declarations *all, const gw__target *target)
{
    gw__denied *denied = all->n_denied == 0 ? NULL : find_denied(all, target);
    if (denied == NULL) {
        return NULL;
    }
    if (all->session->now_ms < denied->until_ms) {
        return &denied->why;
    }
    *denied = all->denied[--all->n_denied];
    return NULL;
}

gw_status gw__declarations_outcome(const gw_error *why)
{
    /* An exchange of another type does not change by waiting. */
    return why->status == GW_E_EXISTS ? GW_E_EXISTS : GW_E_REFUSED;
}

/* ---- under way ------------------------------------------------------------- */

static void on_declared(void *ctx, gw_status st, const gw_error *why)
{
    gw__declaring *done = ctx;
    gw__declarations *all = done->all;
    gw__target *target = done->target;
    done->target = NULL;
    if (done->topology.created) {
        target->trusted_at_ms = all->session->now_ms + YOUNG_MS;
    }
    if (st == GW_OK && all->session->now_ms < target->trusted_at_ms) {
        gw_error young;
        gw_error_set(&young, GW_E_UNAVAILABLE, 0, "queue '%s' is new, and not relied on for %d ms",
                     gw__target_name(target), YOUNG_MS);
        deny(all, target, target->trusted_at_ms, &young);
    } else if (st == GW_OK || st == GW_E_BUSY) {
        /* Locked means that it exists, and exclusive queues can be published to. */
        target->declared_epoch = all->epoch;
    } else if (gw__session_is_open(all->session)) {
        gw__declarations_deny(all, target, why);
    }
}

/* Where this target is being declared, or, with NULL, where the next one can be. */
static gw__declaring *find_declaring(gw__declarations *all, const gw__target *target)
{
    for (size_t i = 0; i < GW__N_DECLARING; i++) {
        if (all->declaring[i].target == target) {
            return &all->declaring[i];
        }
    }
    return NULL;
}

void gw__declarations_start(gw__declarations *all, gw__target *target)
{
    gw__declaring *slot = find_declaring(all, NULL);
    if (slot == NULL || find_declaring(all, target) != NULL || !gw__session_is_open(all->session)) {
        return;
    }
    const gw__topology_spec spec = {.exchange = target->exchange,
                                    .exchange_type = target->type,
                                    .queue = target->queue,
                                    .queue_type = target->queue_type,
                                    .delay_ms = target->delay_ms,
                                    .waiting_queue = target->waiting_queue};
    slot->all = all;
    slot->target = target;
    gw__topology_start(&slot->topology, all->session, &spec, on_declared, slot);
}
