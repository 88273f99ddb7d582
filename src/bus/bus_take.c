/* SPDX-License-Identifier: MIT */
/*
 * A turn of a consumer: it takes some messages from its queue and hands them over.
 *
 * Who is rung for a queue, or finds something in it, has to see to it that what it leaves is not
 * forgotten: it rings for one of the others who wait. One that was rung and cannot take anything
 * (it has no room) passes that on. When little is left, it lets the others go on and waits itself,
 * so that those who are asleep get their share.
 */
#include <stdlib.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "bus/bus_reader.h"

#define NOMEM_PAUSE_MS 20
#define MISSES_MAX     16 /* others may take everything, and more come, a few times in a row */

/* ---- what there is ------------------------------------------------------------------------ */

bool gw__bus_has_any(const gw__bus_consumer *consumer)
{
    for (size_t i = 0; i < consumer->n_order; i++) {
        if (gw__log_has_ready(consumer->logs[consumer->order[i]]->log)) {
            return true;
        }
    }
    return false;
}

/* Room for deliveries, 0 also when a table for them cannot be had. */
static size_t find_room(gw__bus_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    size_t room =
        consumer->prefetch > consumer->n_unsettled ? consumer->prefetch - consumer->n_unsettled : 0;
    room = room < GW__BUS_TURN_MAX ? room : GW__BUS_TURN_MAX;
    consumer->wants_room = room == 0;
    pthread_mutex_unlock(&consumer->lock);
    return room;
}

/* ---- the table of deliveries --------------------------------------------------------------- */

/* @locks consumer->lock */
static bool grow_slots(gw__bus_consumer *consumer, size_t n)
{
    size_t wanted = consumer->n_slots == 0 ? 64 : consumer->n_slots * 2;
    while (wanted < n) {
        wanted *= 2;
    }
    gw__bus_slot *slots = realloc(consumer->slots, wanted * sizeof(slots[0]));
    if (slots == NULL) {
        return false;
    }
    for (size_t i = wanted; i > consumer->n_slots; i--) {
        slots[i - 1] = (gw__bus_slot){.next_free = consumer->first_free};
        consumer->first_free = (uint32_t)i;
    }
    consumer->slots = slots;
    consumer->n_slots = wanted;
    return true;
}

/* @locks consumer->lock */
static uint64_t add_slot(gw__bus_consumer *consumer, uint64_t position, uint32_t log)
{
    uint32_t place = consumer->first_free - 1;
    gw__bus_slot *slot = &consumer->slots[place];
    consumer->first_free = slot->next_free;
    slot->tag = ++consumer->last_tag << GW__BUS_SLOT_BITS | place;
    slot->position = position;
    slot->log = log;
    consumer->n_unsettled++;
    return slot->tag;
}

/* ---- handing over ------------------------------------------------------------------------------
 */

typedef struct taken {
    gw__log_record records[GW__BUS_TURN_MAX];
    uint32_t logs[GW__BUS_TURN_MAX]; /* in consumer->logs */
    uint64_t tags[GW__BUS_TURN_MAX];
    size_t n;
} taken;

static void return_from(gw__bus_consumer *consumer, const taken *all, size_t first)
{
    for (size_t i = first; i < all->n; i++) {
        gw__log_settle(consumer->logs[all->logs[i]]->log, consumer->bus->member,
                       &all->records[i].position, 1, GW__LOG_RETURN);
    }
}

/* False when there is no memory for the table: what was taken is given back. */
static bool add_slots(gw__bus_consumer *consumer, taken *all)
{
    pthread_mutex_lock(&consumer->lock);
    bool good = consumer->n_unsettled + all->n <= consumer->n_slots ||
                grow_slots(consumer, consumer->n_unsettled + all->n);
    for (size_t i = 0; good && i < all->n; i++) {
        all->tags[i] = add_slot(consumer, all->records[i].position, all->logs[i]);
    }
    pthread_mutex_unlock(&consumer->lock);
    if (!good) {
        return_from(consumer, all, 0);
    }
    return good;
}

