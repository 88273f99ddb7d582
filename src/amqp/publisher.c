/* SPDX-License-Identifier: MIT */
#include "amqp/publisher.h"

#include <stdlib.h>
#include <string.h>

#include <amqp_framing.h>

#include <godwit/clock.h>
#include <godwit/log.h>
#include <godwit/metrics.h>

#include "amqp/confirms.h"
#include "amqp/declarations.h"
#include "amqp/frame.h"
#include "amqp/properties.h"
#include "amqp/recovery.h"
#include "amqp/suspects.h"
#include "amqp/wire.h"

#define AREA      "amqp"
#define PULL_MAX  128 /* items pulled at once */
#define BATCH_MAX 256 /* items settled at once */
/* A full window is pulled for again when a quarter of it is free, not for each confirm. */
#define REFILL_AT     (GW__CONFIRM_WINDOW - GW__CONFIRM_WINDOW / 4)
#define PULL_EVERY_MS 1000
/* A channel on which the broker refuses all of a target's messages for so long is replaced, and
 * after four of them the next has twice as long, up to 64 times: RabbitMQ 3.10 refuses for ever on
 * a channel that published to a quorum queue first while that had no leader, and takes them on
 * another. */
#define NACK_PATIENCE_NS GW_NS_PER_S
#define NACK_EQUALS      4
#define NACK_DOUBLINGS   6
/* Messages that come faster than this are gathered for so long, and so are their confirms: a system
 * call and a turn of the broker for some of them, not for each. Single ones are not kept waiting.
 */
#define BUSY_NS   100000u
#define GATHER_NS 200000u
struct gw__publisher {
    gw__source source;
    /* A channel whose oldest message waits longer is suspect: a queue without a leader, say. */
    unsigned confirm_timeout_s;
    size_t n_other_hosts;
    size_t n_left; /* hosts in a row that confirmed nothing */
    /* One message at a time, until the first is confirmed: a node of a cluster in trouble takes
     * seconds for each that it cannot pass on, and reads nothing else from us meanwhile. */
    bool probing;
    gw__session *session;      /* NULL: none */
    gw__channel *channel;      /* NULL: none */
    bool ready;                /* in confirm mode */
    uint64_t ready_ns;         /* since when */
    bool paused;               /* by channel.flow */
    bool flow_due;             /* its answer, put off since it must not stand within a message */
    bool was_stalled;          /* blocked or paused at the last turn */
    uint64_t stalled_ns;       /* when it was so last */
    const gw__target *refused; /* by this channel again and again: it is to be replaced */
    bool full;                 /* the window was full and has not emptied to REFILL_AT */
    uint64_t now_ms;
    uint64_t now_ns;
    uint64_t retry_at_ms; /* when to open a channel again */
    gw__recovery recovery;
    gw__confirms confirms;
    /* Handed out by the source and not sent, in order. */
    gw__outgoing *pulled[PULL_MAX];
    size_t n_pulled;
    size_t pulled_at;
    /* Being sent: its method and header are out, of its body `body_at` bytes. */
    gw__outgoing *current;
    size_t body_at;
    /* Waiting for their targets to be declared, in order. */
    gw__outgoing *held[GW__CONFIRM_WINDOW];
    size_t n_held;
    gw__declarations declarations;
    unsigned n_sent;       /* in this turn */
    uint64_t sent_ns;      /* the last turn in which anything was sent */
    uint64_t confirmed_ns; /* when a confirm came last */
    /* To be settled, all with the same outcome. */
    gw__outgoing *batch[BATCH_MAX];
    size_t n_batch;
    gw_status batch_outcome;
    gw_error batch_why;
    gw__suspects suspects;
    /* Of the return that is arriving. */
    bool returned_has_id;
    char returned_id[GW_MESSAGE_TEXT_MAX + 1];
    amqp_pool_t pool; /* for encoding headers */
    gw_counter *published;
    gw_counter *confirmed;
    gw_counter *returned;
    gw_counter *nacked;
    gw_histogram *latency;
    gw_gauge *unconfirmed;
    int64_t n_unconfirmed; /* in the gauge */
};

static const gw__channel_events publisher_events;

/* ---- settling ------------------------------------------------------------ */

