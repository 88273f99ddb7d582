/* SPDX-License-Identifier: MIT */
#include "amqp/topology.h"

#include <stdio.h>
#include <string.h>

#include <amqp_framing.h>

#include <godwit/log.h>

#include "amqp/table.h"
#include "messaging/dead_letter.h"
#include "messaging/headers_match.h"

#define AREA          "amqp"
#define ARGUMENTS_MAX 8
#define POOL_PAGE     4096

static const gw__channel_events topology_events;

/* ---- naming things ------------------------------------------------------- */

static const char *noun(const gw__topology *topology)
{
    return topology->step == GW__DECLARE_EXCHANGE ? "exchange" : "queue";
}

static const char *name(const gw__topology *topology)
{
    const gw__topology_spec *spec = &topology->spec;
    return topology->step == GW__DECLARE_EXCHANGE ? spec->exchange
           : topology->step == GW__DECLARE_DEAD   ? topology->dead_queue
           : spec->waiting_queue != NULL          ? spec->waiting_queue
                                                  : spec->queue;
}

static void finish(gw__topology *topology, gw_status st, const gw_error *why)
{
    if (topology->channel != NULL) {
        gw__channel_close(topology->channel);
        topology->channel = NULL;
    }
    topology->done(topology->ctx, st, why);
}

static void open_channel(gw__topology *topology)
{
    topology->channel = gw__session_open_channel(topology->session, &topology_events, topology);
    if (topology->channel == NULL) {
        gw_error why;
        gw_error_set(&why, GW_E_LIMIT, 0, "no channel left to declare %s '%s'", noun(topology),
                     name(topology));
        finish(topology, why.status, &why);
    }
}

/* ---- steps --------------------------------------------------------------- */

static void declare_exchange(gw__topology *topology)
{
    const gw__topology_spec *spec = &topology->spec;
    amqp_exchange_declare_t declare = {
        .exchange = amqp_cstring_bytes(spec->exchange),
        .type = amqp_cstring_bytes(gw_exchange_type_name(spec->exchange_type)),
        .passive = topology->passive || strncmp(spec->exchange, "amq.", 4) == 0,
        .durable = true,
    };
    gw__channel_call(topology->channel, AMQP_EXCHANGE_DECLARE_METHOD, &declare,
                     AMQP_EXCHANGE_DECLARE_OK_METHOD);
}

static void add_text(amqp_table_t *arguments, const char *key, const char *text)
{
    arguments->entries[arguments->num_entries++] = (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
}

static void add_number(amqp_table_t *arguments, const char *key, int64_t number)
{
    arguments->entries[arguments->num_entries++] =
        (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
                             .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = number}};
}

/* What the queue gives up goes to `queue`, and is kept until it has arrived there. The broker
 * offers that for quorum queues alone, and only if they refuse what they have no room for. */
static void add_dead_lettering(amqp_table_t *arguments, const char *queue)
{
    add_text(arguments, "x-queue-type", "quorum");
    add_text(arguments, "x-dead-letter-exchange", "");
    add_text(arguments, "x-dead-letter-routing-key", queue);
    add_text(arguments, "x-dead-letter-strategy", "at-least-once");
    add_text(arguments, "x-overflow", "reject-publish");
}

static void declare_queue(gw__topology *topology)
{
    const gw__topology_spec *spec = &topology->spec;
    amqp_table_entry_t entries[ARGUMENTS_MAX];
    amqp_table_t arguments = {.num_entries = 0, .entries = entries};
    if (spec->waiting_queue != NULL) {
        /* It does not expire itself: the broker would delete it with what it could not pass on. */
        add_dead_lettering(&arguments, spec->queue);
        add_number(&arguments, "x-message-ttl", spec->delay_ms);
    } else if (spec->temporary) {
        add_number(&arguments, "x-expires", GW__TEMPORARY_EXPIRES_MS);
    } else if (topology->step == GW__DECLARE_QUEUE && topology->dead_queue[0] != '\0') {
        add_dead_lettering(&arguments, topology->dead_queue);
        add_number(&arguments, "x-delivery-limit", GW__DELIVERY_LIMIT);
    } else if (spec->queue_type == GW_QUEUE_QUORUM) {
        add_text(&arguments, "x-queue-type", "quorum");
    }
    amqp_queue_declare_t declare = {
        .queue = amqp_cstring_bytes(name(topology)),
        .passive = topology->passive || spec->passive,
        .durable = !spec->temporary,
        .arguments = arguments,
    };
    gw__channel_call(topology->channel, AMQP_QUEUE_DECLARE_METHOD, &declare,
                     AMQP_QUEUE_DECLARE_OK_METHOD);
}