static void settle_one(gw__bus_consumer *consumer, uint64_t tag, gw__settlement how)
{
    gw__delivery delivery = {.epoch = consumer->epoch, .tag = tag};
    gw__bus_settle(&consumer->head, &delivery, 1, how);
}

/* Nobody can read it: it is done with, and told once. */
static void drop_damaged(gw__bus_consumer *consumer, const taken *all, size_t i,
                         const gw_error *why)
{
    atomic_fetch_add(&consumer->main->n_damaged, 1);
    gw_log_error("bus", "queue '%s' of the bus in %s: a damaged message is left out: %s",
                 consumer->queue_name, consumer->bus->dir, why->text);
    settle_one(consumer, all->tags[i], GW__ACK);
}

static void deliver(gw__bus_consumer *consumer, taken *all)
{
    uint64_t epoch = consumer->epoch; /* only this thread changes it */
    for (size_t i = 0; i < all->n; i++) {
        gw_message *msg;
        gw_error why = GW_ERROR_INIT;
        gw_status st = gw__bus_read(&all->records[i], consumer->queue_name, &msg, &why);
        if (st == GW_OK) {
            gw__delivery delivery = {.epoch = epoch, .tag = all->tags[i]};
            consumer->sink.deliver(consumer->sink.ctx, msg, delivery);
        } else if (st == GW_E_NOMEM) {
            consumer->again_ms = gw_clock_ms() + NOMEM_PAUSE_MS;
            for (; i < all->n; i++) {
                settle_one(consumer, all->tags[i], GW__REQUEUE);
            }
        } else {
            drop_damaged(consumer, all, i, &why);
        }
    }
    consumer->sink.delivered(consumer->sink.ctx);
}

/* ---- sharing -----------------------------------------------------------------------------------
 */

static bool others_wait(const gw__bus_consumer *consumer)
{
    uint32_t own = consumer->bus->member;
    for (uint32_t i = 0; i < GW__WAITER_WORDS; i++) {
        uint64_t but = own / 64 == i ? ~(UINT64_C(1) << own % 64) : ~UINT64_C(0);
        if ((atomic_load_explicit(&consumer->main->waiters[i], memory_order_relaxed) & but) != 0) {
            return true;
        }
    }
    return false;
}

/* Ring for another of those who wait, from the next one on. */
static bool ring_other(gw__bus_consumer *consumer)
{
    gw__control *control = consumer->bus->file.control;
    for (uint32_t i = 1; i < GW__BUS_MEMBERS_MAX; i++) {
        uint32_t member = (consumer->bus->member + i) % GW__BUS_MEMBERS_MAX;
        _Atomic uint64_t *word = &consumer->main->waiters[member / 64];
        uint64_t bit = UINT64_C(1) << member % 64;
        if ((atomic_load(word) & bit) != 0 && (atomic_fetch_and(word, ~bit) & bit) != 0) {
            gw__member_ring(control, member);
            return true;
        }
    }
    return false;
}

/* The bell is that of before the others were rung: one who has taken its share rings back, maybe at
 * once, and relies on this one from then on. */
bool gw__bus_is_handed(const gw__bus_consumer *consumer, uint64_t n_sleeps)
{
    const gw__bus *bus = consumer->bus;
    return consumer->handed_at == n_sleeps &&
           consumer->handed_bell == gw__member_bell(bus->file.control, bus->member);
}

/* Something is left. With `let_go_on` another takes some before this one does, which waits for it
 * already: so it is rung for what that one leaves. */
static void share(gw__bus_consumer *consumer, bool let_go_on, uint64_t n_sleeps)
{
    if (!others_wait(consumer)) {
        return;
    }
    uint32_t bell = gw__member_bell(consumer->bus->file.control, consumer->bus->member);
    if (let_go_on) {
        gw__log_wait_add(consumer->main, consumer->bus->member);
    }
    if (ring_other(consumer) && let_go_on) {
        consumer->handed_at = n_sleeps;
        consumer->handed_bell = bell;
    }
}

