/* SPDX-License-Identifier: MIT */
#include "amqp/session.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <godwit/clock.h>
#include <godwit/version.h>

#include "amqp/frame.h"
#include "amqp/reasons.h"
#include "amqp/wire.h"

#define POOL_PAGE 8192
#define OUT_LIMIT ((size_t)32 << 20)

static const char protocol_header[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

static bool is_over(const gw__session *session)
{
    return session->state == GW__SESSION_FAILED || session->state == GW__SESSION_CLOSED;
}

void gw__session_fail(gw__session *session, gw_status st, int native, const char *format, ...)
{
    if (is_over(session)) {
        return;
    }
    char text[GW_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    gw_error_set(&session->why, st, native, "%s", text);
    session->state = GW__SESSION_FAILED;
}

void gw__session_set_timer(gw__session *session, uint64_t at_ms)
{
    if (at_ms < session->timer_ms) {
        session->timer_ms = at_ms;
    }
}

void gw__session_send(gw__session *session, uint16_t channel, amqp_method_number_t id, void *method)
{
    gw_status st = gw__wire_method(&session->out, channel, id, method);
    if (st != GW_OK) {
        gw__session_fail(session, st, 0, "%s cannot be sent: %s", amqp_method_name(id),
                         gw_status_text(st));
    }
}

static void set_time(gw__session *session, uint64_t now_ns)
{
    session->now_ns = now_ns;
    session->now_ms = now_ns / GW_NS_PER_MS;
}

bool gw__session_is_open(const gw__session *session)
{
    return session->state == GW__SESSION_OPEN;
}

/* ---- life ---------------------------------------------------------------- */

void gw__session_begin(gw__session *session, const gw__login *login,
                       const gw__session_events *events, uint64_t now_ns)
{
    uint64_t now_ms = now_ns / GW_NS_PER_MS;
    *session = (gw__session){
        .login = *login,
        .events = *events,
        .state = GW__SESSION_GREETED,
        .now_ns = now_ns,
        .now_ms = now_ms,
        .deadline_ms = now_ms + GW__HANDSHAKE_TIMEOUT_MS,
        .last_in_ms = now_ms,
        .last_out_ms = now_ms,
        .frame_max = GW__FRAME_MAX,
    };
    session->timer_ms = session->deadline_ms;
    init_amqp_pool(&session->pool, POOL_PAGE);
    gw_buf_init(&session->out, OUT_LIMIT);
    gw_buf_add(&session->out, protocol_header, sizeof(protocol_header));
}

void gw__session_end(gw__session *session)
{
    gw_error why = session->why;
    if (session->state != GW__SESSION_FAILED) {
        gw_error_set(&why, GW_E_UNAVAILABLE, 0, "the connection was closed");
    }
    why.status = GW_E_UNAVAILABLE;
    for (size_t i = 1; i < session->n_slots; i++) {
        if (session->channels[i] != NULL) {
            gw__channel_end(session->channels[i], &why);
        }
    }
}

void gw__session_dispose(gw__session *session)
{
    free(session->channels);
    empty_amqp_pool(&session->pool);
    gw_buf_dispose(&session->out);
    *session = (gw__session){.state = GW__SESSION_CLOSED};
}

void gw__session_close(gw__session *session, uint64_t deadline_ms)
{
    if (session->state != GW__SESSION_OPEN) {
        gw__session_fail(session, GW_E_CLOSED, 0, "closed before it was open");
        return;
    }
    amqp_connection_close_t close = {.reply_code = AMQP_REPLY_SUCCESS,
                                     .reply_text = amqp_cstring_bytes("goodbye")};
    gw__session_send(session, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
    session->state = GW__SESSION_CLOSING;
    session->deadline_ms = deadline_ms;
    gw__session_set_timer(session, deadline_ms);
}

/* ---- channels ------------------------------------------------------------ */

static bool grow_slots(gw__session *session)
{
    size_t most = (size_t)session->channel_max + 1;
    size_t n = session->n_slots == 0 ? 16 : session->n_slots * 2;
    n = n > most ? most : n;
    if (n <= session->n_slots) {
        return false;
    }
    gw__channel **channels = realloc(session->channels, n * sizeof(gw__channel *));
    if (channels == NULL) {
        return false;
    }
    memset(channels + session->n_slots, 0, (n - session->n_slots) * sizeof(gw__channel *));
    session->channels = channels;
    session->n_slots = n;
    return true;
}

gw__channel *gw__session_open_channel(gw__session *session, const gw__channel_events *events,
                                      void *ctx)
{
    assert(session->state == GW__SESSION_OPEN);
    size_t id = 1;
    while (id < session->n_slots && session->channels[id] != NULL) {
        id++;
    }
    if (id >= session->n_slots) {
        id = session->n_slots == 0 ? 1 : session->n_slots;
        if (!grow_slots(session)) {
            return NULL;
        }
    }
    session->channels[id] = gw__channel_new(session, (uint16_t)id, events, ctx);
    return session->channels[id];
}

void gw__session_forget(gw__session *session, gw__channel *channel)
{
    session->channels[channel->id] = NULL;
}

/* ---- handshake ----------------------------------------------------------- */

static amqp_table_entry_t text_entry(const char *name, const char *text)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(name),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
}

static amqp_table_entry_t true_entry(const char *name)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
                                .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static amqp_table_entry_t table_entry(const char *name, amqp_table_entry_t *entries, int n_entries)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(name),
        .value = {.kind = AMQP_FIELD_KIND_TABLE,
                  .value.table = {.num_entries = n_entries, .entries = entries}}};
}

