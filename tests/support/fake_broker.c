/* SPDX-License-Identifier: MIT */
#include "support/fake_broker.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAME_MAX 131072
#define IN_SIZE   (2 * FRAME_MAX)

struct fake_broker {
    int fd;
    uint16_t port;
    char url[64];
};

struct fake_conn {
    int fd;
    bool slow;
    uint8_t *in;
    size_t in_len;
    size_t in_used; /* of the frame that was read last */
    amqp_pool_t pool;
    amqp_pool_t login_pool; /* what start-ok said stays */
    amqp_connection_start_ok_t *start_ok;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Whether it becomes ready within `ms`. */
static bool wait_for(int fd, short events, uint64_t ms)
{
    struct pollfd poller = {.fd = fd, .events = events};
    return poll(&poller, 1, (int)ms) > 0;
}

/* ---- listening ----------------------------------------------------------- */

fake_broker *fake_broker_new(void)
{
    fake_broker *broker = calloc(1, sizeof(*broker));
    assert_non_null(broker);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    broker->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(broker->fd >= 0);
    assert_int_equal(bind(broker->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(broker->fd, 16), 0);
    assert_int_equal(getsockname(broker->fd, (struct sockaddr *)&address, &len), 0);
    broker->port = ntohs(address.sin_port);
    snprintf(broker->url, sizeof(broker->url), "amqp://guest:guest@127.0.0.1:%u/", broker->port);
    return broker;
}

void fake_broker_free(fake_broker *broker)
{
    if (broker != NULL) {
        close(broker->fd);
        free(broker);
    }
}

const char *fake_broker_url(const fake_broker *broker)
{
    return broker->url;
}

uint16_t fake_broker_port(const fake_broker *broker)
{
    return broker->port;
}

fake_conn *fake_accept(fake_broker *broker)
{
    if (!wait_for(broker->fd, POLLIN, FAKE_WAIT_MS)) {
        fail_msg("nobody connects");
    }
    fake_conn *conn = calloc(1, sizeof(*conn));
    assert_non_null(conn);
    conn->in = malloc(IN_SIZE);
    assert_non_null(conn->in);
    conn->fd = accept4(broker->fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(conn->fd >= 0);
    int on = 1;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    init_amqp_pool(&conn->pool, 4096);
    init_amqp_pool(&conn->login_pool, 4096);
    return conn;
}

bool fake_nobody_comes(fake_broker *broker, unsigned ms)
{
    return !wait_for(broker->fd, POLLIN, ms);
}

void fake_hang_up(fake_conn *conn)
{
    if (conn != NULL) {
        close(conn->fd);
        empty_amqp_pool(&conn->pool);
        empty_amqp_pool(&conn->login_pool);
        free(conn->in);
        free(conn);
    }
}

void fake_reset(fake_conn *conn)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    fake_hang_up(conn);
}

/* ---- sending ------------------------------------------------------------- */

void fake_be_slow(fake_conn *conn)
{
    conn->slow = true;
}

void fake_send_bytes(fake_conn *conn, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = send(conn->fd, at, conn->slow ? 1 : len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return; /* the client has had enough; whoever expects more of it will find out */
        }
        if (n < 0) {
            fail_msg("cannot send to the client: %s", strerror(errno));
        }
        at += n;
        len -= (size_t)n;
    }
}

static void put_u32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

void fake_send_frame(fake_conn *conn, uint8_t type, uint16_t channel, const void *payload,
                     size_t len)
{
    uint8_t *frame = malloc(len + 8);
    assert_non_null(frame);
    frame[0] = type;
    frame[1] = (uint8_t)(channel >> 8);
    frame[2] = (uint8_t)channel;
    put_u32(frame + 3, (uint32_t)len);
    if (len > 0) {
        memcpy(frame + 7, payload, len);
    }
    frame[7 + len] = AMQP_FRAME_END;
    fake_send_bytes(conn, frame, len + 8);
    free(frame);
}

void fake_send_method(fake_conn *conn, uint16_t channel, amqp_method_number_t id, void *method)
{
    uint8_t payload[4096];
    put_u32(payload, id);
    int len = amqp_encode_method(id, method,
                                 (amqp_bytes_t){.len = sizeof(payload) - 4, .bytes = payload + 4});
    assert_true(len >= 0);
    fake_send_frame(conn, AMQP_FRAME_METHOD, channel, payload, 4 + (size_t)len);
}

void fake_send_header(fake_conn *conn, uint16_t channel, amqp_basic_properties_t *properties,
                      uint64_t body_size)
{
    static uint8_t payload[FRAME_MAX - 8];
    memset(payload, 0, 12);
    payload[1] = AMQP_BASIC_CLASS;
    put_u32(payload + 4, (uint32_t)(body_size >> 32));
    put_u32(payload + 8, (uint32_t)body_size);
    int len =
        amqp_encode_properties(AMQP_BASIC_CLASS, properties,
                               (amqp_bytes_t){.len = sizeof(payload) - 12, .bytes = payload + 12});
    assert_true(len >= 0);
    fake_send_frame(conn, AMQP_FRAME_HEADER, channel, payload, 12 + (size_t)len);
}

void fake_ack(fake_conn *conn, uint16_t channel, uint64_t tag, bool multiple)
{
    amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = multiple};
    fake_send_method(conn, channel, AMQP_BASIC_ACK_METHOD, &ack);
}

