/* SPDX-License-Identifier: MIT */
#include "amqp/consumer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <amqp_framing.h>

#include <godwit/id.h>
#include <godwit/log.h>

#include "amqp/consumers.h"
#include "amqp/properties.h"
#include "messaging/headers_match.h"
#include "messaging/message.h"

#define AREA "amqp"
/* Patience with a locked queue when no heartbeat is agreed on. */
#define LOCKED_DEFAULT_MS 20000

static const gw__channel_events consumer_events;

static void begin(gw__amqp_consumer *consumer);

/* ---- states -------------------------------------------------------------- */

static void drop_channel(gw__amqp_consumer *consumer)
{
    if (consumer->channel != NULL) {
        gw__channel_close(consumer->channel);
        consumer->channel = NULL;
    }
    gw_message_free(consumer->arriving);
    consumer->arriving = NULL;
}

/* What was delivered in this epoch and not settled is the broker's again. */
static void tell_lost(gw__amqp_consumer *consumer)
{
    gw__unsettled_reset(&consumer->unsettled);
    consumer->sink.lost(consumer->sink.ctx, consumer->epoch);
}

static void become_cancelled(gw__amqp_consumer *consumer)
{
    consumer->state = GW__CONSUMER_CANCELLED;
    gw__consumers_report(consumer->set, consumer, &consumer->cancelled);
}

static void become_released(gw__amqp_consumer *consumer)
{
    drop_channel(consumer);
    gw__topology_abandon(&consumer->topology);
    consumer->state = GW__CONSUMER_RELEASED; /* the set takes it out and reports it */
}

static void log_failure(gw__amqp_consumer *consumer, const gw_error *why)
{
    if (strcmp(consumer->logged.text, why->text) != 0) {
        consumer->logged = *why;
        gw_log_warn(AREA, "cannot consume: %s; trying again", why->text);
    }
}

/* It does not consume, and why: begin anew, later. */
static void retry_later(gw__amqp_consumer *consumer, const gw_error *why)
{
    bool connected = gw__session_is_open(consumer->session);
    consumer->state = GW__CONSUMER_IDLE;
    if (consumer->consuming_since_ms != 0) {
        gw__recovery_worked(&consumer->recovery,
                            consumer->session->now_ms - consumer->consuming_since_ms);
    }
    consumer->consuming_since_ms = 0;
    /* Without a connection there is no reason of its own. */
    consumer->sink.state(consumer->sink.ctx, false, connected ? why : NULL);
    if (connected) {
        log_failure(consumer, why);
        consumer->retry_at_ms =
            consumer->session->now_ms + gw__recovery_next_ms(&consumer->recovery, why->status);
        gw__consumers_set_timer(consumer->set, consumer->retry_at_ms);
    }
}

/* ---- from nothing to consuming ------------------------------------------- */

static void send_qos(gw__amqp_consumer *consumer)
{
    consumer->qos = atomic_load(&consumer->prefetch);
    amqp_basic_qos_t qos = {.prefetch_count = (uint16_t)consumer->qos};
    gw__channel_call(consumer->channel, AMQP_BASIC_QOS_METHOD, &qos, AMQP_BASIC_QOS_OK_METHOD);
}

static void send_consume(gw__amqp_consumer *consumer)
{
    /* A full prefetch on top of what an earlier consumer of this channel has out. */
    consumer->n_open_most = consumer->unsettled.n_open + consumer->qos;
    /* A tag that was never used before: the broker closes the connection over one that is in use
     * still. */
    snprintf(consumer->tag, sizeof(consumer->tag), "%s.%" PRIu64, consumer->tag_base,
             ++consumer->n_started);
    amqp_basic_consume_t consume = {.queue = amqp_cstring_bytes(consumer->queue),
                                    .consumer_tag = amqp_cstring_bytes(consumer->tag)};
    gw__channel_call(consumer->channel, AMQP_BASIC_CONSUME_METHOD, &consume,
                     AMQP_BASIC_CONSUME_OK_METHOD);
}

