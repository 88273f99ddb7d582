/* SPDX-License-Identifier: MIT */
/* The conversation without a network: bytes in, bytes out, and a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "amqp/frame.h"
#include "amqp/session.h"
#include "amqp/wire.h"

#define S (uint64_t) GW_NS_PER_S

typedef struct fixture {
    gw__session session;
    gw_buf peer; /* what the peer says next */
    uint64_t now;
    unsigned n_opened;
    unsigned n_blocked;
    char blocked[256];
    /* of the channel under test */
    gw__channel *channel;
    amqp_method_number_t replied;
    unsigned n_contents;
    gw_error closed;
    unsigned n_closed;
    bool refuse; /* close the channel from within the header event */
    char body[64];
} fixture;

static const gw__login login = {.user = "guest",
                                .password = "geheim",
                                .vhost = "/",
                                .connection_name = "test",
                                .heartbeat_s = 10};

static void on_session_open(void *ctx)
{
    ((fixture *)ctx)->n_opened++;
}

static void on_blocked(void *ctx, const char *reason)
{
    fixture *fix = ctx;
    fix->n_blocked += reason != NULL;
    snprintf(fix->blocked, sizeof(fix->blocked), "%s", reason != NULL ? reason : "");
}

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    gw_buf_init(&fix->peer, 0);
    fix->now = 1000 * S;
    const gw__session_events events = {.open = on_session_open, .blocked = on_blocked, .ctx = fix};
    gw__session_begin(&fix->session, &login, &events, fix->now);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    gw__session_end(&fix->session);
    gw__session_dispose(&fix->session);
    gw_buf_dispose(&fix->peer);
    free(fix);
    return 0;
}

/* ---- the peer ----------------------------------------------------------------------------------
 */

static void say(fixture *fix, uint16_t channel, amqp_method_number_t id, void *method)
{
    assert_int_equal(gw__wire_method(&fix->peer, channel, id, method), GW_OK);
}

/* Give the session what the peer said, `piece` bytes at a time. */
static void hear(fixture *fix, size_t piece)
{
    gw_buf pending;
    gw_buf_init(&pending, 0);
    for (size_t at = 0; at < fix->peer.len; at += piece) {
        size_t len = fix->peer.len - at < piece ? fix->peer.len - at : piece;
        gw_buf_add(&pending, fix->peer.data + at, len);
        /* of its exact size, so that a sanitizer sees a read past its end */
        uint8_t *data = malloc(pending.len);
        memcpy(data, pending.data, pending.len);
        size_t used = gw__session_input(&fix->session, data, pending.len, fix->now);
        free(data);
        gw_buf_consume(&pending, used);
    }
    gw_buf_dispose(&pending);
    gw_buf_clear(&fix->peer);
}

static void tick(fixture *fix, uint64_t after)
{
    fix->now += after;
    gw__session_tick(&fix->session, fix->now);
}

/* The id of the first method that the session has sent since the last call; 0 for none. */
static amqp_method_number_t sent(fixture *fix)
{
    gw_buf *out = &fix->session.out;
    size_t skip = out->len >= 8 && memcmp(out->data, "AMQP", 4) == 0 ? 8 : 0;
    amqp_method_number_t id = 0;
    if (out->len >= skip + 12) {
        id = gw__read_u32((const uint8_t *)out->data + skip + 7);
    }
    gw_buf_clear(out);
    return id;
}

static void say_start(fixture *fix, const char *mechanisms)
{
    amqp_connection_start_t start = {.version_minor = 9,
                                     .mechanisms = amqp_cstring_bytes(mechanisms),
                                     .locales = amqp_cstring_bytes("en_US")};
    say(fix, 0, AMQP_CONNECTION_START_METHOD, &start);
}