void fake_nack(fake_conn *conn, uint16_t channel, uint64_t tag, bool multiple)
{
    amqp_basic_nack_t nack = {.delivery_tag = tag, .multiple = multiple};
    fake_send_method(conn, channel, AMQP_BASIC_NACK_METHOD, &nack);
}

void fake_close_channel(fake_conn *conn, uint16_t channel, uint16_t code, const char *text)
{
    amqp_channel_close_t method = {.reply_code = code, .reply_text = amqp_cstring_bytes(text)};
    fake_send_method(conn, channel, AMQP_CHANNEL_CLOSE_METHOD, &method);
}

void fake_close_connection(fake_conn *conn, uint16_t code, const char *text)
{
    amqp_connection_close_t method = {.reply_code = code, .reply_text = amqp_cstring_bytes(text)};
    fake_send_method(conn, 0, AMQP_CONNECTION_CLOSE_METHOD, &method);
}

static void send_content(fake_conn *conn, uint16_t channel, const char *message_id,
                         const char *body)
{
    amqp_basic_properties_t properties = {._flags = 0};
    if (message_id != NULL) {
        properties._flags = AMQP_BASIC_MESSAGE_ID_FLAG;
        properties.message_id = amqp_cstring_bytes(message_id);
    }
    size_t len = strlen(body);
    fake_send_header(conn, channel, &properties, len);
    if (len > 0) {
        fake_send_frame(conn, AMQP_FRAME_BODY, channel, body, len);
    }
}

void fake_deliver(fake_conn *conn, uint16_t channel, const char *consumer_tag, uint64_t tag,
                  const char *body)
{
    char id[32];
    snprintf(id, sizeof(id), "id-%llu", (unsigned long long)tag);
    amqp_basic_deliver_t deliver = {.consumer_tag = amqp_cstring_bytes(consumer_tag),
                                    .delivery_tag = tag,
                                    .exchange = amqp_cstring_bytes("an-exchange"),
                                    .routing_key = amqp_cstring_bytes("a-key")};
    fake_send_method(conn, channel, AMQP_BASIC_DELIVER_METHOD, &deliver);
    send_content(conn, channel, id, body);
}

void fake_return(fake_conn *conn, uint16_t channel, const char *exchange, const char *routing_key,
                 const char *message_id)
{
    amqp_basic_return_t method = {.reply_code = AMQP_NO_ROUTE,
                                  .reply_text = amqp_cstring_bytes("NO_ROUTE"),
                                  .exchange = amqp_cstring_bytes(exchange),
                                  .routing_key = amqp_cstring_bytes(routing_key)};
    fake_send_method(conn, channel, AMQP_BASIC_RETURN_METHOD, &method);
    send_content(conn, channel, message_id, "returned");
}

/* ---- receiving ----------------------------------------------------------- */

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* Read some more within `ms`: 1; 0 for hung up; -1 when nothing came. */
static int read_more(fake_conn *conn, uint64_t ms)
{
    if (!wait_for(conn->fd, POLLIN, ms)) {
        return -1;
    }
    assert_true(conn->in_len < IN_SIZE);
    ssize_t n = recv(conn->fd, conn->in + conn->in_len, IN_SIZE - conn->in_len, 0);
    if (n <= 0) {
        return 0;
    }
    conn->in_len += (size_t)n;
    return 1;
}

/* Drop the frame that was read last. */
static void drop_used(fake_conn *conn)
{
    conn->in_len -= conn->in_used;
    memmove(conn->in, conn->in + conn->in_used, conn->in_len);
    conn->in_used = 0;
}