/* A name like the one that was asked for, and new. */
static void rename_queue(gw__amqp_consumer *consumer, const char *why)
{
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    const char *old = consumer->spec.queue;
    char before[sizeof(consumer->queue)];
    strcpy(before, consumer->queue);
    size_t len = strlen(old);
    if (len > GW_ID_LEN && old[len - GW_ID_LEN - 1] == '.') {
        len -= GW_ID_LEN + 1; /* an id is at its end already */
    }
    size_t most = GW_MESSAGE_TEXT_MAX - GW_ID_LEN - 1;
    snprintf(consumer->queue, sizeof(consumer->queue), "%.*s.%s", (int)(len < most ? len : most),
             old, id);
    gw_log_warn(AREA, "queue '%s' %s: '%s' takes its place", before, why, consumer->queue);
}

/* Another connection has the queue for itself. If that is dead, the broker finds out in time; if
 * not, a queue that is ours alone can as well have another name. */
static void on_locked(gw__amqp_consumer *consumer, const gw_error *why)
{
    uint64_t now_ms = consumer->session->now_ms;
    unsigned heartbeat_ms = consumer->session->heartbeat_ms;
    uint64_t patience_ms = heartbeat_ms > 0 ? 2 * (uint64_t)heartbeat_ms : LOCKED_DEFAULT_MS;
    if (consumer->locked_since_ms == 0) {
        consumer->locked_since_ms = now_ms;
    }
    retry_later(consumer, why);
    if (consumer->spec.temporary && now_ms >= consumer->locked_since_ms + patience_ms) {
        rename_queue(consumer, "stays locked");
        consumer->locked_since_ms = 0;
        consumer->retry_at_ms = now_ms;
        gw__consumers_set_timer(consumer->set, now_ms);
    }
}

static void on_declared(void *ctx, gw_status st, const gw_error *why)
{
    gw__amqp_consumer *consumer = ctx;
    if (st == GW_E_BUSY) {
        on_locked(consumer, why);
        return;
    }
    consumer->locked_since_ms = 0;
    if (st != GW_OK) {
        retry_later(consumer, why);
        return;
    }
    if (consumer->spec.passive) {
        consumer->sink.found(consumer->sink.ctx, consumer->topology.n_waiting,
                             consumer->topology.n_consumers);
    }
    if (consumer->spec.prefetch == 0) {
        consumer->state = GW__CONSUMER_IDLE;
        return;
    }
    if (consumer->channel != NULL) {
        /* What it delivered before the broker ended the consumer can still be settled on it. */
        consumer->state = GW__CONSUMER_OPENING;
        if (consumer->qos != atomic_load(&consumer->prefetch)) {
            send_qos(consumer);
        } else {
            send_consume(consumer);
        }
        return;
    }
    consumer->channel = gw__session_open_channel(consumer->session, &consumer_events, consumer);
    if (consumer->channel == NULL) {
        gw_error err;
        gw_error_set(&err, GW_E_LIMIT, 0, "no channel left to consume from queue '%s'",
                     consumer->queue);
        retry_later(consumer, &err);
        return;
    }
    consumer->state = GW__CONSUMER_OPENING;
    consumer->epoch++;
    gw__unsettled_reset(&consumer->unsettled);
}

static void begin(gw__amqp_consumer *consumer)
{
    if (!gw__session_is_open(consumer->session)) {
        return; /* it ended in this very turn; with the next one it begins */
    }
    const gw__topology_spec spec = {.exchange = consumer->spec.exchange,
                                    .exchange_type = consumer->spec.exchange_type,
                                    .queue = consumer->queue,
                                    .temporary = consumer->spec.temporary,
                                    .queue_type = consumer->spec.queue_type,
                                    .binding_key = consumer->spec.binding_key,
                                    .binding_headers = consumer->spec.binding_headers,
                                    .n_binding_headers = consumer->spec.n_binding_headers,
                                    .match_any = consumer->spec.match_any,
                                    .passive = consumer->spec.passive};
    consumer->retry_at_ms = UINT64_MAX;
    consumer->state = GW__CONSUMER_DECLARING;
    gw__topology_start(&consumer->topology, consumer->session, &spec, on_declared, consumer);
}

static void on_open(gw__channel *channel)
{
    send_qos(channel->ctx);
}

static void send_cancel(gw__amqp_consumer *consumer)
{
    amqp_basic_cancel_t method = {.consumer_tag = amqp_cstring_bytes(consumer->tag)};
    gw__channel_call(consumer->channel, AMQP_BASIC_CANCEL_METHOD, &method,
                     AMQP_BASIC_CANCEL_OK_METHOD);
}