static void flush_batch(gw__publisher *pub)
{
    if (pub->n_batch > 0) {
        size_t n = pub->n_batch;
        pub->n_batch = 0;
        pub->source.settle(pub->source.ctx, pub->batch, n, pub->batch_outcome,
                           pub->batch_outcome == GW_OK ? NULL : &pub->batch_why);
    }
}

static void settle(gw__publisher *pub, gw__outgoing *item, gw_status outcome, const gw_error *why)
{
    bool same = outcome == pub->batch_outcome && outcome == GW_OK;
    if (pub->n_batch == BATCH_MAX || !same) {
        flush_batch(pub);
    }
    pub->batch_outcome = outcome;
    if (why != NULL) {
        pub->batch_why = *why;
    }
    pub->batch[pub->n_batch++] = item;
}

/* ---- sending ------------------------------------------------------------- */

/* Method and header of a message. GW_E_LIMIT when they do not fit a frame. */
static gw_status send_head(gw__publisher *pub, const gw__outgoing *item, size_t body_len)
{
    gw_buf *out = &pub->session->out;
    size_t before = out->len;
    char expiration[GW__EXPIRATION_MAX];
    amqp_basic_properties_t properties;
    gw_status st = gw__properties_from_message(item->msg, &pub->pool, expiration, &properties);
    amqp_basic_publish_t publish = {.exchange = amqp_cstring_bytes(item->target->exchange),
                                    .routing_key = amqp_cstring_bytes(gw__outgoing_key(item)),
                                    .mandatory = item->mandatory};
    if (st == GW_OK) {
        st = gw__wire_method(out, pub->channel->id, AMQP_BASIC_PUBLISH_METHOD, &publish);
    }
    if (st == GW_OK) {
        st = gw__wire_header(out, pub->channel->id, &properties, body_len, pub->session->frame_max);
    }
    if ((properties._flags & AMQP_BASIC_HEADERS_FLAG) != 0) {
        recycle_amqp_pool(&pub->pool);
    }
    if (st != GW_OK) {
        out->len = before;
    }
    return st;
}

/* As much of the current body as the buffer is to hold. */
static void send_body(gw__publisher *pub)
{
    gw__session *session = pub->session;
    size_t body_len;
    const char *body = gw_message_body(pub->current->msg, &body_len);
    size_t piece_max = session->frame_max - GW__FRAME_OVERHEAD;
    while (pub->body_at < body_len && session->out.len < GW__OUT_HIGH_WATER) {
        size_t len = body_len - pub->body_at;
        len = len < piece_max ? len : piece_max;
        if (gw__wire_body(&session->out, pub->channel->id, body + pub->body_at, len) != GW_OK) {
            gw__session_fail(session, GW_E_NOMEM, 0, "no memory for sending");
            return;
        }
        pub->body_at += len;
    }
    if (pub->body_at == body_len) {
        /* Only now can it be confirmed: until then a confirm of it would be a lie. */
        gw__confirms_add(&pub->confirms, pub->current, pub->now_ns);
        pub->current = NULL;
    }
}

static void send_item(gw__publisher *pub, gw__outgoing *item)
{
    size_t body_len;
    (void)gw_message_body(item->msg, &body_len);
    gw_status st = send_head(pub, item, body_len);
    if (st == GW_E_NOMEM) {
        gw__session_fail(pub->session, st, 0, "no memory for sending");
        return; /* it is undecided, as everything else on its way */
    }
    if (st != GW_OK) {
        gw_error why;
        gw_error_set(&why, st, 0,
                     "the properties of the message do not fit the %u bytes that the broker takes",
                     pub->session->frame_max);
        settle(pub, item, st, &why);
        return;
    }
    gw_counter_add(pub->published, 1);
    pub->n_sent++;
    pub->current = item;
    pub->body_at = 0;
    send_body(pub);
}

/* What to do with an item that the source handed out: send it, or keep it until it can be. */
static void dispose_of(gw__publisher *pub, gw__outgoing *item)
{
    if (gw__declarations_has(&pub->declarations, item->target)) {
        send_item(pub, item);
        return;
    }
    const gw_error *why = gw__declarations_denied(&pub->declarations, item->target);
    if (why != NULL) {
        settle(pub, item, gw__declarations_outcome(why), why);
    } else {
        pub->held[pub->n_held++] = item;
    }
}