#define N_ENTRIES(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* PLAIN (RFC 4616): NUL user NUL password. */
static size_t write_plain(const gw__login *login, char *to, size_t size)
{
    size_t user_len = strlen(login->user);
    size_t password_len = strlen(login->password);
    if (2 + user_len + password_len > size) {
        return 0;
    }
    to[0] = '\0';
    memcpy(to + 1, login->user, user_len);
    to[1 + user_len] = '\0';
    memcpy(to + 2 + user_len, login->password, password_len);
    return 2 + user_len + password_len;
}

static void send_start_ok(gw__session *session)
{
    amqp_table_entry_t capabilities[] = {
        true_entry("publisher_confirms"),
        true_entry("basic.nack"),
        true_entry("connection.blocked"),
        true_entry("consumer_cancel_notify"),
        true_entry("authentication_failure_close"),
        true_entry("exchange_exchange_bindings"),
        true_entry("per_consumer_qos"),
    };
    struct utsname os;
    bool named = uname(&os) == 0;
    amqp_table_entry_t properties[] = {
        text_entry("product", "godwit"),
        text_entry("version", GW_VERSION),
        text_entry("platform", named ? os.sysname : "POSIX"),
        text_entry("connection_name", session->login.connection_name),
        table_entry("capabilities", capabilities, N_ENTRIES(capabilities)),
    };
    char response[2048];
    size_t len = write_plain(&session->login, response, sizeof(response));
    if (len == 0) {
        gw__session_fail(session, GW_E_LIMIT, 0, "user and password are too long");
        return;
    }
    amqp_connection_start_ok_t ok = {
        .client_properties = {.num_entries = N_ENTRIES(properties), .entries = properties},
        .mechanism = amqp_cstring_bytes("PLAIN"),
        .response = {.len = len, .bytes = response},
        .locale = amqp_cstring_bytes("en_US"),
    };
    gw__session_send(session, 0, AMQP_CONNECTION_START_OK_METHOD, &ok);
    explicit_bzero(response, sizeof(response));
    session->state = GW__SESSION_LOGIN;
}

/* Whether `word` is one of the words in `list`, which have blanks between them. */
static bool has_word(amqp_bytes_t list, const char *word)
{
    size_t len = strlen(word);
    const char *text = list.bytes;
    for (size_t i = 0; i + len <= list.len; i++) {
        bool starts = i == 0 || text[i - 1] == ' ';
        bool ends = i + len == list.len || text[i + len] == ' ';
        if (starts && ends && memcmp(text + i, word, len) == 0) {
            return true;
        }
    }
    return false;
}

static void on_start(gw__session *session, const amqp_connection_start_t *start)
{
    if (start->version_major != 0 || start->version_minor != 9) {
        gw__session_fail(session, GW_E_UNSUPPORTED, 0, "the broker speaks AMQP %u.%u, not 0.9.1",
                         start->version_major, start->version_minor);
    } else if (!has_word(start->mechanisms, "PLAIN")) {
        gw__session_fail(session, GW_E_UNSUPPORTED, 0,
                         "the broker offers no PLAIN login but '%.*s'",
                         (int)(start->mechanisms.len < 100 ? start->mechanisms.len : 100),
                         (const char *)start->mechanisms.bytes);
    } else {
        send_start_ok(session);
    }
}