/* A prefetch holds for consumers that come after it, so it takes a new one. The channel stays, and
 * with it what is out; the new one begins where the old one ended. */
static void tune(gw__amqp_consumer *consumer)
{
    if (consumer->state == GW__CONSUMER_CONSUMING &&
        consumer->qos != atomic_load(&consumer->prefetch)) {
        consumer->state = GW__CONSUMER_TUNING;
        consumer->is_ended = false;
        send_cancel(consumer);
    }
}

static void on_consuming(gw__amqp_consumer *consumer)
{
    bool tuned = consumer->state == GW__CONSUMER_TUNING;
    consumer->state = GW__CONSUMER_CONSUMING;
    if (!tuned) {
        consumer->consuming_since_ms = consumer->session->now_ms;
        consumer->logged.text[0] = '\0';
        gw_log_info(AREA, "consuming from queue '%s'", consumer->queue);
        consumer->sink.state(consumer->sink.ctx, true, NULL);
    }
    tune(consumer); /* it may have been asked meanwhile */
}

/* The channel stays, and with it what was delivered: it may exist nowhere else any more. */
static void begin_again(gw__amqp_consumer *consumer)
{
    gw_error why;
    gw_error_set(&why, GW_E_NOT_FOUND, 0,
                 "queue '%s': the broker ended the consumer: the queue was deleted or moved",
                 consumer->queue);
    retry_later(consumer, &why);
}

static void on_cancel_ok(gw__amqp_consumer *consumer)
{
    if (consumer->state != GW__CONSUMER_TUNING) {
        become_cancelled(consumer);
    } else if (consumer->is_ended) {
        begin_again(consumer);
    } else {
        send_qos(consumer);
    }
}

static void on_reply(gw__channel *channel, const amqp_method_t *reply)
{
    gw__amqp_consumer *consumer = channel->ctx;
    bool ending = consumer->state == GW__CONSUMER_CANCELLING;
    if (consumer->state == GW__CONSUMER_CANCELLED) {
        return; /* it was not waited for any longer */
    }
    switch (reply->id) {
    case AMQP_BASIC_QOS_OK_METHOD:
        if (ending) {
            become_cancelled(consumer);
        } else {
            send_consume(consumer);
        }
        break;
    case AMQP_BASIC_CONSUME_OK_METHOD:
        if (ending) {
            send_cancel(consumer);
        } else {
            on_consuming(consumer);
        }
        break;
    case AMQP_BASIC_CANCEL_OK_METHOD: on_cancel_ok(consumer); break;
    default: gw__channel_finish(channel); break; /* queue.delete-ok: the last thing it did */
    }
}

static void on_closed(gw__channel *channel, const gw_error *why)
{
    gw__amqp_consumer *consumer = channel->ctx;
    consumer->channel = NULL;
    drop_channel(consumer);
    if (consumer->state == GW__CONSUMER_RELEASING) {
        become_released(consumer);
        return;
    }
    gw__topology_abandon(&consumer->topology);
    tell_lost(consumer);
    if (consumer->state == GW__CONSUMER_CANCELLING) {
        become_cancelled(consumer);
    } else if (consumer->state != GW__CONSUMER_CANCELLED) {
        gw_error reason = *why;
        if (why->native != 0) {
            gw_error_prefix(&reason, why->status, "queue '%s': the broker closed the channel",
                            consumer->queue);
        }
        retry_later(consumer, &reason);
    }
}

/* ---- deliveries ---------------------------------------------------------- */

static void on_notice(gw__channel *channel, const amqp_method_t *method)
{
    gw__amqp_consumer *consumer = channel->ctx;
    if (method->id != AMQP_BASIC_CANCEL_METHOD) {
        gw__session_fail(consumer->session, GW_E_PROTOCOL, 0, "%s on a consuming channel",
                         amqp_method_name(method->id));
        return;
    }
    if (consumer->state == GW__CONSUMER_CONSUMING) {
        begin_again(consumer);
    } else if (channel->awaited == AMQP_BASIC_CANCEL_OK_METHOD) {
        consumer->is_ended = true; /* one thing after the other: its answer comes still */
    }
}