/* Find a frame at the start of the input. */
static bool find_frame(fake_conn *conn, fake_frame *frame)
{
    if (conn->in_len < 8 || conn->in_len < get_u32(conn->in + 3) + 8u) {
        return false;
    }
    frame->type = conn->in[0];
    frame->channel = (uint16_t)(conn->in[1] << 8 | conn->in[2]);
    frame->len = get_u32(conn->in + 3);
    frame->payload = conn->in + 7;
    assert_int_equal(conn->in[7 + frame->len], AMQP_FRAME_END);
    conn->in_used = frame->len + 8;
    return true;
}

/* The next frame within `ms`, heartbeats too: 1; 0 for hung up; -1 for none. */
static int next_frame(fake_conn *conn, uint64_t ms, fake_frame *frame)
{
    uint64_t until = now_ms() + ms;
    drop_used(conn);
    recycle_amqp_pool(&conn->pool);
    while (!find_frame(conn, frame)) {
        uint64_t now = now_ms();
        int rc = read_more(conn, until > now ? until - now : 0);
        if (rc <= 0) {
            return rc;
        }
    }
    return 1;
}

fake_frame fake_read_frame(fake_conn *conn)
{
    fake_frame frame;
    do {
        int rc = next_frame(conn, FAKE_WAIT_MS, &frame);
        if (rc <= 0) {
            fail_msg("%s", rc == 0 ? "the client hung up" : "the client says nothing");
        }
    } while (frame.type == AMQP_FRAME_HEARTBEAT);
    return frame;
}

static void *decode(fake_conn *conn, amqp_pool_t *pool, const fake_frame *frame)
{
    (void)conn;
    void *decoded = NULL;
    amqp_bytes_t encoded = {.len = frame->len - 4,
                            .bytes = (void *)(uintptr_t)(frame->payload + 4)};
    assert_true(amqp_decode_method(get_u32(frame->payload), pool, encoded, &decoded) >= 0);
    return decoded;
}

static void check_method(const fake_frame *frame, amqp_method_number_t id)
{
    if (frame->type != AMQP_FRAME_METHOD) {
        fail_msg("a frame of type %u instead of %s", frame->type, amqp_method_name(id));
    } else if (get_u32(frame->payload) != id) {
        fail_msg("%s instead of %s", amqp_method_name(get_u32(frame->payload)),
                 amqp_method_name(id));
    }
}

void *fake_expect(fake_conn *conn, amqp_method_number_t id, uint16_t *ret_channel)
{
    return fake_expect_after(conn, id, 0, ret_channel);
}

void *fake_expect_after(fake_conn *conn, amqp_method_number_t id, amqp_method_number_t skipped,
                        uint16_t *ret_channel)
{
    fake_frame frame = fake_read_frame(conn);
    while (skipped != 0 && frame.type == AMQP_FRAME_METHOD && get_u32(frame.payload) == skipped) {
        frame = fake_read_frame(conn);
    }
    check_method(&frame, id);
    if (ret_channel != NULL) {
        *ret_channel = frame.channel;
    }
    return decode(conn, &conn->pool, &frame);
}

void fake_expect_heartbeat(fake_conn *conn)
{
    fake_frame frame;
    if (next_frame(conn, FAKE_WAIT_MS, &frame) <= 0 || frame.type != AMQP_FRAME_HEARTBEAT) {
        fail_msg("no heartbeat");
    }
}

void fake_expect_hang_up(fake_conn *conn)
{
    fake_frame frame;
    int rc;
    do {
        rc = next_frame(conn, FAKE_WAIT_MS, &frame);
    } while (rc > 0);
    if (rc < 0) {
        fail_msg("the client does not hang up");
    }
}

bool fake_is_quiet(fake_conn *conn, unsigned ms)
{
    uint64_t until = now_ms() + ms;
    fake_frame frame;
    int rc;
    do {
        uint64_t now = now_ms();
        rc = next_frame(conn, until > now ? until - now : 0, &frame);
    } while (rc > 0 && frame.type == AMQP_FRAME_HEARTBEAT);
    return rc < 0;
}

/* ---- the handshake ------------------------------------------------------- */