static size_t in_flight(const gw__publisher *pub)
{
    return gw__confirms_count(&pub->confirms) + pub->n_held + (pub->current != NULL);
}

/* Whether one more may go out now. */
static bool has_room(const gw__publisher *pub)
{
    if ((pub->suspects.n > 0 || pub->probing) && in_flight(pub) > pub->n_held) {
        return false;
    }
    return gw__session_is_open(pub->session) && pub->current == NULL && !pub->full &&
           in_flight(pub) < GW__CONFIRM_WINDOW && pub->session->out.len < GW__OUT_HIGH_WATER;
}

/* Declare what is waited for, and send those whose waiting is over, in their order. */
static void work_held(gw__publisher *pub)
{
    size_t n = pub->n_held;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        gw__outgoing *item = pub->held[i];
        bool declared = gw__declarations_has(&pub->declarations, item->target);
        bool sendable =
            declared && pub->current == NULL && pub->session->out.len < GW__OUT_HIGH_WATER &&
            gw__session_is_open(pub->session) &&
            ((pub->suspects.n == 0 && !pub->probing) || gw__confirms_count(&pub->confirms) == 0);
        const gw_error *why =
            declared ? NULL : gw__declarations_denied(&pub->declarations, item->target);
        if (sendable) {
            pub->n_held--;
            send_item(pub, item);
        } else if (why != NULL) {
            pub->n_held--;
            settle(pub, item, gw__declarations_outcome(why), why);
        } else {
            pub->held[kept++] = item;
            if (!declared) {
                gw__declarations_start(&pub->declarations, item->target);
            }
        }
    }
    pub->n_held = kept;
}

static gw__outgoing *pull(gw__publisher *pub)
{
    if (pub->pulled_at == pub->n_pulled) {
        size_t room = GW__CONFIRM_WINDOW - in_flight(pub);
        pub->pulled_at = 0;
        pub->n_pulled =
            pub->source.next(pub->source.ctx, pub->pulled, room < PULL_MAX ? room : PULL_MAX);
        if (pub->n_pulled == 0) {
            return NULL;
        }
    }
    return pub->pulled[pub->pulled_at++];
}

/* Whether declared held items wait: they go first, since their targets' later messages would
 * overtake them. */
static bool held_is_due(const gw__publisher *pub)
{
    for (size_t i = 0; i < pub->n_held; i++) {
        if (gw__declarations_has(&pub->declarations, pub->held[i]->target)) {
            return true;
        }
    }
    return false;
}

/* Between messages only: a method within one would end the connection. */
static void answer_flow(gw__publisher *pub)
{
    if (pub->flow_due && pub->current == NULL) {
        amqp_channel_flow_ok_t ok = {.active = !pub->paused};
        gw__channel_send(pub->channel, AMQP_CHANNEL_FLOW_OK_METHOD, &ok);
        pub->flow_due = false;
    }
}

/* What is half sent, as far as there is room. */
static void finish_current(gw__publisher *pub)
{
    if (pub->current != NULL) {
        send_body(pub);
    }
    answer_flow(pub);
}

/* Send until there is nothing to send or no room. */
static void pump(gw__publisher *pub)
{
    finish_current(pub);
    if (pub->n_held > 0) {
        work_held(pub);
        if (held_is_due(pub)) {
            return;
        }
    }
    while (has_room(pub)) {
        gw__outgoing *item = pull(pub);
        if (item == NULL) {
            break;
        }
        dispose_of(pub, item);
    }
    if (pub->n_held > 0) {
        work_held(pub);
    }
}

/* ---- what the broker says ------------------------------------------------ */

static void note_nack(gw__publisher *pub, gw__target *target)
{
    unsigned n = target->n_renewals < NACK_EQUALS ? 0 : target->n_renewals + 1 - NACK_EQUALS;
    n = n < NACK_DOUBLINGS ? n : NACK_DOUBLINGS;
    if (target->nacked_since_ns == 0 || target->nacked_since_ns < pub->ready_ns) {
        target->nacked_since_ns = pub->now_ns; /* what an earlier channel refused says nothing */
    } else if (pub->now_ns - target->nacked_since_ns >= (uint64_t)NACK_PATIENCE_NS << n) {
        target->nacked_since_ns = pub->now_ns;
        target->n_renewals++;
        pub->refused = target;
    }
}