static gw_status fill_arriving(gw__amqp_consumer *consumer, const gw__content *content)
{
    size_t queue_len = strlen(consumer->queue);
    size_t spare = content->exchange.len + content->routing_key.len + queue_len + 3;
    gw_message *msg =
        gw__properties_to_message(content->properties, content->pool, content->headers_left_out,
                                  (size_t)content->body_size, spare);
    if (msg == NULL) {
        return GW_E_NOMEM;
    }
    consumer->arriving = msg;
    gw__message_set_redelivered(msg, content->redelivered);
    gw_status st = gw__message_set_text(msg, GW__TEXT_QUEUE, consumer->queue, queue_len);
    if (st != GW_E_NOMEM) {
        st = gw__message_set_text(msg, GW__TEXT_EXCHANGE, content->exchange.bytes,
                                  content->exchange.len);
    }
    if (st != GW_E_NOMEM) {
        st = gw__message_set_text(msg, GW__TEXT_ROUTING_KEY, content->routing_key.bytes,
                                  content->routing_key.len);
    }
    return st == GW_E_NOMEM ? st : GW_OK;
}

static char *on_header(gw__channel *channel, const gw__content *content)
{
    gw__amqp_consumer *consumer = channel->ctx;
    if (content->method != AMQP_BASIC_DELIVER_METHOD ||
        strcmp(content->text.bytes, consumer->tag) != 0) {
        gw__session_fail(consumer->session, GW_E_PROTOCOL, 0,
                         "content for another than the consumer of queue '%s' on its channel",
                         consumer->queue);
        return NULL;
    }
    if (content->body_size > GW_MESSAGE_BODY_MAX) {
        return NULL;
    }
    if (fill_arriving(consumer, content) != GW_OK) {
        gw_message_free(consumer->arriving);
        consumer->arriving = NULL;
        gw__session_fail(consumer->session, GW_E_NOMEM, 0,
                         "no memory for a message of %" PRIu64 " bytes from queue '%s'",
                         content->body_size, consumer->queue);
        return NULL;
    }
    return gw__message_body_buffer(consumer->arriving);
}

static void on_content(gw__channel *channel, const gw__content *content)
{
    gw__amqp_consumer *consumer = channel->ctx;
    gw_message *msg = consumer->arriving;
    consumer->arriving = NULL;
    gw_status st = gw__unsettled_add(&consumer->unsettled, content->delivery_tag);
    if (st == GW_OK && consumer->unsettled.n_open > consumer->n_open_most) {
        st = GW_E_PROTOCOL;
    }
    if (st != GW_OK) {
        gw_message_free(msg);
        gw__session_fail(consumer->session, st, 0,
                         "the broker delivered from queue '%s' out of order or more than was asked",
                         consumer->queue);
        return;
    }
    if (msg == NULL) {
        /* Neither taken nor given back, which would bring it again at once: it stays with the
         * broker until the channel ends. */
        gw_log_error(AREA,
                     "a message of %" PRIu64 " bytes in queue '%s' is larger than the %zu "
                     "that are taken: it is left alone",
                     content->body_size, consumer->queue, GW_MESSAGE_BODY_MAX);
        return;
    }
    gw_counter_add(consumer->set->delivered, 1);
    if (content->redelivered) {
        gw_counter_add(consumer->set->redelivered, 1);
    }
    if (consumer->is_muted) {
        gw_message_free(msg);
        return;
    }
    gw__consumers_add_fresh(consumer->set, consumer);
    consumer->sink.deliver(consumer->sink.ctx, msg,
                           (gw__delivery){.epoch = consumer->epoch, .tag = content->delivery_tag});
}

static const gw__channel_events consumer_events = {
    .open = on_open,
    .reply = on_reply,
    .notice = on_notice,
    .header = on_header,
    .content = on_content,
    .closed = on_closed,
};

/* ---- settling -----------------------------------------------------------------------------------
 */

static void send_settlement(gw__amqp_consumer *consumer, uint64_t tag, bool multiple,
                            gw__settlement how, size_t n)
{
    if (how == GW__ACK) {
        amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = multiple};
        gw__channel_send(consumer->channel, AMQP_BASIC_ACK_METHOD, &ack);
        gw_counter_add(consumer->set->acked, n);
    } else {
        amqp_basic_nack_t nack = {.delivery_tag = tag, .multiple = multiple, .requeue = true};
        gw__channel_send(consumer->channel, AMQP_BASIC_NACK_METHOD, &nack);
        gw_counter_add(consumer->set->requeued, n);
    }
}