/* The smaller, where 0 means that the side does not mind. */
static uint32_t agree(uint32_t ours, uint32_t theirs)
{
    return ours == 0 || (theirs != 0 && theirs < ours) ? theirs : ours;
}

static void on_tune(gw__session *session, const amqp_connection_tune_t *tune)
{
    uint32_t frame_max = agree(GW__FRAME_MAX, tune->frame_max);
    if (frame_max < GW__FRAME_MAX_LEAST) {
        gw__session_fail(session, GW_E_PROTOCOL, 0,
                         "the broker wants frames of at most %u bytes, the protocol's least is %d",
                         frame_max, GW__FRAME_MAX_LEAST);
        return;
    }
    uint16_t heartbeat_s = (uint16_t)agree(session->login.heartbeat_s, tune->heartbeat);
    session->frame_max = frame_max;
    session->channel_max = (uint16_t)agree(GW__CHANNEL_MAX, tune->channel_max);
    session->heartbeat_ms = heartbeat_s * 1000u;
    amqp_connection_tune_ok_t ok = {
        .channel_max = session->channel_max, .frame_max = frame_max, .heartbeat = heartbeat_s};
    gw__session_send(session, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
    amqp_connection_open_t open = {.virtual_host = amqp_cstring_bytes(session->login.vhost)};
    gw__session_send(session, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
    session->state = GW__SESSION_OPENING;
}

static void on_open_ok(gw__session *session)
{
    session->state = GW__SESSION_OPEN;
    session->deadline_ms = 0;
    session->timer_ms = session->now_ms; /* heartbeats begin: have tick() work it out */
    session->events.open(session->events.ctx);
}

/* ---- methods of the connection ------------------------------------------- */

static void refuse_login(gw__session *session)
{
    gw__session_fail(session, GW_E_DENIED, AMQP_ACCESS_REFUSED,
                     "login refused for user '%s' (the user is unknown, or the password wrong, or "
                     "the user may come from localhost only, as guest by default)",
                     session->login.user);
}

static void on_connection_close(gw__session *session, const amqp_connection_close_t *close)
{
    amqp_connection_close_ok_t ok = {0};
    gw__session_send(session, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    if (session->state == GW__SESSION_LOGIN && close->reply_code == AMQP_ACCESS_REFUSED) {
        refuse_login(session);
        return;
    }
    /* Between login and open-ok it is the virtual host that is refused or not there. */
    bool refused =
        session->state == GW__SESSION_OPENING &&
        (close->reply_code == AMQP_NOT_ALLOWED || close->reply_code == AMQP_INVALID_PATH ||
         close->reply_code == AMQP_ACCESS_REFUSED);
    gw_error why;
    gw__reason_set(&why, refused ? GW_E_DENIED : GW_E_UNAVAILABLE, close->reply_code,
                   close->reply_text);
    gw__session_fail(session, why.status, why.native, "broker closed the connection: %s", why.text);
}

static void on_blocked(gw__session *session, const amqp_connection_blocked_t *blocked)
{
    char reason[256];
    snprintf(reason, sizeof(reason), "%.*s", (int)blocked->reason.len,
             (const char *)blocked->reason.bytes);
    session->blocked = true;
    session->events.blocked(session->events.ctx, reason);
}

static void on_unblocked(gw__session *session)
{
    if (session->blocked) {
        session->blocked = false;
        session->last_in_ms = session->now_ms;
        session->events.blocked(session->events.ctx, NULL);
    }
}

static void on_connection_method(gw__session *session, const amqp_method_t *method)
{
    bool open = session->state == GW__SESSION_OPEN;
    switch (method->id) {
    case AMQP_CONNECTION_START_METHOD:
        if (session->state == GW__SESSION_GREETED) {
            on_start(session, method->decoded);
            return;
        }
        break;
    case AMQP_CONNECTION_TUNE_METHOD:
        if (session->state == GW__SESSION_LOGIN) {
            on_tune(session, method->decoded);
            return;
        }
        break;
    case AMQP_CONNECTION_OPEN_OK_METHOD:
        if (session->state == GW__SESSION_OPENING) {
            on_open_ok(session);
            return;
        }
        break;
    case AMQP_CONNECTION_CLOSE_METHOD: on_connection_close(session, method->decoded); return;
    case AMQP_CONNECTION_CLOSE_OK_METHOD:
        if (session->state == GW__SESSION_CLOSING) {
            session->state = GW__SESSION_CLOSED;
            return;
        }
        break;
    case AMQP_CONNECTION_BLOCKED_METHOD:
        if (open) {
            on_blocked(session, method->decoded);
        }
        return;
    case AMQP_CONNECTION_UNBLOCKED_METHOD: on_unblocked(session); return;
    default: break;
    }
    gw__session_fail(session, GW_E_PROTOCOL, 0, "%s was not to come now",
                     amqp_method_name(method->id));
}

/* ---- input --------------------------------------------------------------- */

/* What a broker may send to a client. Everything else is refused before it is decoded. */
static bool may_come(amqp_method_number_t id)
{
    switch (id) {
    case AMQP_CONNECTION_START_METHOD:
    case AMQP_CONNECTION_TUNE_METHOD:
    case AMQP_CONNECTION_OPEN_OK_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_OK_METHOD:
    case AMQP_CONNECTION_BLOCKED_METHOD:
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
    case AMQP_CHANNEL_OPEN_OK_METHOD:
    case AMQP_CHANNEL_FLOW_METHOD:
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CHANNEL_CLOSE_OK_METHOD:
    case AMQP_EXCHANGE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_BIND_OK_METHOD:
    case AMQP_QUEUE_DELETE_OK_METHOD:
    case AMQP_BASIC_QOS_OK_METHOD:
    case AMQP_BASIC_CONSUME_OK_METHOD:
    case AMQP_BASIC_CANCEL_METHOD:
    case AMQP_BASIC_CANCEL_OK_METHOD:
    case AMQP_BASIC_RETURN_METHOD:
    case AMQP_BASIC_DELIVER_METHOD:
    case AMQP_BASIC_ACK_METHOD:
    case AMQP_BASIC_NACK_METHOD:
    case AMQP_CONFIRM_SELECT_OK_METHOD: return true;
    default: return false;
    }
}

/* The only method with a table in it: two bytes of version, then the table. */
static bool tables_are_flat_enough(const gw__frame *frame)
{
    size_t table_len = 0;
    return gw__read_u32(frame->payload) != AMQP_CONNECTION_START_METHOD ||
           (frame->len > 6 &&
            gw__table_measure(frame->payload + 6, frame->len - 6, &table_len) == GW_OK);
}

static void on_method_frame(gw__session *session, const gw__frame *frame, gw__channel *channel)
{
    amqp_method_t method = {.id = gw__read_u32(frame->payload)};
    amqp_bytes_t encoded = {.len = frame->len - 4,
                            .bytes = (void *)(uintptr_t)(frame->payload + 4)};
    if (!may_come(method.id) || !tables_are_flat_enough(frame) ||
        amqp_decode_method(method.id, &session->pool, encoded, &method.decoded) < 0) {
        gw__session_fail(session, GW_E_PROTOCOL, 0,
                         "the broker sent a method that cannot be read: %u.%u", method.id >> 16,
                         method.id & 0xffff);
        return;
    }
    bool of_connection = method.id >> 16 == 10;
    if (of_connection != (frame->channel == 0)) {
        gw__session_fail(session, GW_E_PROTOCOL, 0, "%s on channel %u", amqp_method_name(method.id),
                         frame->channel);
    } else if (of_connection) {
        on_connection_method(session, &method);
    } else {
        gw__channel_method(channel, &method);
    }
}

static void on_frame(gw__session *session, const gw__frame *frame)
{
    if (frame->type == AMQP_FRAME_HEARTBEAT) {
        return;
    }
    gw__channel *channel = NULL;
    if (frame->channel != 0) {
        channel = frame->channel < session->n_slots ? session->channels[frame->channel] : NULL;
        if (channel == NULL) {
            gw__session_fail(session, GW_E_PROTOCOL, 0, "frame for channel %u, which is not open",
                             frame->channel);
            return;
        }
    }
    if (frame->type == AMQP_FRAME_METHOD) {
        on_method_frame(session, frame, channel);
    } else if (channel == NULL) {
        gw__session_fail(session, GW_E_PROTOCOL, 0, "content on channel 0");
    } else if (frame->type == AMQP_FRAME_HEADER) {
        gw__channel_header(channel, frame->payload, frame->len);
    } else {
        gw__channel_body(channel, frame->payload, frame->len);
    }
}

/* Before the first frame: is it AMQP at all? */
static bool is_foreign(gw__session *session, const uint8_t *data, size_t len)
{
    if (session->state != GW__SESSION_GREETED || data[0] == AMQP_FRAME_METHOD) {
        return false;
    }
    size_t n = len < 4 ? len : 4;
    if (memcmp(data, protocol_header, n) != 0) {
        gw__session_fail(session, GW_E_PROTOCOL, 0, "what answers there does not speak AMQP");
    } else if (len >= sizeof(protocol_header)) {
        gw__session_fail(session, GW_E_UNSUPPORTED, 0,
                         "the broker does not speak AMQP 0.9.1 but %u.%u.%u", data[5], data[6],
                         data[7]);
    }
    return true;
}

size_t gw__session_input(gw__session *session, const uint8_t *data, size_t len, uint64_t now_ns)
{
    size_t used = 0;
    set_time(session, now_ns);
    session->last_in_ms = session->now_ms;
    if (len > 0 && !is_over(session) && is_foreign(session, data, len)) {
        return 0;
    }
    while (!is_over(session)) {
        gw__frame frame;
        size_t frame_len = 0;
        gw_error err;
        gw_status st =
            gw__frame_parse(data + used, len - used, session->frame_max, &frame, &frame_len, &err);
        if (st != GW_OK) {
            gw__session_fail(session, st, 0, "the broker sent a %s", err.text);
        }
        if (frame_len == 0) {
            break;
        }
        on_frame(session, &frame);
        used += frame_len;
        recycle_amqp_pool(&session->pool);
    }
    return used;
}

void gw__session_eof(gw__session *session)
{
    switch (session->state) {
    case GW__SESSION_LOGIN:
        /* How a broker that knows no authentication_failure_close refuses. */
        refuse_login(session);
        break;
    case GW__SESSION_CLOSING: session->state = GW__SESSION_CLOSED; break;
    default: gw__session_fail(session, GW_E_UNAVAILABLE, 0, "the broker closed the connection");
    }
}

/* ---- time ---------------------------------------------------------------- */

static const char *phase(const gw__session *session)
{
    switch (session->state) {
    case GW__SESSION_GREETED: return "the broker does not greet";
    case GW__SESSION_LOGIN: return "the broker does not answer the login";
    case GW__SESSION_OPENING: return "the broker does not open the virtual host";
    default: return "the broker does not say goodbye";
    }
}

static void tick_heartbeat(gw__session *session)
{
    if (session->heartbeat_ms == 0) {
        return;
    }
    uint64_t dead_at = session->last_in_ms + 2 * (uint64_t)session->heartbeat_ms;
    uint64_t beat_at = session->last_out_ms + session->heartbeat_ms / 2;
    if (session->now_ms >= dead_at) {
        gw__session_fail(session, GW_E_TIMEOUT, 0, "nothing heard of the broker for %u s",
                         2 * session->heartbeat_ms / 1000);
        return;
    }
    if (session->now_ms >= beat_at) {
        /* Behind unsent bytes it would be of no use; they are life enough when they go. */
        if (session->out.len == 0 && gw__wire_heartbeat(&session->out) != GW_OK) {
            gw__session_fail(session, GW_E_NOMEM, 0, "no memory for a heartbeat");
        }
        session->last_out_ms = session->now_ms;
        beat_at = session->now_ms + session->heartbeat_ms / 2;
    }
    gw__session_set_timer(session, dead_at < beat_at ? dead_at : beat_at);
}

void gw__session_tick(gw__session *session, uint64_t now_ns)
{
    set_time(session, now_ns);
    uint64_t now_ms = session->now_ms;
    if (now_ms < session->timer_ms || is_over(session)) {
        return;
    }
    session->timer_ms = UINT64_MAX;
    if (session->deadline_ms != 0) {
        if (now_ms >= session->deadline_ms) {
            gw__session_fail(session, GW_E_TIMEOUT, 0, "%s", phase(session));
            return;
        }
        gw__session_set_timer(session, session->deadline_ms);
    }
    for (size_t i = 1; i < session->n_slots; i++) {
        gw__channel *channel = session->channels[i];
        if (channel != NULL && channel->deadline_ms != 0) {
            if (now_ms >= channel->deadline_ms) {
                gw__channel_timeout(channel);
            } else {
                gw__session_set_timer(session, channel->deadline_ms);
            }
        }
    }
    tick_heartbeat(session);
}

void gw__session_sent(gw__session *session)
{
    session->last_out_ms = session->now_ms;
}
