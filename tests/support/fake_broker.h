/* SPDX-License-Identifier: MIT */
/*
 * A broker that does what a test tells it to, right or wrong. It runs on the test's own thread: the
 * code under test has its I/O threads, the test plays the other end, one step after the other.
 * Every step that waits fails the test after FAKE_WAIT_MS. One connection is one fake_conn.
 */
#ifndef TESTS_SUPPORT_FAKE_BROKER_H
#define TESTS_SUPPORT_FAKE_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <amqp.h>
#include <amqp_framing.h>

#define FAKE_WAIT_MS 15000

typedef struct fake_broker fake_broker;
typedef struct fake_conn fake_conn;

/* Listens on a free port of 127.0.0.1. */
fake_broker *fake_broker_new(void);
void fake_broker_free(fake_broker *broker);

/* amqp://guest:guest@127.0.0.1:PORT/ */
const char *fake_broker_url(const fake_broker *broker);
uint16_t fake_broker_port(const fake_broker *broker);

/* The next connection. The protocol header is not read yet. */
fake_conn *fake_accept(fake_broker *broker);

/* Whether nobody connects for so long. */
bool fake_nobody_comes(fake_broker *broker, unsigned ms);

/* Close the socket, rudely or not, and free. Accepts NULL. */
void fake_hang_up(fake_conn *conn);
void fake_reset(fake_conn *conn);

/* ---- the handshake ------------------------------------------------------- */

typedef struct fake_tuning {
    uint16_t channel_max;
    uint32_t frame_max;
    uint16_t heartbeat_s;
} fake_tuning;

#define FAKE_TUNING_DEFAULT ((fake_tuning){2047, 131072, 60})

/* Accept and go through the whole handshake. */
fake_conn *fake_accept_open(fake_broker *broker);
fake_conn *fake_accept_tuned(fake_broker *broker, fake_tuning tuning);

void fake_expect_protocol_header(fake_conn *conn);
void fake_send_start(fake_conn *conn);
void fake_send_tune(fake_conn *conn, fake_tuning tuning);

/* What the client said of itself in start-ok: a property's text, NULL if it has none. Good until
 * the connection ends. `capability` asks for one of the table of capabilities. */
const char *fake_client_property(const fake_conn *conn, const char *name);
bool fake_client_capability(const fake_conn *conn, const char *name);
const char *fake_client_login(const fake_conn *conn, size_t *ret_len);

/* ---- sending ------------------------------------------------------------- */

/* From now on each byte is sent alone. */
void fake_be_slow(fake_conn *conn);

void fake_send_bytes(fake_conn *conn, const void *bytes, size_t len);
void fake_send_frame(fake_conn *conn, uint8_t type, uint16_t channel, const void *payload,
                     size_t len);
void fake_send_method(fake_conn *conn, uint16_t channel, amqp_method_number_t id, void *method);
void fake_send_header(fake_conn *conn, uint16_t channel, amqp_basic_properties_t *properties,
                      uint64_t body_size);

void fake_ack(fake_conn *conn, uint16_t channel, uint64_t tag, bool multiple);
void fake_nack(fake_conn *conn, uint16_t channel, uint64_t tag, bool multiple);
void fake_close_channel(fake_conn *conn, uint16_t channel, uint16_t code, const char *text);
void fake_close_connection(fake_conn *conn, uint16_t code, const char *text);

/* Method, header and body of a delivery with a message id. */
void fake_deliver(fake_conn *conn, uint16_t channel, const char *consumer_tag, uint64_t tag,
                  const char *body);
void fake_return(fake_conn *conn, uint16_t channel, const char *exchange, const char *routing_key,
                 const char *message_id);

/* ---- receiving ----------------------------------------------------------- */

typedef struct fake_frame {
    uint8_t type;
    uint16_t channel;
    size_t len;
    const uint8_t *payload; /* good until the next frame is read */
} fake_frame;

/* The next frame; heartbeats are passed over. */
fake_frame fake_read_frame(fake_conn *conn);

/* The next frame must be this method; it is decoded and good until the next frame is read. */
void *fake_expect(fake_conn *conn, amqp_method_number_t id, uint16_t *ret_channel);

/* As above, with methods of the kind `skipped` before it passed over. */
void *fake_expect_after(fake_conn *conn, amqp_method_number_t id, amqp_method_number_t skipped,
                        uint16_t *ret_channel);

/* Wait for a heartbeat; nothing else may come. */
void fake_expect_heartbeat(fake_conn *conn);

/* Wait until the client hangs up; what it says before is passed over. */
void fake_expect_hang_up(fake_conn *conn);

/* Whether nothing (heartbeats apart) arrives for so long. */
bool fake_is_quiet(fake_conn *conn, unsigned ms);

/* ---- conversations ------------------------------------------------------- */

/* channel.open answered; returns the channel. */
uint16_t fake_serve_channel(fake_conn *conn);

/* A publishing channel: open and confirm.select. */
uint16_t fake_serve_confirm_channel(fake_conn *conn);

/* One throw-away channel with its declarations up to its close; the queue or exchange declared last
 * goes to `ret_name` (256 bytes) unless NULL. */
void fake_serve_declarations(fake_conn *conn, char *ret_name);

/* Serves declarations, then a consumer's channel, qos and consume. `ret_tag`: 256 bytes. */
uint16_t fake_serve_consumer(fake_conn *conn, char *ret_tag);

typedef struct fake_published {
    uint16_t channel;
    char exchange[256];
    char routing_key[256];
    char message_id[256];
    bool mandatory;
    uint8_t delivery_mode;
    size_t body_len;
    char body[256]; /* cut */
    size_t n_body_frames;
} fake_published;

/* The next message, whole. */
fake_published fake_expect_publish(fake_conn *conn);

/* The client says goodbye: connection.close answered, hang-up awaited, freed. */
void fake_serve_goodbye(fake_conn *conn);

#endif