void gw__amqp_consumer_settle(gw__amqp_consumer *consumer)
{
    gw__settlings *settling = &consumer->settling;
    if (consumer->channel == NULL || consumer->channel->state != GW__CHANNEL_OPEN) {
        gw_counter_add(consumer->set->stale, settling->n_items);
        settling->n_items = 0; /* what it was about is the broker's again */
        return;
    }
    for (size_t i = 0; i < settling->n_items; i++) {
        const gw__settling *item = &settling->items[i];
        if (item->delivery.epoch == consumer->epoch) {
            gw__unsettled_mark(&consumer->unsettled, item->delivery.tag, item->how);
        } else {
            gw_counter_add(consumer->set->stale, 1);
        }
    }
    uint64_t tag;
    bool multiple;
    gw__settlement how;
    size_t n;
    while (gw__unsettled_next_run(&consumer->unsettled, &tag, &multiple, &how, &n)) {
        send_settlement(consumer, tag, multiple, how, n);
    }
    for (size_t i = 0; i < settling->n_items; i++) {
        const gw__settling *item = &settling->items[i];
        if (item->delivery.epoch == consumer->epoch &&
            gw__unsettled_take(&consumer->unsettled, item->delivery.tag, &how)) {
            send_settlement(consumer, item->delivery.tag, false, how, 1);
        }
    }
    settling->n_items = 0;
}

/* ---- asked from outside -------------------------------------------------- */

static void cancel(gw__amqp_consumer *consumer)
{
    switch (consumer->state) {
    case GW__CONSUMER_CONSUMING:
        consumer->state = GW__CONSUMER_CANCELLING;
        send_cancel(consumer);
        break;
    case GW__CONSUMER_TUNING:
        consumer->state = GW__CONSUMER_CANCELLING; /* with the answer that is under way */
        break;
    case GW__CONSUMER_OPENING: /* a call is under way on it */
        if (consumer->unsettled.n_open > 0) {
            consumer->state = GW__CONSUMER_CANCELLING; /* what it delivered earlier is kept */
            break;
        }
        drop_channel(consumer);
        tell_lost(consumer);
        become_cancelled(consumer);
        break;
    case GW__CONSUMER_IDLE:
    case GW__CONSUMER_DECLARING:
        gw__topology_abandon(&consumer->topology);
        become_cancelled(consumer);
        break;
    default: break;
    }
}

static void release(gw__amqp_consumer *consumer)
{
    gw__amqp_consumer_settle(consumer);
    bool usable = consumer->channel != NULL && consumer->channel->state == GW__CHANNEL_OPEN &&
                  consumer->state == GW__CONSUMER_CANCELLED;
    if (!usable) {
        become_released(consumer);
        return;
    }
    consumer->state = GW__CONSUMER_RELEASING;
    /* One call at a time: when the broker has not answered the cancel, the queue is left to expire.
     */
    if (consumer->spec.temporary && consumer->channel->awaited == 0) {
        amqp_queue_delete_t method = {.queue = amqp_cstring_bytes(consumer->queue)};
        gw__channel_call(consumer->channel, AMQP_QUEUE_DELETE_METHOD, &method,
                         AMQP_QUEUE_DELETE_OK_METHOD);
    } else {
        gw__channel_finish(consumer->channel);
    }
}

void gw__amqp_consumer_ask(gw__amqp_consumer *consumer, unsigned asked)
{
    if ((asked & GW__ASK_START) != 0 && consumer->session != NULL) {
        gw__amqp_consumer_up(consumer, consumer->session);
    }
    if ((asked & GW__ASK_TUNE) != 0) {
        tune(consumer);
    }
    if ((asked & GW__ASK_CANCEL) != 0) {
        cancel(consumer);
    }
    if ((asked & GW__ASK_MUTE) != 0) {
        consumer->is_muted = true;
        if (consumer->state == GW__CONSUMER_CANCELLING) {
            consumer->state = GW__CONSUMER_CANCELLED; /* a late cancel-ok changes nothing */
        }
        gw__consumers_report(consumer->set, consumer, &consumer->muted);
    }
    if ((asked & GW__ASK_RELEASE) != 0) {
        release(consumer);
    }
    if ((asked & GW__ASK_DROP) != 0) {
        become_released(consumer);
        gw__consumers_remove(consumer->set, consumer);
        gw__consumers_report(consumer->set, consumer, &consumer->dropped);
    }
}

