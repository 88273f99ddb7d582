/* SPDX-License-Identifier: MIT */
/*
 * Whatever a broker sends: frames, tables, contents, confirms. A session with a publisher that has
 * messages on their way (channel 2) and a consumer (channel 3) hears the input.
 *
 * The first byte says how: bit 0: the rest is frames without their length and end, as records of
 * type, channel, two bytes of length and payload, so that a change of the payload leaves a frame;
 * bit 1: before the handshake instead of after it; bit 2: in pieces of seven bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <amqp.h>
#include <amqp_framing.h>

#include <godwit/log.h>

#include "amqp/consumers.h"
#include "amqp/frame.h"
#include "amqp/publisher.h"
#include "amqp/session.h"
#include "amqp/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAMED    1
#define GREETING  2
#define IN_PIECES 4
#define N_ITEMS   8
#define INPUT_MAX 65536

typedef struct world {
    gw__session session;
    gw__publisher *publisher;
    gw__consumers consumers;
    gw__amqp_consumer *consumer;
    gw_buf heard;
    uint64_t now;
    gw__target target;
    gw__outgoing items[N_ITEMS];
    size_t n_handed_out;
    uint64_t last_tag;
    size_t sum; /* of all bytes that were delivered */
} world;

/* ---- what the session is for --------------------------------------------- */

static size_t source_next(void *ctx, gw__outgoing **ret_items, size_t max)
{
    world *w = ctx;
    size_t n = 0;
    while (n < max && w->n_handed_out < N_ITEMS) {
        if (w->items[w->n_handed_out].msg != NULL) {
            ret_items[n++] = &w->items[w->n_handed_out];
        }
        w->n_handed_out++;
    }
    return n;
}

static void source_settle(void *ctx, gw__outgoing *const *items, size_t n_items, gw_status outcome,
                          const gw_error *why)
{
    (void)ctx;
    for (size_t i = 0; i < n_items; i++) {
        if (items[i]->msg == NULL || (outcome != GW_OK && why == NULL)) {
            abort(); /* settled twice, or without a reason */
        }
        gw_message_free(items[i]->msg);
        items[i]->msg = NULL;
    }
}

static void source_rewind(void *ctx)
{
    ((world *)ctx)->n_handed_out = 0;
}

/* Read all there is of a message, for the sanitizers. */
static size_t touch(const gw_value *value)
{
    size_t n = 1;
    switch (value->kind) {
    case GW_VALUE_TEXT:
    case GW_VALUE_BYTES:
        for (size_t i = 0; i < value->as.bytes.len; i++) {
            n += (unsigned char)value->as.bytes.data[i];
        }
        return n;
    case GW_VALUE_ARRAY:
        for (size_t i = 0; i < value->as.array.n_items; i++) {
            n += touch(&value->as.array.items[i]);
        }
        return n;
    case GW_VALUE_TABLE:
        for (size_t i = 0; i < value->as.table.n_items; i++) {
            n += strlen(value->as.table.items[i].name) + touch(&value->as.table.items[i].value);
        }
        return n;
    default: return n;
    }
}

static void sink_deliver(void *ctx, gw_message *msg, gw__delivery delivery)
{
    world *w = ctx;
    size_t sum = 0;
    size_t len;
    const unsigned char *body = gw_message_body(msg, &len);
    for (size_t i = 0; i < len; i++) {
        sum += body[i];
    }
    for (size_t i = 0; i < gw_message_n_headers(msg); i++) {
        sum += touch(&gw_message_header_at(msg, i)->value);
    }
    w->sum += sum;
    if (delivery.tag <= w->last_tag && delivery.epoch == w->consumer->epoch) {
        abort(); /* tags ascend */
    }
    w->last_tag = delivery.tag;
    gw_message_free(msg);
    if (delivery.tag % 2 == 0) {
        gw__unsettled_mark(&w->consumer->unsettled, delivery.tag, GW__ACK);
        gw__amqp_consumer_settle(w->consumer);
    }
}

static void sink_delivered(void *ctx)
{
    (void)ctx;
}

static void sink_lost(void *ctx, uint64_t epoch)
{
    (void)epoch;
    ((world *)ctx)->last_tag = 0;
}

static void sink_state(void *ctx, bool consuming, const gw_error *why)
{
    (void)ctx;
    (void)consuming;
    (void)why;
}

static void on_open(void *ctx)
{
    world *w = ctx;
    gw__publisher_up(w->publisher, &w->session);
    gw__consumers_up(&w->consumers, &w->session);
}

static void on_blocked(void *ctx, const char *reason)
{
    (void)ctx;
    (void)reason;
}

/* ---- hearing ---------------------------------------------------------------- */

static bool is_over(const world *w)
{
    return w->session.state == GW__SESSION_FAILED || w->session.state == GW__SESSION_CLOSED;
}

static void turn(world *w)
{
    w->now += 10000000;
    gw__session_tick(&w->session, w->now);
    if (!is_over(w)) {
        gw__publisher_work(w->publisher, w->now);
        gw__consumers_work(&w->consumers, w->now);
    }
    gw_buf_clear(&w->session.out);
}

/* What is not used is kept, at the end of an allocation of its own size. */
static void hear(world *w, const uint8_t *data, size_t len)
{
    gw_buf_add(&w->heard, data, len);
    uint8_t *copy = malloc(w->heard.len + 1);
    if (w->heard.len > 0 && copy != NULL && !is_over(w)) {
        uint8_t *exact = copy + 1;
        memcpy(exact, w->heard.data, w->heard.len);
        size_t used = gw__session_input(&w->session, exact, w->heard.len, w->now);
        if (used > w->heard.len) {
            abort();
        }
        gw_buf_consume(&w->heard, used);
    }
    free(copy);
    if (!is_over(w)) {
        turn(w);
    }
}

