/* SPDX-License-Identifier: MIT */
/* The AMQP transport against a real broker, which GODWIT_TEST_AMQP_URL names. Cleans up through a
 * plain connection of librabbitmq, so that a fault of ours cannot hide itself. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

#include <godwit/url.h>

#include "contract/contract.h"

#define DEFAULT_PORT 5672

static gw_url broker;
static char dead_url[64];

static bool is_ok(amqp_rpc_reply_t reply)
{
    return reply.reply_type == AMQP_RESPONSE_NORMAL;
}

/* A connection with its channel 1 open; NULL with the reason printed. */
static amqp_connection_state_t open_plain(void)
{
    amqp_connection_state_t conn = amqp_new_connection();
    amqp_socket_t *socket = conn == NULL ? NULL : amqp_tcp_socket_new(conn);
    int port = broker.hosts[0].port == 0 ? DEFAULT_PORT : broker.hosts[0].port;
    const char *vhost = broker.path == NULL || broker.path[1] == '\0' ? "/" : broker.path + 1;
    struct timeval timeout = {.tv_sec = 10};
    if (socket == NULL ||
        amqp_socket_open_noblock(socket, broker.hosts[0].name, port, &timeout) != AMQP_STATUS_OK) {
        fprintf(stderr, "no broker answers at %s:%d\n", broker.hosts[0].name, port);
    } else if (!is_ok(amqp_login(conn, vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, broker.user,
                                 broker.password))) {
        fprintf(stderr, "the broker at %s:%d refuses user %s on vhost %s\n", broker.hosts[0].name,
                port, broker.user, vhost);
    } else if (amqp_channel_open(conn, 1) != NULL) {
        return conn;
    }
    if (conn != NULL) {
        amqp_destroy_connection(conn);
    }
    return NULL;
}

static void remove_all(const char *const *queues, size_t n_queues, const char *const *exchanges,
                       size_t n_exchanges)
{
    if (n_queues + n_exchanges == 0) {
        return;
    }
    amqp_connection_state_t conn = open_plain();
    if (conn == NULL) {
        print_error("nothing was removed from the broker\n");
        return;
    }
    /* RabbitMQ answers that it deleted what does not exist. */
    for (size_t i = 0; i < n_queues; i++) {
        amqp_queue_delete(conn, 1, amqp_cstring_bytes(queues[i]), 0, 0);
    }
    for (size_t i = 0; i < n_exchanges; i++) {
        amqp_exchange_delete(conn, 1, amqp_cstring_bytes(exchanges[i]), 0);
    }
    if (!is_ok(amqp_get_rpc_reply(conn))) {
        print_error("removing from the broker failed\n");
    }
    amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(conn);
}

static amqp_table_entry_t text_argument(const char *key, const char *text)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
}

static void make_retry_queue(const char *name, const char *queue, unsigned delay_ms)
{
    amqp_table_entry_t entries[] = {
        text_argument("x-queue-type", "quorum"),
        text_argument("x-dead-letter-exchange", ""),
        text_argument("x-dead-letter-routing-key", queue),
        text_argument("x-dead-letter-strategy", "at-least-once"),
        text_argument("x-overflow", "reject-publish"),
        {.key = amqp_cstring_bytes("x-message-ttl"),
         .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = delay_ms}}};
    const amqp_table_t arguments = {.num_entries = 6, .entries = entries};
    amqp_connection_state_t conn = open_plain();
    assert_non_null(conn);
    amqp_queue_declare(conn, 1, amqp_cstring_bytes(name), 0, 1, 0, 0, arguments);
    assert_true(is_ok(amqp_get_rpc_reply(conn)));
    amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(conn);
}

/* A port of ours on which nobody listens, for as long as this process lives. */
static bool reserve_dead_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        perror("a port of our own");
        return false;
    }
    snprintf(dead_url, sizeof(dead_url), "amqp://guest:guest@127.0.0.1:%u",
             (unsigned)ntohs(addr.sin_port));
    return true;
}

const contract_transport *contract_open(void)
{
    static contract_transport amqp = {.name = "amqp",
                                      .full_url = dead_url,
                                      .unsigned_long = false,
                                      .remove = remove_all,
                                      .make_retry_queue = make_retry_queue};
    amqp.url = getenv("GODWIT_TEST_AMQP_URL");
    if (amqp.url == NULL || amqp.url[0] == '\0') {
        fprintf(stderr, "GODWIT_TEST_AMQP_URL is not set: this suite needs a RabbitMQ, such as one "
                        "that script/rabbitmq starts, as amqp://guest:guest@127.0.0.1:5672\n");
        return NULL;
    }
    gw_error err = GW_ERROR_INIT;
    if (gw_url_parse(amqp.url, &broker, &err) != GW_OK) {
        fprintf(stderr, "GODWIT_TEST_AMQP_URL: %s\n", err.text);
        return NULL;
    }
    if (broker.user == NULL || broker.password == NULL) {
        fprintf(stderr, "GODWIT_TEST_AMQP_URL needs user and password\n");
        return NULL;
    }
    amqp.user = broker.user;
    amqp_connection_state_t conn = open_plain();
    if (conn == NULL || !reserve_dead_port()) {
        return NULL;
    }
    amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(conn);
    return &amqp;
}