static void take_confirm(gw__publisher *pub, uint64_t tag, gw_status outcome, const gw_error *why)
{
    uint64_t sent_ns = 0;
    gw__outgoing *item = gw__confirms_take(&pub->confirms, tag, &sent_ns);
    if (sent_ns != 0) {
        gw__suspects_clear_one(&pub->suspects);
    }
    if (item == NULL) {
        return;
    }
    if (outcome == GW_OK) {
        item->target->n_timeouts = 0;
        item->target->nacked_since_ns = 0;
        item->target->n_renewals = 0;
        pub->refused = pub->refused == item->target ? NULL : pub->refused;
        gw_histogram_observe(pub->latency, pub->now_ns - sent_ns);
    } else {
        note_nack(pub, item->target);
    }
    settle(pub, item, outcome, why);
}

static void on_confirm(gw__publisher *pub, uint64_t tag, bool multiple, bool is_ack)
{
    if (tag == 0 && multiple) {
        tag = pub->confirms.next - 1; /* all so far */
    } else if (!gw__confirms_is_known(&pub->confirms, tag)) {
        gw__session_fail(pub->session, GW_E_PROTOCOL, 0,
                         "the broker confirmed message %llu of a channel, which was not sent",
                         (unsigned long long)tag);
        return;
    }
    gw_error why;
    if (!is_ack) {
        gw_error_set(&why, GW_E_REFUSED, 0, "the broker could not take the message (basic.nack)");
    }
    uint64_t first = multiple ? pub->confirms.oldest : tag;
    uint64_t n = 0;
    pub->now_ns = pub->session->now_ns;
    for (uint64_t at = first; at <= tag; at++, n++) {
        take_confirm(pub, at, is_ack ? GW_OK : GW_E_REFUSED, is_ack ? NULL : &why);
    }
    gw_counter_add(is_ack ? pub->confirmed : pub->nacked, n);
    pub->confirmed_ns = pub->now_ns;
    if (is_ack) {
        pub->n_left = 0;
        pub->probing = false;
        gw__recovery_reset(&pub->recovery);
    }
}

static void on_notice(gw__channel *channel, const amqp_method_t *method)
{
    gw__publisher *pub = channel->ctx;
    if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = method->decoded;
        on_confirm(pub, ack->delivery_tag, ack->multiple != 0, true);
    } else if (method->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = method->decoded;
        on_confirm(pub, nack->delivery_tag, nack->multiple != 0, false);
    } else if (method->id == AMQP_CHANNEL_FLOW_METHOD) {
        const amqp_channel_flow_t *flow = method->decoded;
        pub->paused = !flow->active;
        pub->flow_due = true;
        answer_flow(pub);
    } else {
        gw__session_fail(pub->session, GW_E_PROTOCOL, 0, "%s on the publishing channel",
                         amqp_method_name(method->id));
    }
}