static void say(world *w, uint16_t channel, amqp_method_number_t id, void *method)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    if (gw__wire_method(&out, channel, id, method) == GW_OK) {
        hear(w, (const uint8_t *)out.data, out.len);
    }
    gw_buf_dispose(&out);
}

static void handshake(world *w)
{
    amqp_connection_start_t start = {.version_minor = 9, .mechanisms = amqp_cstring_bytes("PLAIN")};
    amqp_connection_tune_t tune = {.channel_max = 8, .frame_max = 4096};
    amqp_connection_open_ok_t open_ok = {.known_hosts = amqp_empty_bytes};
    say(w, 0, AMQP_CONNECTION_START_METHOD, &start);
    say(w, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
    say(w, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &open_ok);
}

/* Channel 1 is the one on which the consumer declares its queue. */
static void set_up(world *w)
{
    handshake(w);
    amqp_channel_open_ok_t open_ok = {.channel_id = amqp_empty_bytes};
    amqp_queue_declare_ok_t declare_ok = {.queue = amqp_cstring_bytes("q")};
    amqp_confirm_select_ok_t select_ok = {0};
    amqp_basic_qos_ok_t qos_ok = {0};
    amqp_basic_consume_ok_t consume_ok = {.consumer_tag = amqp_cstring_bytes("t")};
    say(w, 1, AMQP_CHANNEL_OPEN_OK_METHOD, &open_ok);
    say(w, 1, AMQP_QUEUE_DECLARE_OK_METHOD, &declare_ok);
    say(w, 2, AMQP_CHANNEL_OPEN_OK_METHOD, &open_ok);
    say(w, 2, AMQP_CONFIRM_SELECT_OK_METHOD, &select_ok);
    say(w, 3, AMQP_CHANNEL_OPEN_OK_METHOD, &open_ok);
    say(w, 3, AMQP_BASIC_QOS_OK_METHOD, &qos_ok);
    say(w, 3, AMQP_BASIC_CONSUME_OK_METHOD, &consume_ok);
    if (is_over(w) || w->consumer->state != GW__CONSUMER_CONSUMING) {
        abort();
    }
    memcpy(w->consumer->tag, "t", 2); /* one that the input can name */
}

/* Make frames of the input's records. */
static void hear_records(world *w, const uint8_t *data, size_t size)
{
    uint8_t *frame = malloc(INPUT_MAX + GW__FRAME_OVERHEAD);
    while (size >= 4 && frame != NULL) {
        size_t len = gw__read_u16(data + 2);
        len = len < size - 4 ? len : size - 4;
        frame[0] = data[0];
        frame[1] = 0;
        frame[2] = data[1];
        frame[3] = 0;
        frame[4] = 0;
        frame[5] = (uint8_t)(len >> 8);
        frame[6] = (uint8_t)len;
        memcpy(frame + GW__FRAME_HEAD, data + 4, len);
        frame[GW__FRAME_HEAD + len] = AMQP_FRAME_END;
        hear(w, frame, len + GW__FRAME_OVERHEAD);
        data += 4 + len;
        size -= 4 + len;
    }
    free(frame);
}

static void run(world *w, const uint8_t *data, size_t size)
{
    unsigned how = data[0];
    data++;
    size--;
    if ((how & GREETING) == 0) {
        set_up(w);
    }
    if ((how & FRAMED) != 0) {
        hear_records(w, data, size);
        return;
    }
    size_t piece = (how & IN_PIECES) != 0 ? 7 : size;
    for (size_t at = 0; at < size; at += piece) {
        hear(w, data + at, size - at < piece ? size - at : piece);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    world *w = calloc(1, sizeof(*w));
    gw_log_set_level(GW_LOG_OFF);
    static const gw__login login = {"guest", "guest", "/", "fuzz", 0, 0};
    const gw__session_events events = {.open = on_open, .blocked = on_blocked, .ctx = w};
    const gw__source source = {source_next, source_settle, source_rewind, w};
    const gw__sink sink = {sink_deliver, sink_delivered, sink_lost, sink_state, NULL, w};
    const gw__consumer_spec spec = {.queue = "q", .prefetch = 5};
    w->now = 1000000000;
    w->target = (gw__target){.exchange = "x", .declared_epoch = 1};
    for (size_t i = 0; i < N_ITEMS; i++) {
        w->items[i] = (gw__outgoing){gw_message_new("body", 4), &w->target, "k", true};
    }
    gw_buf_init(&w->heard, 0);
    const gw__endpoint endpoint = {.confirm_timeout_s = 60};
    w->publisher = gw__publisher_new(&source, &endpoint);
    gw__consumers_init(&w->consumers);
    w->consumer = gw__amqp_consumer_new(&w->consumers, &spec, &sink);
    w->consumers.all = w->consumer;
    gw__session_begin(&w->session, &login, &events, w->now);

    run(w, data, size);
    gw_error why = w->session.why;
    if (w->session.state == GW__SESSION_FAILED && (why.text[0] == '\0' || why.status == GW_OK)) {
        abort();
    }
    gw__session_end(&w->session);
    gw__publisher_down(w->publisher);
    gw__consumers_down(&w->consumers);
    gw__session_dispose(&w->session);
    gw__publisher_free(w->publisher);
    gw__amqp_consumer_free(w->consumer);
    gw__consumers_dispose(&w->consumers);
    for (size_t i = 0; i < N_ITEMS; i++) {
        gw_message_free(w->items[i].msg);
    }
    gw_buf_dispose(&w->heard);
    free(w);
    return 0;
}