static void say_tune(fixture *fix, uint16_t channel_max, uint32_t frame_max, uint16_t heartbeat)
{
    amqp_connection_tune_t tune = {
        .channel_max = channel_max, .frame_max = frame_max, .heartbeat = heartbeat};
    say(fix, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
}

static void open_tuned(fixture *fix, uint16_t channel_max, uint32_t frame_max, uint16_t heartbeat)
{
    say_start(fix, "PLAIN");
    say_tune(fix, channel_max, frame_max, heartbeat);
    amqp_connection_open_ok_t ok = {.known_hosts = amqp_empty_bytes};
    say(fix, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &ok);
    hear(fix, SIZE_MAX / 2);
    tick(fix, 0);
    gw_buf_clear(&fix->session.out);
}

static void open_session(fixture *fix)
{
    open_tuned(fix, 2047, 131072, 60);
    if (fix->session.state != GW__SESSION_OPEN) {
        fail_msg("not open: %s", fix->session.why.text);
    }
}

static void expect_failure(fixture *fix, gw_status st, const char *text)
{
    if (fix->session.state != GW__SESSION_FAILED || fix->session.why.status != st ||
        strstr(fix->session.why.text, text) == NULL) {
        fail_msg("state %d, %s '%s'; expected %s '%s'", fix->session.state,
                 gw_status_name(fix->session.why.status), fix->session.why.text, gw_status_name(st),
                 text);
    }
    if (strstr(fix->session.why.text, "geheim") != NULL) {
        fail_msg("the password is in '%s'", fix->session.why.text);
    }
}

/* ---- the handshake -----------------------------------------------------------------------------
 */

static void test_handshake(void **state)
{
    fixture *fix = *state;
    assert_int_equal(fix->session.out.len, 8);
    assert_memory_equal(fix->session.out.data, "AMQP\0\0\x09\x01", 8);
    say_start(fix, "AMQPLAIN PLAIN");
    hear(fix, 1); /* byte by byte */
    assert_int_equal(sent(fix), AMQP_CONNECTION_START_OK_METHOD);
    say_tune(fix, 2047, 131072, 60);
    hear(fix, 1);
    assert_int_equal(sent(fix), AMQP_CONNECTION_TUNE_OK_METHOD);
    assert_int_equal(fix->n_opened, 0);
    amqp_connection_open_ok_t ok = {.known_hosts = amqp_empty_bytes};
    say(fix, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &ok);
    hear(fix, 1);
    assert_int_equal(fix->n_opened, 1);
    assert_true(gw__session_is_open(&fix->session));
}

static const struct {
    const char *what;
    uint16_t channel_max;
    uint32_t frame_max;
    uint16_t heartbeat;
    bool refused;
    uint16_t agreed_channel_max;
    uint32_t agreed_frame_max;
    unsigned agreed_heartbeat_ms;
} tunings[] = {
    {"the usual", 2047, 131072, 60, false, 2047, 131072, 10000},
    {"no limits", 0, 0, 0, false, 2047, 131072, 10000},
    {"huge", 65535, UINT32_MAX, 65535, false, 2047, 131072, 10000},
    {"the least", 1, 4096, 1, false, 1, 4096, 1000},
    {"a byte too small", 2047, 4095, 60, true, 0, 0, 0},
    {"frame_max 1", 2047, 1, 60, true, 0, 0, 0},
    {"frame_max 8", 2047, 8, 60, true, 0, 0, 0},
};

/* A smaller frame_max than the protocol's least overflows librabbitmq's buffers (CVE-2026-44236).
 */
static void test_tuning(void **state)
{
    for (size_t i = 0; i < sizeof(tunings) / sizeof(tunings[0]); i++) {
        fixture *fix = *state;
        open_tuned(fix, tunings[i].channel_max, tunings[i].frame_max, tunings[i].heartbeat);
        const gw__session *session = &fix->session;
        if (tunings[i].refused) {
            expect_failure(fix, GW_E_PROTOCOL, "frames");
        } else if (session->channel_max != tunings[i].agreed_channel_max ||
                   session->frame_max != tunings[i].agreed_frame_max ||
                   session->heartbeat_ms != tunings[i].agreed_heartbeat_ms) {
            fail_msg("%s: channel_max %u, frame_max %u, heartbeat %u ms", tunings[i].what,
                     session->channel_max, session->frame_max, session->heartbeat_ms);
        }
        teardown(state);
        setup(state);
    }
}

static const struct {
    const char *what;
    const char *bytes;
    size_t len;
    gw_status st;
    const char *text;
} greetings[] = {
#define BYTES(literal) (literal), sizeof(literal) - 1
    {"another version", BYTES("AMQP\0\1\0\0"), GW_E_UNSUPPORTED, "1.0.0"},
    {"an HTTP server", BYTES("HTTP/1.1 400 Bad Request\r\n"), GW_E_PROTOCOL, "not speak AMQP"},
    {"an SSH server", BYTES("SSH-2.0-OpenSSH"), GW_E_PROTOCOL, "not speak AMQP"},
    {"one wrong byte", BYTES("\0"), GW_E_PROTOCOL, "not speak AMQP"},
    {"a huge frame", BYTES("\x01\0\0\xff\xff\xff\xff"), GW_E_PROTOCOL, "4294967295 bytes"},
    {"a method before start", BYTES("\x01\0\0\0\0\0\x0d\0\x0a\0\x1e\0\0\0\0\0\0\0\0\0\xce"),
     GW_E_PROTOCOL, "TUNE"},
    {"start on channel 1", BYTES("\x01\0\1\0\0\0\x04\0\x0a\0\x0a\xce"), GW_E_PROTOCOL, "channel 1"},
    {"start cut short", BYTES("\x01\0\0\0\0\0\x05\0\x0a\0\x0a\0\xce"), GW_E_PROTOCOL,
     "cannot be read"},
    {"start with a table past the end", BYTES("\x01\0\0\0\0\0\x0a\0\x0a\0\x0a\0\x09\0\0\0\xff\xce"),
     GW_E_PROTOCOL, "cannot be read"},
    {"start with an unknown kind",
     BYTES("\x01\0\0\0\0\0\x0e\0\x0a\0\x0a\0\x09\0\0\0\x04\x01k?\x01\xce"), GW_E_PROTOCOL,
     "cannot be read"},
    {"version 0.8", BYTES("\x01\0\0\0\0\0\x12\0\x0a\0\x0a\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\xce"),
     GW_E_UNSUPPORTED, "0.8"},
    {"a content header first", BYTES("\x02\0\0\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0\xce"),
     GW_E_PROTOCOL, "not speak AMQP"},
};

static void test_wrong_greetings(void **state)
{
    for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++) {
        fixture *fix = *state;
        gw_buf_add(&fix->peer, greetings[i].bytes, greetings[i].len);
        hear(fix, SIZE_MAX / 2);
        print_message("%s\n", greetings[i].what);
        expect_failure(fix, greetings[i].st, greetings[i].text);
        teardown(state);
        setup(state);
    }
}