/* The headers that count, with how they do. None at all when none does: then all messages match. */
static gw_status fill_binding(const gw__topology_spec *spec, amqp_pool_t *pool,
                              amqp_table_t *arguments)
{
    amqp_table_t wanted;
    gw_status st = gw__table_from(spec->binding_headers, spec->n_binding_headers, pool, &wanted);
    if (st != GW_OK) {
        return st;
    }
    for (size_t i = 0; i < spec->n_binding_headers; i++) {
        if (gw__header_counts(&spec->binding_headers[i])) {
            arguments->entries[arguments->num_entries++] = wanted.entries[i];
        }
    }
    if (arguments->num_entries > 0) {
        add_text(arguments, "x-match", spec->match_any ? "any" : "all");
    }
    return GW_OK;
}

static void bind_queue(gw__topology *topology)
{
    const gw__topology_spec *spec = &topology->spec;
    amqp_table_entry_t entries[GW__BINDING_HEADERS_MAX + 1];
    amqp_table_t arguments = {.num_entries = 0, .entries = entries};
    amqp_pool_t pool;
    init_amqp_pool(&pool, POOL_PAGE);
    if (fill_binding(spec, &pool, &arguments) != GW_OK) {
        gw_error why;
        gw_error_set(&why, GW_E_NOMEM, 0, "no memory to bind queue '%s'", spec->queue);
        empty_amqp_pool(&pool);
        finish(topology, why.status, &why);
        return;
    }
    amqp_queue_bind_t bind = {
        .queue = amqp_cstring_bytes(spec->queue),
        .exchange = amqp_cstring_bytes(spec->exchange),
        .routing_key = amqp_cstring_bytes(spec->binding_key != NULL ? spec->binding_key : ""),
        .arguments = arguments,
    };
    gw__channel_call(topology->channel, AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD);
    empty_amqp_pool(&pool);
}

static void do_step(gw__topology *topology)
{
    const gw__topology_spec *spec = &topology->spec;
    bool exchange = spec->exchange != NULL && spec->exchange[0] != '\0';
    bool queue = spec->queue != NULL;
    if (topology->step == GW__DECLARE_EXCHANGE && !exchange) {
        topology->step = GW__DECLARE_DEAD;
    }
    if (topology->step == GW__DECLARE_DEAD && topology->dead_queue[0] == '\0') {
        topology->step = GW__DECLARE_QUEUE;
    }
    if (topology->step == GW__DECLARE_QUEUE && !queue) {
        topology->step = GW__DECLARED;
    }
    if (topology->step == GW__BIND && !exchange) {
        topology->step = GW__DECLARED;
    }
    switch (topology->step) {
    case GW__DECLARE_EXCHANGE: declare_exchange(topology); break;
    case GW__DECLARE_DEAD:
    case GW__DECLARE_QUEUE: declare_queue(topology); break;
    case GW__BIND: bind_queue(topology); break;
    case GW__DECLARED: finish(topology, GW_OK, NULL); break;
    }
}

/* ---- events -------------------------------------------------------------- */

static void on_open(gw__channel *channel)
{
    do_step(channel->ctx);
}

static void on_reply(gw__channel *channel, const amqp_method_t *reply)
{
    gw__topology *topology = channel->ctx;
    if (reply->id == AMQP_QUEUE_DECLARE_OK_METHOD) {
        const amqp_queue_declare_ok_t *declared = reply->decoded;
        topology->n_waiting = declared->message_count;
        topology->n_consumers = declared->consumer_count;
    }
    if (topology->asking) { /* it is there; now whether it is as it should be */
        topology->asking = topology->passive = false;
        do_step(topology);
        return;
    }
    if (topology->passive) {
        gw_log_warn(AREA, "%s '%s' cannot be declared and is used as it is: %s", noun(topology),
                    name(topology), topology->refused.text);
    }
    topology->passive = false;
    topology->step++;
    do_step(topology);
}