/* ---- life ---------------------------------------------------------------- */

/* A temporary queue is on the node that declared it, and goes with that. Declared again by another
 * node, with the same name, it goes too when the nodes clear away what was on the first one
 * (RabbitMQ 3.10, without a basic.cancel). */
static void note_host(gw__amqp_consumer *consumer, size_t host)
{
    if (consumer->spec.temporary && consumer->has_host && consumer->host != host) {
        rename_queue(consumer, "is on another host");
    }
    consumer->has_host = true;
    consumer->host = host;
}

void gw__amqp_consumer_up(gw__amqp_consumer *consumer, gw__session *session)
{
    consumer->session = session;
    if (consumer->state == GW__CONSUMER_IDLE) {
        note_host(consumer, session->login.host);
        begin(consumer);
    }
}

void gw__amqp_consumer_down(gw__amqp_consumer *consumer)
{
    consumer->session = NULL; /* its channel and topology ended before */
    consumer->retry_at_ms = UINT64_MAX;
}

uint64_t gw__amqp_consumer_tick(gw__amqp_consumer *consumer, uint64_t now_ms)
{
    if (consumer->state != GW__CONSUMER_IDLE || consumer->session == NULL) {
        return UINT64_MAX;
    }
    if (now_ms < consumer->retry_at_ms) {
        return consumer->retry_at_ms;
    }
    begin(consumer);
    return UINT64_MAX;
}

static char *copy_text(const char *text, bool *failed)
{
    char *copy = text == NULL ? NULL : strdup(text);
    *failed = *failed || (text != NULL && copy == NULL);
    return copy;
}

static void free_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

gw__amqp_consumer *gw__amqp_consumer_new(gw__consumers *set, const gw__consumer_spec *spec,
                                         const gw__sink *sink)
{
    gw__amqp_consumer *consumer = calloc(1, sizeof(*consumer));
    if (consumer == NULL) {
        return NULL;
    }
    bool failed = false;
    consumer->set = set;
    consumer->sink = *sink;
    consumer->spec = *spec;
    consumer->spec.queue = copy_text(spec->queue, &failed);
    consumer->spec.exchange = copy_text(spec->exchange, &failed);
    consumer->spec.binding_key = copy_text(spec->binding_key, &failed);
    consumer->spec.consumer_name = copy_text(spec->consumer_name, &failed);
    failed = failed || gw__headers_copy(spec->binding_headers, spec->n_binding_headers,
                                        &consumer->headers, NULL) != GW_OK;
    if (!failed) {
        consumer->spec.binding_headers = gw_message_header_at(consumer->headers, 0);
    }
    snprintf(consumer->queue, sizeof(consumer->queue), "%s", spec->queue);
    consumer->retry_at_ms = UINT64_MAX;
    atomic_init(&consumer->prefetch, spec->prefetch);
    pthread_mutex_init(&consumer->lock, NULL);
    gw__unsettled_init(&consumer->unsettled);
    gw__recovery_init(&consumer->recovery);
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    snprintf(consumer->tag_base, sizeof(consumer->tag_base), "%.180s-%s",
             spec->consumer_name != NULL ? spec->consumer_name : "godwit", id);
    if (failed) {
        gw__amqp_consumer_free(consumer);
        return NULL;
    }
    return consumer;
}

void gw__amqp_consumer_free(gw__amqp_consumer *consumer)
{
    if (consumer == NULL) {
        return;
    }
    free_text(consumer->spec.queue);
    free_text(consumer->spec.exchange);
    free_text(consumer->spec.binding_key);
    free_text(consumer->spec.consumer_name);
    gw_message_free(consumer->headers);
    free(consumer->incoming.items);
    free(consumer->settling.items);
    gw__unsettled_dispose(&consumer->unsettled);
    gw_message_free(consumer->arriving);
    pthread_mutex_destroy(&consumer->lock);
    free(consumer);
}