static char *on_header(gw__channel *channel, const gw__content *content)
{
    gw__publisher *pub = channel->ctx;
    const amqp_basic_properties_t *properties = content->properties;
    if (content->method != AMQP_BASIC_RETURN_METHOD) {
        gw__session_fail(pub->session, GW_E_PROTOCOL, 0, "a delivery on the publishing channel");
        return NULL;
    }
    pub->returned_has_id = (properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0 &&
                           properties->message_id.len <= GW_MESSAGE_TEXT_MAX;
    if (pub->returned_has_id) {
        memcpy(pub->returned_id, properties->message_id.bytes, properties->message_id.len);
        pub->returned_id[properties->message_id.len] = '\0';
    }
    return NULL; /* we have the body ourselves */
}

static void on_content(gw__channel *channel, const gw__content *content)
{
    gw__publisher *pub = channel->ctx;
    const char *exchange = content->exchange.bytes;
    const char *routing_key = content->routing_key.bytes;
    gw__outgoing *item = gw__confirms_take_returned(&pub->confirms, exchange, routing_key,
                                                    pub->returned_has_id ? pub->returned_id : NULL);
    if (item == NULL) {
        gw_log_warn(AREA,
                    "the broker returned a message that is not on its way (exchange '%s', "
                    "key '%s')",
                    exchange, routing_key);
        return;
    }
    gw_error why;
    gw_error_set(&why, GW_E_UNROUTABLE, content->reply_code, "%s '%s', routing key '%s': %u %s",
                 gw__target_noun(item->target), gw__target_name(item->target), routing_key,
                 content->reply_code, (const char *)content->text.bytes);
    gw_counter_add(pub->returned, 1);
    settle(pub, item, GW_E_UNROUTABLE, &why);
}

/* ---- the channel --------------------------------------------------------- */

static void on_open(gw__channel *channel)
{
    amqp_confirm_select_t select = {0};
    gw__channel_call(channel, AMQP_CONFIRM_SELECT_METHOD, &select, AMQP_CONFIRM_SELECT_OK_METHOD);
}

static void on_reply(gw__channel *channel, const amqp_method_t *reply)
{
    (void)reply; /* the channel knows no other call than confirm.select */
    gw__publisher *pub = channel->ctx;
    pub->ready = true;
    pub->ready_ns = pub->session->now_ns;
    pub->paused = false;
    pub->flow_due = false;
    pub->refused = NULL;
    pub->full = false;
    gw__confirms_reset(&pub->confirms);
}

/* The one message that was on its way alone when the broker closed the channel or connection. */
static gw__outgoing *only_suspect(gw__publisher *pub)
{
    size_t n = gw__confirms_count(&pub->confirms);
    if (pub->current != NULL) {
        return n == 0 ? pub->current : NULL;
    }
    return n == 1 ? pub->confirms.slots[pub->confirms.oldest & (GW__CONFIRM_WINDOW - 1)].item
                  : NULL;
}

/* Give up the one at fault, if it is known. */
static void judge(gw__publisher *pub, gw__outgoing *item, const gw_error *reason)
{
    gw_status outcome = gw__suspects_judge(&pub->suspects, item, reason);
    if (outcome == GW_OK) {
        return;
    }
    if (reason->native == AMQP_NOT_FOUND || reason->native == AMQP_ACCESS_REFUSED) {
        gw__declarations_deny(&pub->declarations, item->target, reason);
    }
    gw_error why = *reason;
    gw_error_prefix(&why, outcome, "the broker refuses the message");
    settle(pub, item, outcome, &why);
}

/* Everything handed out and not settled goes back. */
static void rewind_source(gw__publisher *pub)
{
    flush_batch(pub);
    gw__declarations_abandon(&pub->declarations);
    pub->current = NULL;
    pub->n_held = 0;
    pub->n_pulled = 0;
    pub->pulled_at = 0;
    gw__confirms_reset(&pub->confirms);
    pub->source.rewind(pub->source.ctx);
}

static void on_closed(gw__channel *channel, const gw_error *why)
{
    gw__publisher *pub = channel->ctx;
    size_t n = gw__confirms_count(&pub->confirms) + (pub->current != NULL);
    pub->channel = NULL;
    pub->ready = false;
    if (n > 0 && gw__suspects_is_about_publish(why)) {
        gw__outgoing *item = only_suspect(pub);
        gw__suspects_add(&pub->suspects, n);
        if (item != NULL) {
            judge(pub, item, why);
        }
    }
    if (why->native == AMQP_NOT_FOUND) {
        pub->declarations.epoch++; /* an exchange went: declare all again */
    }
    rewind_source(pub);
    unsigned wait_ms = gw__recovery_next_ms(&pub->recovery, GW_E_UNAVAILABLE);
    pub->retry_at_ms = pub->session->now_ms + (pub->suspects.n > 0 ? 0 : wait_ms);
    if (gw__session_is_open(pub->session)) {
        gw_log_warn(AREA, "publishing channel closed: %s; %zu messages are sent again", why->text,
                    n);
    }
}

static const gw__channel_events publisher_events = {
    .open = on_open,
    .reply = on_reply,
    .notice = on_notice,
    .header = on_header,
    .content = on_content,
    .closed = on_closed,
};

/* ---- the role ------------------------------------------------------------ */

void gw__publisher_up(gw__publisher *publisher, gw__session *session)
{
    publisher->session = session;
    publisher->retry_at_ms = 0;
    publisher->probing = publisher->n_other_hosts > 0;
    gw__declarations_begin(&publisher->declarations, session);
}

void gw__publisher_down(gw__publisher *publisher)
{
    publisher->session = NULL;
    publisher->channel = NULL;
    publisher->ready = false;
}

/* While the broker takes nothing it need not confirm either. */
static void note_stall(gw__publisher *pub)
{
    bool stalled = pub->session->blocked || pub->paused;
    if (stalled || pub->was_stalled) {
        pub->stalled_ns = pub->now_ns;
    }
    pub->was_stalled = stalled;
}

static bool is_overdue(const gw__publisher *pub, uint64_t sent_ns)
{
    uint64_t since_ns = sent_ns > pub->stalled_ns ? sent_ns : pub->stalled_ns;
    uint64_t patience_ns = (uint64_t)pub->confirm_timeout_s * GW_NS_PER_S;
    /* The first one is alone, and there are other hosts. */
    patience_ns = pub->probing && pub->n_left < pub->n_other_hosts ? patience_ns / 4 : patience_ns;
    return sent_ns != 0 && pub->now_ns >= since_ns + patience_ns;
}

/* The window is shared: targets that confirm nothing must not fill it again at once. */
static void deny_overdue(gw__publisher *pub)
{
    gw_error why;
    gw_error_set(&why, GW_E_TIMEOUT, 0, "no confirm for %u s", pub->confirm_timeout_s);
    for (uint64_t tag = pub->confirms.oldest; tag < pub->confirms.next; tag++) {
        gw__outgoing *item = NULL;
        uint64_t sent_ns = gw__confirms_sent_ns(&pub->confirms, tag, &item);
        if (item != NULL && is_overdue(pub, sent_ns) &&
            gw__declarations_denied(&pub->declarations, item->target) == NULL) {
            gw__declarations_deny(&pub->declarations, item->target, &why);
        }
    }
}

/* Nothing at all was confirmed since the oldest was sent: it is the node that is at fault, most
 * likely, and another does better. When none of them does it is the queue. */
static bool leave_node(gw__publisher *pub)
{
    if (pub->n_left >= pub->n_other_hosts ||
        pub->confirmed_ns > gw__confirms_oldest_ns(&pub->confirms)) {
        return false;
    }
    pub->n_left++;
    gw__session_fail(pub->session, GW_E_TIMEOUT, 0,
                     "the broker confirms nothing: %zu messages are sent again",
                     gw__confirms_count(&pub->confirms));
    return true;
}

/* Close the channel, so that no late confirm can come, and send again. */
static void replace_channel(gw__publisher *pub)
{
    gw__channel *channel = pub->channel;
    pub->channel = NULL;
    pub->ready = false;
    pub->probing = pub->probing || pub->refused != NULL || pub->n_other_hosts > 0;
    pub->refused = NULL;
    rewind_source(pub);
    gw__channel_close(channel);
}

/* The confirms do not come. */
static void give_up_overdue(gw__publisher *pub)
{
    if (leave_node(pub)) {
        return;
    }
    gw_log_warn(AREA, "no confirm for %u s: %zu messages are sent again on a new channel",
                pub->confirm_timeout_s, gw__confirms_count(&pub->confirms));
    deny_overdue(pub);
    replace_channel(pub);
}

/* Nothing but refusals comes. */
static void give_up_refused(gw__publisher *pub)
{
    gw_log_warn(AREA,
                "the broker refuses all messages for %s '%s' (basic.nack): they are sent "
                "again on a new channel",
                gw__target_noun(pub->refused), gw__target_name(pub->refused));
    replace_channel(pub);
}

static void count_unconfirmed(gw__publisher *pub)
{
    int64_t n = (int64_t)gw__confirms_count(&pub->confirms);
    gw_gauge_add(pub->unconfirmed, n - pub->n_unconfirmed);
    pub->n_unconfirmed = n;
}

/* Whether more is about to come, so that it pays to wait for it. Never with a full window, which
 * only confirms can open. */
static bool is_busy(gw__publisher *pub)
{
    bool busy = pub->n_sent > 1 || (pub->n_sent == 1 && pub->now_ns - pub->sent_ns < BUSY_NS);
    pub->sent_ns = pub->n_sent > 0 ? pub->now_ns : pub->sent_ns;
    pub->n_sent = 0;
    return busy && !pub->full && pub->current == NULL && pub->n_held == 0;
}

static gw__turn work(gw__publisher *pub, uint64_t now_ns)
{
    uint64_t now_ms = now_ns / GW_NS_PER_MS;
    gw__turn turn = {.timer_ms = now_ms + PULL_EVERY_MS};
    pub->now_ns = now_ns;
    pub->now_ms = now_ms;
    flush_batch(pub); /* what the input since the last turn settled */
    if (pub->session == NULL || !gw__session_is_open(pub->session)) {
        return turn;
    }
    if (pub->channel == NULL && now_ms >= pub->retry_at_ms) {
        pub->channel = gw__session_open_channel(pub->session, &publisher_events, pub);
        if (pub->channel == NULL) {
            gw__session_fail(pub->session, GW_E_NOMEM, 0, "no channel for publishing");
        }
    }
    if (pub->channel == NULL) {
        turn.timer_ms = pub->retry_at_ms < turn.timer_ms ? pub->retry_at_ms : turn.timer_ms;
        return turn;
    }
    if (!pub->ready) {
        return turn;
    }
    note_stall(pub);
    if (pub->session->blocked) {
        return turn;
    }
    size_t before = pub->session->out.len;
    bool overdue = is_overdue(pub, gw__confirms_oldest_ns(&pub->confirms));
    if (overdue || pub->refused != NULL || pub->paused) {
        /* Nothing new, but what is half sent goes first: no method may stand within a message. */
        finish_current(pub);
    } else {
        pub->full = pub->full && in_flight(pub) > REFILL_AT;
        pump(pub);
        flush_batch(pub);
        pub->full = pub->full || in_flight(pub) == GW__CONFIRM_WINDOW;
    }
    if (overdue && pub->current == NULL) {
        give_up_overdue(pub);
        return turn;
    }
    if (pub->refused != NULL && pub->current == NULL) {
        give_up_refused(pub);
        turn.timer_ms = now_ms; /* the new channel is opened at once */
        return turn;
    }
    if (pub->session->out.len >= GW__OUT_HIGH_WATER && before < GW__OUT_HIGH_WATER) {
        turn.timer_ms = now_ms; /* there may be more */
    } else if (is_busy(pub)) {
        turn.doze_ns = GATHER_NS;
        turn.deaf = true;
    }
    return turn;
}

gw__turn gw__publisher_work(gw__publisher *publisher, uint64_t now_ns)
{
    gw__turn turn = work(publisher, now_ns);
    count_unconfirmed(publisher);
    return turn;
}

/* ---- life ---------------------------------------------------------------- */

gw__publisher *gw__publisher_new(const gw__source *source, const gw__endpoint *endpoint)
{
    gw__publisher *pub = calloc(1, sizeof(*pub));
    if (pub == NULL) {
        return NULL;
    }
    pub->source = *source;
    pub->confirm_timeout_s = endpoint->confirm_timeout_s;
    pub->n_other_hosts = endpoint->url.n_hosts > 1 ? endpoint->url.n_hosts - 1 : 0;
    init_amqp_pool(&pub->pool, 4096);
    gw__recovery_init(&pub->recovery);
    gw__confirms_reset(&pub->confirms);
    pub->published = gw_metrics_counter("godwit_amqp_published_total",
                                        "Messages sent to the broker, repetitions included.", NULL);
    pub->confirmed = gw_metrics_counter("godwit_amqp_confirmed_total",
                                        "Messages that the broker has confirmed.", NULL);
    pub->returned =
        gw_metrics_counter("godwit_amqp_returned_total", "Messages that no queue took.", NULL);
    pub->nacked =
        gw_metrics_counter("godwit_amqp_nacked_total", "Messages that the broker refused.", NULL);
    pub->latency = gw_metrics_histogram("godwit_amqp_confirm_seconds",
                                        "From sending a message to its confirm.", NULL);
    pub->unconfirmed = gw_metrics_gauge("godwit_amqp_unconfirmed",
                                        "Messages that were sent and not confirmed yet.", NULL);
    return pub;
}

void gw__publisher_free(gw__publisher *publisher)
{
    if (publisher != NULL) {
        gw_gauge_add(publisher->unconfirmed, -publisher->n_unconfirmed);
        empty_amqp_pool(&publisher->pool);
        free(publisher);
    }
}