/* Others may be able to do what this one cannot. */
static void pause_turns(gw__bus_consumer *consumer, uint64_t n_sleeps)
{
    consumer->again_ms = gw_clock_ms() + NOMEM_PAUSE_MS;
    share(consumer, false, n_sleeps);
}

/* How many of what is ready are for this one: of few things one, so that all get as many. */
static size_t find_share(const gw__bus_consumer *consumer, size_t room, uint64_t *ret_n_ready)
{
    uint64_t n_ready = gw__bus_n_ready(consumer->bus, consumer->queue);
    uint32_t n_consumers = atomic_load(&consumer->main->n_consumers);
    uint64_t n = n_consumers > 1 ? n_ready / (n_consumers * 4) : n_ready;
    *ret_n_ready = n_ready;
    n = n == 0 ? 1 : n;
    return n < room ? (size_t)n : room;
}

static void take(gw__bus_consumer *consumer, size_t max, uint64_t unix_ms, taken *all)
{
    all->n = 0;
    for (size_t i = 0; i < consumer->n_order && all->n < max; i++) {
        uint32_t place = consumer->order[i];
        gw__log *log = consumer->logs[place]->log;
        if (!gw__log_has_ready(log)) {
            continue;
        }
        size_t n = gw__log_take(log, consumer->bus->member, unix_ms, 0, all->records + all->n,
                                max - all->n);
        for (size_t k = 0; k < n; k++) {
            all->logs[all->n + k] = place;
        }
        all->n += n;
    }
}

bool gw__bus_take_turn(gw__bus_consumer *consumer, uint64_t unix_ms, uint64_t n_sleeps)
{
    size_t room = find_room(consumer);
    if (!gw__bus_has_any(consumer) || gw__bus_is_handed(consumer, n_sleeps)) {
        return false;
    }
    if (room == 0) {
        share(consumer, false, n_sleeps);
        return false;
    }
    uint64_t n_ready;
    size_t max = find_share(consumer, room, &n_ready);
    taken all;
    take(consumer, max, unix_ms, &all);
    if (all.n == 0) {
        if (gw__bus_has_any(consumer) && ++consumer->n_misses >= MISSES_MAX) {
            pause_turns(consumer, n_sleeps); /* it cannot be read at present */
        }
        return false;
    }
    consumer->n_misses = 0;
    if (!add_slots(consumer, &all)) {
        pause_turns(consumer, n_sleeps);
        return false;
    }
    if (gw__bus_has_any(consumer)) { /* before the handlers have their turn */
        share(consumer, n_ready <= GW__BUS_TURN_MAX, n_sleeps);
    }
    deliver(consumer, &all);
    return true;
}

bool gw__bus_wait_for(gw__bus_consumer *consumer, uint64_t unix_ms, uint64_t n_sleeps)
{
    if (!gw__log_is_there(consumer->logs[consumer->order[consumer->n_order - 1]]->log)) {
        return true;
    }
    pthread_mutex_lock(&consumer->lock);
    bool has_room = consumer->prefetch > consumer->n_unsettled;
    consumer->wants_room = !has_room;
    pthread_mutex_unlock(&consumer->lock);
    if (!has_room) { /* it may be the only one that was told when something is due */
        consumer->due_ms = atomic_load(&consumer->main->due_ms);
        return consumer->due_ms <= unix_ms;
    }
    gw__log_wait_add(consumer->main, consumer->bus->member);
    consumer->due_ms = atomic_load(&consumer->main->due_ms);
    return consumer->due_ms <= unix_ms ||
           gw__definitions_generation(consumer->bus->defs) !=
               gw__topology_generation(consumer->topology) ||
           (!gw__bus_is_handed(consumer, n_sleeps) && gw__bus_has_any(consumer)) ||
           !gw__log_is_there(consumer->logs[consumer->order[consumer->n_order - 1]]->log);
}