void fake_expect_protocol_header(fake_conn *conn)
{
    static const char header[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
    while (conn->in_len < sizeof(header)) {
        if (read_more(conn, FAKE_WAIT_MS) <= 0) {
            fail_msg("no protocol header");
        }
    }
    assert_memory_equal(conn->in, header, sizeof(header));
    conn->in_used = sizeof(header);
    drop_used(conn);
}

void fake_send_start(fake_conn *conn)
{
    amqp_table_entry_t product = {
        .key = amqp_cstring_bytes("product"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("fake")}};
    amqp_connection_start_t start = {
        .version_major = 0,
        .version_minor = 9,
        .server_properties = {.num_entries = 1, .entries = &product},
        .mechanisms = amqp_cstring_bytes("AMQPLAIN PLAIN"),
        .locales = amqp_cstring_bytes("en_US"),
    };
    fake_send_method(conn, 0, AMQP_CONNECTION_START_METHOD, &start);
    fake_frame frame = fake_read_frame(conn);
    check_method(&frame, AMQP_CONNECTION_START_OK_METHOD);
    /* The decoded strings point into the payload. */
    uint8_t *copy = amqp_pool_alloc(&conn->login_pool, frame.len);
    assert_non_null(copy);
    memcpy(copy, frame.payload, frame.len);
    frame.payload = copy;
    conn->start_ok = decode(conn, &conn->login_pool, &frame);
}

void fake_send_tune(fake_conn *conn, fake_tuning tuning)
{
    amqp_connection_tune_t tune = {.channel_max = tuning.channel_max,
                                   .frame_max = tuning.frame_max,
                                   .heartbeat = tuning.heartbeat_s};
    fake_send_method(conn, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
}

fake_conn *fake_accept_tuned(fake_broker *broker, fake_tuning tuning)
{
    fake_conn *conn = fake_accept(broker);
    fake_expect_protocol_header(conn);
    fake_send_start(conn);
    fake_send_tune(conn, tuning);
    fake_expect(conn, AMQP_CONNECTION_TUNE_OK_METHOD, NULL);
    fake_expect(conn, AMQP_CONNECTION_OPEN_METHOD, NULL);
    amqp_connection_open_ok_t ok = {.known_hosts = amqp_empty_bytes};
    fake_send_method(conn, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &ok);
    return conn;
}

fake_conn *fake_accept_open(fake_broker *broker)
{
    return fake_accept_tuned(broker, FAKE_TUNING_DEFAULT);
}

static const amqp_field_value_t *find(const amqp_table_t *table, const char *name)
{
    size_t len = strlen(name);
    for (int i = 0; i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        if (entry->key.len == len && memcmp(entry->key.bytes, name, len) == 0) {
            return &entry->value;
        }
    }
    return NULL;
}

const char *fake_client_property(const fake_conn *conn, const char *name)
{
    static char text[256];
    const amqp_field_value_t *value = find(&conn->start_ok->client_properties, name);
    if (value == NULL || value->kind != AMQP_FIELD_KIND_UTF8) {
        return NULL;
    }
    snprintf(text, sizeof(text), "%.*s", (int)value->value.bytes.len,
             (const char *)value->value.bytes.bytes);
    return text;
}

bool fake_client_capability(const fake_conn *conn, const char *name)
{
    const amqp_field_value_t *all = find(&conn->start_ok->client_properties, "capabilities");
    const amqp_field_value_t *value =
        all != NULL && all->kind == AMQP_FIELD_KIND_TABLE ? find(&all->value.table, name) : NULL;
    return value != NULL && value->kind == AMQP_FIELD_KIND_BOOLEAN && value->value.boolean;
}

const char *fake_client_login(const fake_conn *conn, size_t *ret_len)
{
    *ret_len = conn->start_ok->response.len;
    return conn->start_ok->response.bytes;
}

/* ---- conversations -----------------------------------------------------------------------------
 */

static void answer_open(fake_conn *conn, uint16_t channel)
{
    amqp_channel_open_ok_t ok = {.channel_id = amqp_empty_bytes};
    fake_send_method(conn, channel, AMQP_CHANNEL_OPEN_OK_METHOD, &ok);
}

uint16_t fake_serve_channel(fake_conn *conn)
{
    uint16_t channel;
    fake_expect(conn, AMQP_CHANNEL_OPEN_METHOD, &channel);
    answer_open(conn, channel);
    return channel;
}

uint16_t fake_serve_confirm_channel(fake_conn *conn)
{
    uint16_t channel = fake_serve_channel(conn);
    fake_expect(conn, AMQP_CONFIRM_SELECT_METHOD, NULL);
    amqp_confirm_select_ok_t ok = {0};
    fake_send_method(conn, channel, AMQP_CONFIRM_SELECT_OK_METHOD, &ok);
    return channel;
}

static void copy_name(char *to, amqp_bytes_t name)
{
    if (to != NULL) {
        snprintf(to, 256, "%.*s", (int)name.len, (const char *)name.bytes);
    }
}

void fake_serve_declarations(fake_conn *conn, char *ret_name)
{
    uint16_t channel = fake_serve_channel(conn);
    for (;;) {
        fake_frame frame = fake_read_frame(conn);
        assert_int_equal(frame.type, AMQP_FRAME_METHOD);
        assert_int_equal(frame.channel, channel);
        amqp_method_number_t id = get_u32(frame.payload);
        void *method = decode(conn, &conn->pool, &frame);
        if (id == AMQP_EXCHANGE_DECLARE_METHOD) {
            amqp_exchange_declare_ok_t ok = {0};
            copy_name(ret_name, ((amqp_exchange_declare_t *)method)->exchange);
            fake_send_method(conn, channel, AMQP_EXCHANGE_DECLARE_OK_METHOD, &ok);
        } else if (id == AMQP_QUEUE_DECLARE_METHOD) {
            amqp_queue_declare_ok_t ok = {.queue = ((amqp_queue_declare_t *)method)->queue};
            copy_name(ret_name, ((amqp_queue_declare_t *)method)->queue);
            fake_send_method(conn, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
        } else if (id == AMQP_QUEUE_BIND_METHOD) {
            amqp_queue_bind_ok_t ok = {0};
            fake_send_method(conn, channel, AMQP_QUEUE_BIND_OK_METHOD, &ok);
        } else {
            assert_string_equal(amqp_method_name(id), "AMQP_CHANNEL_CLOSE_METHOD");
            amqp_channel_close_ok_t ok = {0};
            fake_send_method(conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
            return;
        }
    }
}

uint16_t fake_serve_consumer(fake_conn *conn, char *ret_tag)
{
    fake_serve_declarations(conn, NULL);
    uint16_t channel = fake_serve_channel(conn);
    fake_expect(conn, AMQP_BASIC_QOS_METHOD, NULL);
    amqp_basic_qos_ok_t qos_ok = {0};
    fake_send_method(conn, channel, AMQP_BASIC_QOS_OK_METHOD, &qos_ok);
    amqp_basic_consume_t *consume = fake_expect(conn, AMQP_BASIC_CONSUME_METHOD, NULL);
    copy_name(ret_tag, consume->consumer_tag);
    amqp_basic_consume_ok_t ok = {.consumer_tag = consume->consumer_tag};
    fake_send_method(conn, channel, AMQP_BASIC_CONSUME_OK_METHOD, &ok);
    return channel;
}

static void read_header(fake_conn *conn, fake_published *published)
{
    fake_frame frame = fake_read_frame(conn);
    assert_int_equal(frame.type, AMQP_FRAME_HEADER);
    assert_int_equal(frame.channel, published->channel);
    published->body_len = (size_t)get_u32(frame.payload + 4) << 32 | get_u32(frame.payload + 8);
    void *decoded = NULL;
    amqp_bytes_t encoded = {.len = frame.len - 12,
                            .bytes = (void *)(uintptr_t)(frame.payload + 12)};
    assert_true(amqp_decode_properties(AMQP_BASIC_CLASS, &conn->pool, encoded, &decoded) >= 0);
    const amqp_basic_properties_t *properties = decoded;
    if ((properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0) {
        copy_name(published->message_id, properties->message_id);
    }
    if ((properties->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG) != 0) {
        published->delivery_mode = properties->delivery_mode;
    }
}

fake_published fake_expect_publish(fake_conn *conn)
{
    fake_published published = {.channel = 0};
    amqp_basic_publish_t *publish =
        fake_expect(conn, AMQP_BASIC_PUBLISH_METHOD, &published.channel);
    copy_name(published.exchange, publish->exchange);
    copy_name(published.routing_key, publish->routing_key);
    published.mandatory = publish->mandatory != 0;
    read_header(conn, &published);
    size_t got = 0;
    while (got < published.body_len) {
        fake_frame frame = fake_read_frame(conn);
        assert_int_equal(frame.type, AMQP_FRAME_BODY);
        assert_int_equal(frame.channel, published.channel);
        if (got < sizeof(published.body) - 1) {
            size_t room = sizeof(published.body) - 1 - got;
            memcpy(published.body + got, frame.payload, frame.len < room ? frame.len : room);
        }
        got += frame.len;
        published.n_body_frames++;
    }
    assert_int_equal(got, published.body_len);
    return published;
}

void fake_serve_goodbye(fake_conn *conn)
{
    fake_frame frame;
    do {
        frame = fake_read_frame(conn);
    } while (frame.type != AMQP_FRAME_METHOD ||
             get_u32(frame.payload) != AMQP_CONNECTION_CLOSE_METHOD);
    amqp_connection_close_ok_t ok = {0};
    fake_send_method(conn, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    fake_expect_hang_up(conn);
    fake_hang_up(conn);
}
