/* SPDX-License-Identifier: MIT */
/*
 * The peer in C: a tight loop on librabbitmq's own API, as fast as that goes. It recovers from
 * nothing. load.h has the command line; besides its modes
 *
 *   librabbitmq_loop depth  -queue Q     how many messages wait there
 *   librabbitmq_loop delete -queue Q
 *
 * With -mandatory 1 the broker has to do what it does for Godwit: say so when the queue is gone,
 * and keep a message id. What it is then slower by is the price of that.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

#include "load.h"

#define CHANNEL    1
#define FRAME_MAX  131072

#define MESSAGE_ID "00000000-0000-7000-8000-000000000000"

static amqp_connection_state_t conn;

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return;
    }
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        load_fail("%s: %s", what, amqp_error_string2(reply.library_error));
    }
    load_fail("%s: the broker refuses (method 0x%08x)", what, reply.reply.id);
}

static void check_status(int status, const char *what)
{
    if (status != AMQP_STATUS_OK) {
        load_fail("%s: %s", what, amqp_error_string2(status));
    }
}

static void connect_to(const char *url)
{
    struct amqp_connection_info info;
    char *copy = strdup(url);
    if (copy == NULL || amqp_parse_url(copy, &info) != AMQP_STATUS_OK || info.ssl) {
        load_fail("GODWIT_BENCH_URL is not amqp://user:password@host:port/vhost");
    }
    conn = amqp_new_connection();
    amqp_socket_t *sock = conn != NULL ? amqp_tcp_socket_new(conn) : NULL;
    if (sock == NULL) {
        load_fail("no memory for a connection");
    }
    check_status(amqp_socket_open(sock, info.host, info.port), "connect");
    check(amqp_login(conn, info.vhost[0] != '\0' ? info.vhost : "/", 0, FRAME_MAX, 0,
                     AMQP_SASL_METHOD_PLAIN, info.user, info.password),
          "login");
    amqp_channel_open(conn, CHANNEL);
    check(amqp_get_rpc_reply(conn), "open a channel");
    free(copy);
}

static amqp_bytes_t queue_name(const load_options *options)
{
    return amqp_cstring_bytes(options->queue);
}

static uint32_t declare(const load_options *options, bool passive)
{
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(conn, CHANNEL, queue_name(options), passive, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(conn), "declare the queue");
    return ok->message_count;
}

/* ---- publishing ---------------------------------------------------------------------------------
 */

typedef struct publisher {
    amqp_bytes_t queue;
    amqp_basic_properties_t properties;
    bool mandatory;
    uint64_t n_sent;
    uint64_t n_confirmed; /* all up to this tag */
} publisher;

static void publisher_init(publisher *pub, const load_options *options)
{
    declare(options, false);
    amqp_confirm_select(conn, CHANNEL);
    check(amqp_get_rpc_reply(conn), "confirm.select");
    memset(pub, 0, sizeof(*pub));
    pub->queue = queue_name(options);
    pub->properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
    pub->properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    pub->mandatory = options->mandatory;
    if (options->mandatory) {
        pub->properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        pub->properties.message_id = amqp_cstring_bytes(MESSAGE_ID);
    }
}

static void publish(publisher *pub, char *body)
{
    amqp_bytes_t bytes = {.len = LOAD_BODY_LEN, .bytes = body};
    check_status(amqp_basic_publish(conn, CHANNEL, amqp_empty_bytes, pub->queue, pub->mandatory, 0,
                                    &pub->properties, bytes),
                 "publish");
    pub->n_sent++;
}

/* Take one confirm; false when none came in `timeout` (NULL: for ever). The broker confirms in the
 * order of sending here, since one queue takes all. */
static bool take_confirm(publisher *pub, struct timeval *timeout)
{
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(conn, &frame, timeout);
    if (status == AMQP_STATUS_TIMEOUT) {
        return false;
    }
    check_status(status, "wait for a confirm");
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD) {
        load_fail("the broker sent something else than a confirm");
    }
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    if (ack->delivery_tag > pub->n_confirmed) {
        pub->n_confirmed = ack->delivery_tag;
    }
    amqp_maybe_release_buffers(conn);
    return true;
}

static void run_publish(const load_options *options)
{
    publisher pub;
    publisher_init(&pub, options);
    char body[LOAD_BODY_LEN];
    load_body_write(body, 0, 0);
    load_stopwatch watch;
    load_start(&watch);
    while (pub.n_sent < options->count) {
        publish(&pub, body);
        while (pub.n_sent - pub.n_confirmed >= options->window) {
            take_confirm(&pub, NULL);
        }
    }
    while (pub.n_confirmed < options->count) {
        take_confirm(&pub, NULL);
    }
    load_stop(&watch);
    load_report(options, &watch, options->count, "", NULL, NULL);
}