/* Everything that does not look like a frame is found out however it is cut. */
static void test_a_short_foreign_greeting(void **state)
{
    fixture *fix = *state;
    gw_buf_add_str(&fix->peer, "AMQ");
    hear(fix, 1);
    assert_int_equal(fix->session.state, GW__SESSION_GREETED); /* it may become AMQP 1.0 */
    gw__session_eof(&fix->session);
    expect_failure(fix, GW_E_UNAVAILABLE, "closed the connection");
}

static void test_no_plain_login(void **state)
{
    fixture *fix = *state;
    say_start(fix, "EXTERNAL XPLAIN PLAINX");
    hear(fix, SIZE_MAX / 2);
    expect_failure(fix, GW_E_UNSUPPORTED, "EXTERNAL");
}

/* librabbitmq would recurse 18,000 levels deep into this, before any login. */
static void test_deep_table_in_start(void **state)
{
    fixture *fix = *state;
    enum { DEPTH = 18000 };
    size_t table_len = DEPTH * 7;
    size_t len = 4 + 2 + 4 + table_len + 8;
    uint8_t *payload = calloc(1, len);
    memcpy(payload, "\0\x0a\0\x0a\0\x09", 6);
    size_t at = 6;
    for (size_t i = 0; i <= DEPTH; i++) {
        size_t rest = table_len - i * 7;
        payload[at++] = (uint8_t)(rest >> 24);
        payload[at++] = (uint8_t)(rest >> 16);
        payload[at++] = (uint8_t)(rest >> 8);
        payload[at++] = (uint8_t)rest;
        if (i < DEPTH) {
            memcpy(payload + at, "\x01kF", 3);
            at += 3;
        }
    }
    uint8_t head[7] = {1, 0, 0, 0, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    gw_buf_add(&fix->peer, head, sizeof(head));
    gw_buf_add(&fix->peer, payload, len);
    gw_buf_add_char(&fix->peer, (char)0xce);
    hear(fix, SIZE_MAX / 2);
    expect_failure(fix, GW_E_PROTOCOL, "cannot be read");
    free(payload);
}

static void test_login_refused(void **state)
{
    fixture *fix = *state;
    say_start(fix, "PLAIN");
    amqp_connection_close_t close = {
        .reply_code = 403, .reply_text = amqp_cstring_bytes("ACCESS_REFUSED - Login was refused")};
    say(fix, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
    hear(fix, SIZE_MAX / 2);
    expect_failure(fix, GW_E_DENIED, "login refused for user 'guest'");
}

/* A broker without authentication_failure_close hangs up instead. */
static void test_login_refused_by_hanging_up(void **state)
{
    fixture *fix = *state;
    say_start(fix, "PLAIN");
    hear(fix, SIZE_MAX / 2);
    gw__session_eof(&fix->session);
    expect_failure(fix, GW_E_DENIED, "login refused for user 'guest'");
}

static void test_vhost_refused(void **state)
{
    fixture *fix = *state;
    say_start(fix, "PLAIN");
    say_tune(fix, 0, 0, 0);
    amqp_connection_close_t close = {
        .reply_code = 530, .reply_text = amqp_cstring_bytes("NOT_ALLOWED - vhost x not found")};
    say(fix, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
    hear(fix, SIZE_MAX / 2);
    expect_failure(fix, GW_E_DENIED, "530 NOT_ALLOWED - vhost x not found");
}

/* ---- time ---------------------------------------------------------------- */

static void test_handshake_deadline(void **state)
{
    static const struct {
        int n_said;
        const char *text;
    } cases[] = {{0, "does not greet"}, {1, "login"}, {2, "virtual host"}};
    for (size_t i = 0; i < 3; i++) {
        fixture *fix = *state;
        if (cases[i].n_said > 0) {
            say_start(fix, "PLAIN");
        }
        if (cases[i].n_said > 1) {
            say_tune(fix, 0, 0, 0);
        }
        hear(fix, SIZE_MAX / 2);
        tick(fix, 10 * S - 1000000);
        assert_int_not_equal(fix->session.state, GW__SESSION_FAILED);
        assert_true(fix->session.timer_ms <= (fix->now + 1000000) / 1000000);
        tick(fix, 1000000);
        expect_failure(fix, GW_E_TIMEOUT, cases[i].text);
        teardown(state);
        setup(state);
    }
}

static void test_heartbeats_are_sent_at_half_the_interval(void **state)
{
    fixture *fix = *state;
    open_session(fix); /* 10 s agreed */
    tick(fix, 5 * S - 1000000);
    assert_int_equal(fix->session.out.len, 0);
    tick(fix, 1000000);
    assert_int_equal(fix->session.out.len, 8);
    assert_int_equal((uint8_t)fix->session.out.data[0], 8);
    gw_buf_clear(&fix->session.out);
    gw__session_sent(&fix->session);
    /* What else was sent counts. */
    tick(fix, 4 * S);
    gw__session_sent(&fix->session);
    tick(fix, 4 * S);
    assert_int_equal(fix->session.out.len, 0);
}

static void test_silence_is_noticed(void **state)
{
    fixture *fix = *state;
    open_session(fix);
    tick(fix, 20 * S - 1000000);
    assert_true(gw__session_is_open(&fix->session));
    gw_buf_add(&fix->peer, "\x08\0\0\0\0\0\0\xce", 8);
    hear(fix, SIZE_MAX / 2);
    tick(fix, 20 * S - 1000000);
    assert_true(gw__session_is_open(&fix->session));
    tick(fix, 1000000);
    expect_failure(fix, GW_E_TIMEOUT, "20 s");
}

/* ---- channels ------------------------------------------------------------ */

static void on_channel_open(gw__channel *channel)
{
    (void)channel;
}

static void on_reply(gw__channel *channel, const amqp_method_t *reply)
{
    ((fixture *)channel->ctx)->replied = reply->id;
}

static char *on_header(gw__channel *channel, const gw__content *content)
{
    fixture *fix = channel->ctx;
    if (fix->refuse) {
        gw__channel_close(channel);
        fix->channel = NULL;
        return NULL;
    }
    return content->body_size <= sizeof(fix->body) ? fix->body : NULL;
}

static void on_content(gw__channel *channel, const gw__content *content)
{
    (void)content;
    ((fixture *)channel->ctx)->n_contents++;
}

static void on_closed(gw__channel *channel, const gw_error *why)
{
    fixture *fix = channel->ctx;
    fix->channel = NULL;
    fix->n_closed++;
    fix->closed = why != NULL ? *why : (gw_error){.status = GW_OK};
}

static const gw__channel_events events = {.open = on_channel_open,
                                          .reply = on_reply,
                                          .header = on_header,
                                          .content = on_content,
                                          .closed = on_closed};

static void open_channel(fixture *fix)
{
    open_session(fix);
    fix->channel = gw__session_open_channel(&fix->session, &events, fix);
    assert_non_null(fix->channel);
    assert_int_equal(sent(fix), AMQP_CHANNEL_OPEN_METHOD);
    amqp_channel_open_ok_t ok = {.channel_id = amqp_empty_bytes};
    say(fix, fix->channel->id, AMQP_CHANNEL_OPEN_OK_METHOD, &ok);
    hear(fix, SIZE_MAX / 2);
    assert_int_equal(fix->channel->state, GW__CHANNEL_OPEN);
}

static void say_deliver(fixture *fix, uint16_t channel)
{
    amqp_basic_deliver_t deliver = {.delivery_tag = 1};
    say(fix, channel, AMQP_BASIC_DELIVER_METHOD, &deliver);
}

static void say_header(fixture *fix, uint16_t channel, uint64_t body_size)
{
    amqp_basic_properties_t properties = {._flags = 0};
    gw__wire_header(&fix->peer, channel, &properties, body_size, 131072);
}

static void say_body(fixture *fix, uint16_t channel, const char *text)
{
    gw__wire_body(&fix->peer, channel, text, strlen(text));
}

static void test_content_in_pieces(void **state)
{
    fixture *fix = *state;
    open_channel(fix);
    say_deliver(fix, 1);
    say_header(fix, 1, 11);
    say_body(fix, 1, "hello");
    gw_buf_add(&fix->peer, "\x08\0\0\0\0\0\0\xce", 8); /* a heartbeat in between */
    say_body(fix, 1, "");
    say_body(fix, 1, " world");
    say_deliver(fix, 1);
    say_header(fix, 1, 0);
    hear(fix, 1);
    assert_true(gw__session_is_open(&fix->session));
    assert_int_equal(fix->n_contents, 2);
    assert_memory_equal(fix->body, "hello world", 11);
}

typedef enum piece {
    END,
    DELIVER,
    HEADER_5,
    HEADER_MAX,
    HEADER_OTHER_CLASS,
    BODY_5,
    BODY_6,
    RETURN,
    ACK,
    GET_OK,
    DECLARE,
    CONSUME_OK,
    OTHER_CHANNEL,
    UNKNOWN_METHOD,
    TX_OK
} piece;

/* What must not come on a channel. */
static const struct {
    const char *what;
    piece pieces[4];
} hostile_cases[] = {
    {"a header without a method", {HEADER_5}},
    {"a body without a header", {DELIVER, BODY_5}},
    {"a body without anything", {BODY_5}},
    {"too much body", {DELIVER, HEADER_5, BODY_6}},
    {"body after the body", {DELIVER, HEADER_5, BODY_5, BODY_5}},
    {"two headers", {DELIVER, HEADER_5, HEADER_5}},
    {"a delivery within a delivery", {DELIVER, HEADER_5, DELIVER}},
    {"a body of 2^64 - 1", {DELIVER, HEADER_MAX}},
    {"a header of another class", {DELIVER, HEADER_OTHER_CLASS}},
    {"a confirm nobody waits for", {ACK}},
    {"a reply to nothing", {CONSUME_OK}},
    {"get-ok, which is never asked for", {GET_OK}},
    {"a request", {DECLARE}},
    {"a frame for a channel that is not open", {OTHER_CHANNEL}},
    {"a method that does not exist", {UNKNOWN_METHOD}},
    {"a reply about transactions", {TX_OK}},
};

static void say_piece(fixture *fix, piece which)
{
    amqp_basic_ack_t ack = {.delivery_tag = 1};
    amqp_basic_get_ok_t get_ok = {.delivery_tag = 1};
    amqp_exchange_declare_t declare = {.type = amqp_cstring_bytes("x")};
    amqp_basic_consume_ok_t consume_ok = {.consumer_tag = amqp_empty_bytes};
    amqp_tx_select_ok_t tx_ok = {0};
    switch (which) {
    case END: break;
    case RETURN:
    case DELIVER: say_deliver(fix, 1); break;
    case HEADER_5: say_header(fix, 1, 5); break;
    case HEADER_MAX: say_header(fix, 1, UINT64_MAX); break;
    case HEADER_OTHER_CLASS:
        gw_buf_add(&fix->peer, BYTES("\x02\0\1\0\0\0\x0e\0\x32\0\0\0\0\0\0\0\0\0\5\0\0\xce"));
        break;
    case BODY_5: say_body(fix, 1, "12345"); break;
    case BODY_6: say_body(fix, 1, "123456"); break;
    case ACK: say(fix, 1, AMQP_BASIC_ACK_METHOD, &ack); break;
    case GET_OK: say(fix, 1, AMQP_BASIC_GET_OK_METHOD, &get_ok); break;
    case DECLARE: say(fix, 1, AMQP_EXCHANGE_DECLARE_METHOD, &declare); break;
    case CONSUME_OK: say(fix, 1, AMQP_BASIC_CONSUME_OK_METHOD, &consume_ok); break;
    case OTHER_CHANNEL: say(fix, 60000, AMQP_BASIC_ACK_METHOD, &ack); break;
    case UNKNOWN_METHOD:
        gw_buf_add(&fix->peer, BYTES("\x01\0\1\0\0\0\x04\x12\x34\x56\x78\xce"));
        break;
    case TX_OK: say(fix, 1, AMQP_TX_SELECT_OK_METHOD, &tx_ok); break;
    }
}

static void test_what_must_not_come(void **state)
{
    for (size_t i = 0; i < sizeof(hostile_cases) / sizeof(hostile_cases[0]); i++) {
        fixture *fix = *state;
        open_channel(fix);
        for (size_t k = 0; k < 4; k++) {
            say_piece(fix, hostile_cases[i].pieces[k]);
        }
        hear(fix, SIZE_MAX / 2);
        if (fix->session.state != GW__SESSION_FAILED || fix->session.why.status != GW_E_PROTOCOL ||
            fix->session.why.native != 0) {
            fail_msg("%s: state %d, '%s'", hostile_cases[i].what, fix->session.state,
                     fix->session.why.text);
        }
        teardown(state);
        setup(state);
    }
}

static void test_content_for_the_connection(void **state)
{
    fixture *fix = *state;
    open_session(fix);
    say_header(fix, 0, 0);
    hear(fix, SIZE_MAX / 2);
    expect_failure(fix, GW_E_PROTOCOL, "channel 0");
}

static void test_channel_closed_by_the_broker(void **state)
{
    fixture *fix = *state;
    open_channel(fix);
    gw_buf_clear(&fix->session.out);
    say_deliver(fix, 1); /* in the middle of a content, too */
    say_header(fix, 1, 5);
    amqp_channel_close_t close = {.reply_code = 404,
                                  .reply_text = amqp_cstring_bytes("NOT_FOUND - no queue")};
    say(fix, 1, AMQP_CHANNEL_CLOSE_METHOD, &close);
    hear(fix, SIZE_MAX / 2);
    assert_int_equal(sent(fix), AMQP_CHANNEL_CLOSE_OK_METHOD);
    assert_int_equal(fix->n_closed, 1);
    assert_int_equal(fix->closed.native, 404);
    assert_int_equal(fix->closed.status, GW_E_NOT_FOUND);
    static const char text[] = "404 NOT_FOUND - no queue (it does not exist";
    assert_memory_equal(fix->closed.text, text, sizeof(text) - 1);
    assert_true(gw__session_is_open(&fix->session));
}

/* After we closed it, what still comes is thrown away until close-ok; then the number is free. */
static void test_late_frames_of_a_closed_channel(void **state)
{
    fixture *fix = *state;
    open_channel(fix);
    gw__channel_close(fix->channel);
    say_deliver(fix, 1);
    say_header(fix, 1, 5);
    say_body(fix, 1, "12345");
    amqp_channel_close_t close = {.reply_code = 404, .reply_text = amqp_cstring_bytes("crossed")};
    say(fix, 1, AMQP_CHANNEL_CLOSE_METHOD, &close);
    hear(fix, SIZE_MAX / 2);
    assert_int_equal(fix->n_contents, 0);
    gw__channel *second = gw__session_open_channel(&fix->session, &events, fix);
    assert_int_equal(second->id, 2); /* 1 is still in use */
    amqp_channel_close_ok_t ok = {0};
    say(fix, 1, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    hear(fix, SIZE_MAX / 2);
    assert_int_equal(fix->n_closed, 0);
    assert_int_equal(gw__session_open_channel(&fix->session, &events, fix)->id, 1);
    assert_true(gw__session_is_open(&fix->session));
}

static void test_channel_closed_from_its_own_event(void **state)
{
    fixture *fix = *state;
    open_channel(fix);
    fix->refuse = true;
    say_deliver(fix, 1);
    say_header(fix, 1, 0);
    say_deliver(fix, 1);
    say_header(fix, 1, 5);
    say_body(fix, 1, "12345");
    hear(fix, SIZE_MAX / 2);
    assert_int_equal(fix->n_contents, 0);
    assert_true(gw__session_is_open(&fix->session));
}

static void test_call_without_an_answer(void **state)
{
    fixture *fix = *state;
    open_channel(fix);
    amqp_basic_qos_t qos = {.prefetch_count = 1};
    gw__channel_call(fix->channel, AMQP_BASIC_QOS_METHOD, &qos, AMQP_BASIC_QOS_OK_METHOD);
    gw_buf_clear(&fix->session.out);
    for (unsigned s = 0; s < 29; s++) {
        tick(fix, S);
        gw_buf_add(&fix->peer, "\x08\0\0\0\0\0\0\xce", 8);
        hear(fix, SIZE_MAX / 2);
    }
    assert_int_equal(fix->n_closed, 0);
    gw_buf_clear(&fix->session.out);
    tick(fix, S);
    assert_int_equal(fix->n_closed, 1);
    assert_int_equal(fix->closed.status, GW_E_TIMEOUT);
    assert_int_equal(sent(fix), AMQP_CHANNEL_CLOSE_METHOD);
    assert_true(gw__session_is_open(&fix->session));
    /* Nor does it answer that: the connection is of no use. */
    for (unsigned s = 0; s < 30; s++) {
        gw_buf_add(&fix->peer, "\x08\0\0\0\0\0\0\xce", 8);
        hear(fix, SIZE_MAX / 2);
        tick(fix, S);
    }
    expect_failure(fix, GW_E_TIMEOUT, "CHANNEL_CLOSE");
}

static void test_no_more_channels_than_agreed(void **state)
{
    fixture *fix = *state;
    open_tuned(fix, 3, 131072, 60);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(gw__session_open_channel(&fix->session, &events, fix)->id, i);
    }
    assert_null(gw__session_open_channel(&fix->session, &events, fix));
}

static void test_channels_are_told_of_the_end(void **state)
{
    fixture *fix = *state;
    open_channel(fix);
    amqp_connection_close_t close = {.reply_code = 320,
                                     .reply_text = amqp_cstring_bytes("CONNECTION_FORCED - bye")};
    say(fix, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
    gw_buf_clear(&fix->session.out);
    hear(fix, SIZE_MAX / 2);
    assert_int_equal(sent(fix), AMQP_CONNECTION_CLOSE_OK_METHOD);
    expect_failure(fix, GW_E_UNAVAILABLE,
                   "broker closed the connection: 320 CONNECTION_FORCED - bye");
    gw__session_end(&fix->session);
    assert_int_equal(fix->n_closed, 1);
    assert_int_equal(fix->closed.status, GW_E_UNAVAILABLE);
    assert_int_equal(fix->closed.native, 320);
}

/* ---- alarms and the end -------------------------------------------------- */

static void test_blocked(void **state)
{
    fixture *fix = *state;
    open_session(fix);
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    say(fix, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    hear(fix, SIZE_MAX / 2);
    assert_true(fix->session.blocked);
    assert_string_equal(fix->blocked, "low on memory");
    amqp_connection_unblocked_t unblocked = {0};
    say(fix, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &unblocked);
    say(fix, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &unblocked); /* once too often is no harm */
    hear(fix, SIZE_MAX / 2);
    assert_false(fix->session.blocked);
    assert_string_equal(fix->blocked, "");
    assert_int_equal(fix->n_blocked, 1);
}

static void test_goodbye(void **state)
{
    fixture *fix = *state;
    open_session(fix);
    gw__session_close(&fix->session, fix->now / 1000000 + 5000);
    assert_int_equal(sent(fix), AMQP_CONNECTION_CLOSE_METHOD);
    amqp_connection_close_ok_t ok = {0};
    say(fix, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    hear(fix, SIZE_MAX / 2);
    assert_int_equal(fix->session.state, GW__SESSION_CLOSED);
}

static void test_goodbye_without_an_answer(void **state)
{
    fixture *fix = *state;
    open_session(fix);
    gw__session_close(&fix->session, fix->now / 1000000 + 5000);
    tick(fix, 5 * S - 1000000);
    assert_int_equal(fix->session.state, GW__SESSION_CLOSING);
    tick(fix, 1000000);
    expect_failure(fix, GW_E_TIMEOUT, "goodbye");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_handshake),
        TEST(test_tuning),
        TEST(test_wrong_greetings),
        TEST(test_a_short_foreign_greeting),
        TEST(test_no_plain_login),
        TEST(test_deep_table_in_start),
        TEST(test_login_refused),
        TEST(test_login_refused_by_hanging_up),
        TEST(test_vhost_refused),
        TEST(test_handshake_deadline),
        TEST(test_heartbeats_are_sent_at_half_the_interval),
        TEST(test_silence_is_noticed),
        TEST(test_content_in_pieces),
        TEST(test_what_must_not_come),
        TEST(test_content_for_the_connection),
        TEST(test_channel_closed_by_the_broker),
        TEST(test_late_frames_of_a_closed_channel),
        TEST(test_channel_closed_from_its_own_event),
        TEST(test_call_without_an_answer),
        TEST(test_no_more_channels_than_agreed),
        TEST(test_channels_are_told_of_the_end),
        TEST(test_blocked),
        TEST(test_goodbye),
        TEST(test_goodbye_without_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