/* Whether what is there may be used as it is. An exchange of another type would route differently;
 * RabbitMQ says so in words only. */
static bool can_be_used(const gw__topology *topology, const gw_error *why)
{
    bool declaring = topology->step <= GW__DECLARE_QUEUE;
    bool differs = why->native == AMQP_PRECONDITION_FAILED && topology->spec.waiting_queue == NULL;
    bool refused = differs || why->native == AMQP_ACCESS_REFUSED;
    return declaring && refused && !topology->passive && !topology->spec.passive &&
           gw__session_is_open(topology->session) &&
           strstr(why->text, "inequivalent arg 'type'") == NULL;
}

static void on_closed(gw__channel *channel, const gw_error *why)
{
    gw__topology *topology = channel->ctx;
    topology->channel = NULL;
    if (topology->asking && why->native == AMQP_NOT_FOUND &&
        gw__session_is_open(topology->session)) {
        topology->asking = topology->passive = false;
        topology->created = true;
        open_channel(topology);
        return;
    }
    if (can_be_used(topology, why)) {
        topology->passive = true;
        topology->refused = *why;
        open_channel(topology);
        return;
    }
    if (topology->step == GW__DECLARE_DEAD && why->native != 0 &&
        gw__session_is_open(topology->session)) {
        /* What the broker gives up stays in its queue until somebody else makes the other one. */
        gw_log_warn(AREA, "queue '%s' cannot be declared: %s", topology->dead_queue, why->text);
        topology->passive = false;
        topology->step = GW__DECLARE_QUEUE;
        open_channel(topology);
        return;
    }
    /* What it was refused for tells more than the second refusal, unless what was in the way was
     * deleted in between: then it can be declared with the next try. */
    bool gone = why->native == AMQP_NOT_FOUND && topology->refused.status == GW_E_EXISTS;
    bool first = topology->passive && why->native != 0 && !gone;
    gw_error reason = first ? topology->refused : *why;
    gw_error_prefix(&reason, reason.status, "%s '%s'", noun(topology), name(topology));
    finish(topology, reason.status, &reason);
}

static const gw__channel_events topology_events = {
    .open = on_open, .reply = on_reply, .closed = on_closed};

/* By the queue's name and type alone, so that publishers and consumers declare it alike. */
static void name_dead_queue(gw__topology *topology)
{
    const gw__topology_spec *spec = &topology->spec;
    if (spec->queue == NULL || spec->temporary || spec->waiting_queue != NULL ||
        spec->queue_type != GW_QUEUE_QUORUM) {
        return;
    }
    size_t len = strlen(spec->queue);
    size_t suffix_len = strlen(GW__DEAD_SUFFIX);
    bool is_dead =
        len >= suffix_len && strcmp(spec->queue + len - suffix_len, GW__DEAD_SUFFIX) == 0;
    if (!is_dead && len + suffix_len <= GW__DEAD_MAX) {
        snprintf(topology->dead_queue, sizeof(topology->dead_queue), "%s%s", spec->queue,
                 GW__DEAD_SUFFIX);
    }
}

/* ---- life ---------------------------------------------------------------- */

void gw__topology_start(gw__topology *topology, gw__session *session, const gw__topology_spec *spec,
                        void (*done)(void *ctx, gw_status st, const gw_error *why), void *ctx)
{
    *topology = (gw__topology){
        .spec = *spec, .session = session, .step = GW__DECLARE_EXCHANGE, .done = done, .ctx = ctx};
    name_dead_queue(topology);
    topology->asking = topology->passive = spec->waiting_queue != NULL;
    if (spec->exchange == NULL || spec->exchange[0] == '\0') {
        topology->step = topology->dead_queue[0] != '\0' ? GW__DECLARE_DEAD : GW__DECLARE_QUEUE;
    }
    open_channel(topology);
}

void gw__topology_abandon(gw__topology *topology)
{
    if (topology->channel != NULL) {
        gw__channel_close(topology->channel);
        topology->channel = NULL;
    }
}