static void run_pace(const load_options *options)
{
    publisher pub;
    publisher_init(&pub, options);
    load_samples late = {0};
    load_stopwatch watch;
    load_start(&watch);
    while (pub.n_sent < options->count) {
        uint64_t due_ns = watch.start_ns + pub.n_sent * 1000000000 / options->rate;
        load_sleep_until(due_ns);
        bool is_last = pub.n_sent + 1 == options->count;
        char body[LOAD_BODY_LEN];
        load_body_write(body, pub.n_sent, is_last ? options->count : 0);
        load_samples_add(&late, load_now_ns() - due_ns);
        publish(&pub, body);
        struct timeval at_once = {0};
        while (pub.n_sent % LOAD_ACK_EVERY == 0 && take_confirm(&pub, &at_once)) {}
    }
    while (pub.n_confirmed < options->count) {
        take_confirm(&pub, NULL);
    }
    load_stop(&watch);
    load_report(options, &watch, options->count, "late_", &late, NULL);
}

/* ---- consuming ----------------------------------------------------------------------------------
 */

static void start_consuming(const load_options *options)
{
    declare(options, false);
    amqp_basic_qos(conn, CHANNEL, 0, (uint16_t)options->prefetch, 0);
    check(amqp_get_rpc_reply(conn), "basic.qos");
}

static void consume(const load_options *options)
{
    amqp_basic_consume(conn, CHANNEL, queue_name(options), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    check(amqp_get_rpc_reply(conn), "basic.consume");
}

/* False when nothing came for LOAD_IDLE_S. */
static bool next_message(amqp_envelope_t *ret_envelope)
{
    struct timeval timeout = {.tv_sec = LOAD_IDLE_S};
    amqp_maybe_release_buffers(conn);
    amqp_rpc_reply_t reply = amqp_consume_message(conn, ret_envelope, &timeout, 0);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
        reply.library_error == AMQP_STATUS_TIMEOUT) {
        return false;
    }
    check(reply, "consume");
    return true;
}

static void ack_up_to(uint64_t tag)
{
    check_status(amqp_basic_ack(conn, CHANNEL, tag, 1), "basic.ack");
}

static void run_consume(const load_options *options)
{
    start_consuming(options);
    consume(options);
    load_ready();
    load_stopwatch watch;
    for (uint64_t i = 1; i <= options->count; i++) {
        amqp_envelope_t envelope;
        if (!next_message(&envelope)) {
            load_fail("%" PRIu64 " of %" PRIu64 " messages came", i - 1, options->count);
        }
        if (i == 1) {
            load_start(&watch);
        }
        if (i % LOAD_ACK_EVERY == 0 || i == options->count) {
            ack_up_to(envelope.delivery_tag);
        }
        amqp_destroy_envelope(&envelope);
    }
    load_stop(&watch);
    load_report(options, &watch, options->count, "", NULL, NULL);
}

/* At this pace few messages wait together, so they are acknowledged when nothing more is there. */
static void run_listen(const load_options *options)
{
    start_consuming(options);
    consume(options);
    load_ready();
    load_arrivals arrivals = {.skip = options->skip, .total = options->count};
    load_stopwatch watch;
    load_start(&watch);
    bool complete = false;
    unsigned n_unacked = 0;
    while (!complete) {
        amqp_envelope_t envelope;
        if (!next_message(&envelope)) {
            break;
        }
        complete =
            load_arrivals_add(&arrivals, envelope.message.body.bytes, envelope.message.body.len);
        if (++n_unacked == LOAD_ACK_EVERY || complete ||
            (!amqp_data_in_buffer(conn) && !amqp_frames_enqueued(conn))) {
            ack_up_to(envelope.delivery_tag);
            n_unacked = 0;
        }
        amqp_destroy_envelope(&envelope);
    }
    load_stop(&watch);
    load_report(options, &watch, arrivals.n_unique, "", &arrivals.latency, &arrivals);
}

static void run_idle(const load_options *options)
{
    start_consuming(options);
    consume(options);
    load_ready();
    amqp_envelope_t envelope;
    if (next_message(&envelope)) {
        load_fail("a message came");
    }
}

/* ---- for the script
 * ------------------------------------------------------------------------------ */

static void run_depth(const load_options *options)
{
    printf("{\"mode\":\"depth\",\"messages\":%u}\n", declare(options, true));
}

static void run_delete(const load_options *options)
{
    amqp_queue_delete(conn, CHANNEL, queue_name(options), 0, 0);
    check(amqp_get_rpc_reply(conn), "delete the queue");
    printf("{\"mode\":\"delete\"}\n");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *mode;
        void (*run)(const load_options *options);
    } modes[] = {{"publish", run_publish}, {"consume", run_consume}, {"pace", run_pace},
                 {"listen", run_listen},   {"depth", run_depth},     {"delete", run_delete},
                 {"idle", run_idle}};
    load_options options;
    load_parse(argc, argv, &options);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(options.mode, modes[i].mode) == 0) {
            connect_to(options.url);
            modes[i].run(&options);
            amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
            amqp_destroy_connection(conn);
            return 0;
        }
    }
    load_fail("librabbitmq_loop has no mode %s", options.mode);
}
