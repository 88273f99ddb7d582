/* SPDX-License-Identifier: MIT */
/* One test's clients, names and inboxes, and their end. Also runs the suite. */
#include <stdio.h>
#include <time.h>

#include <godwit/clock.h>
#include <godwit/id.h>
#include <godwit/log.h>

#include "contract/inbox.h"

#define CLIENTS_MAX 8
#define INBOXES_MAX 16
#define NAMES_MAX   64

struct fixture {
    gw_client *clients[CLIENTS_MAX];
    inbox inboxes[INBOXES_MAX];
    size_t n_inboxes;
    char *queues[NAMES_MAX];
    size_t n_queues;
    char *exchanges[NAMES_MAX];
    size_t n_exchanges;
};

static const contract_transport *transport;

fixture *fixture_of(void **state)
{
    return *state;
}

const contract_transport *transport_of(fixture *fix)
{
    (void)fix;
    return transport;
}

int fixture_setup(void **state)
{
    *state = calloc(1, sizeof(fixture));
    return *state == NULL ? -1 : 0;
}

int fixture_teardown(void **state)
{
    fixture *fix = *state;
    for (size_t i = 0; i < fix->n_inboxes; i++) { /* a failed test may have left a handler in it */
        inbox_open_gate(&fix->inboxes[i]);
    }
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        (void)gw_close(fix->clients[i], 5000, NULL);
    }
    transport->remove((const char *const *)fix->queues, fix->n_queues,
                      (const char *const *)fix->exchanges, fix->n_exchanges);
    for (size_t i = 0; i < fix->n_inboxes; i++) {
        inbox_dispose(&fix->inboxes[i]);
    }
    for (size_t i = 0; i < fix->n_queues; i++) {
        free(fix->queues[i]);
    }
    for (size_t i = 0; i < fix->n_exchanges; i++) {
        free(fix->exchanges[i]);
    }
    free(fix);
    return 0;
}

/* ---- names ---------------------------------------------------------------------- */

static const char *keep_name(char **names, size_t *n_names, const char *name)
{
    assert_true(*n_names < NAMES_MAX);
    names[*n_names] = strdup(name);
    assert_non_null(names[*n_names]);
    return names[(*n_names)++];
}

static void unique_name(char *name, size_t size, const char *label)
{
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    snprintf(name, size, "contract.%s.%s", label, id);
}

const char *own_queue(fixture *fix, const char *name)
{
    const char *kept = keep_name(fix->queues, &fix->n_queues, name);
    char dead[300];
    snprintf(dead, sizeof(dead), "%s.dead", name);
    if (strlen(dead) <= 255) {
        (void)keep_name(fix->queues, &fix->n_queues, dead);
    }
    return kept;
}

void own_retries(fixture *fix, const char *queue, const gw_subscribe_options *options)
{
    uint64_t delay_ms = options->retry_delay_ms;
    for (unsigned attempt = 1; attempt < options->max_attempts; attempt++, delay_ms *= 2) {
        bool last = delay_ms >= options->retry_delay_max_ms;
        char name[300];
        snprintf(name, sizeof(name), "%s.retry.%u", queue,
                 last ? options->retry_delay_max_ms : (unsigned)delay_ms);
        (void)keep_name(fix->queues, &fix->n_queues, name);
        if (transport->make_retry_queue != NULL) {
            transport->make_retry_queue(name, queue,
                                        last ? options->retry_delay_max_ms : (unsigned)delay_ms);
        }
        if (last) {
            return;
        }
    }
}

const char *own_exchange(fixture *fix, const char *name)
{
    return keep_name(fix->exchanges, &fix->n_exchanges, name);
}

const char *new_queue(fixture *fix, const char *label)
{
    char name[256];
    unique_name(name, sizeof(name), label);
    return own_queue(fix, name);
}

const char *new_exchange(fixture *fix, const char *label)
{
    char name[256];
    unique_name(name, sizeof(name), label);
    return own_exchange(fix, name);
}

inbox *new_inbox(fixture *fix)
{
    assert_true(fix->n_inboxes < INBOXES_MAX);
    inbox *box = &fix->inboxes[fix->n_inboxes++];
    inbox_init(box);
    return box;
}

/* ---- clients ------------------------------------------------------------------------ */

gw_client *new_client_with(fixture *fix, const char *url, const gw_client_options *options)
{
    size_t i = 0;
    while (i < CLIENTS_MAX && fix->clients[i] != NULL) {
        i++;
    }
    assert_true(i < CLIENTS_MAX);
    gw_error err = GW_ERROR_INIT;
    if (gw_connect(url, options, &fix->clients[i], &err) != GW_OK) {
        fail_msg("gw_connect: %s", err.text);
    }
    return fix->clients[i];
}

gw_client *new_client(fixture *fix, const char *name)
{
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.name = name;
    gw_client *client = new_client_with(fix, transport->url, &options);
    wait_up(client);
    return client;
}

gw_client *forget_client(fixture *fix, gw_client *client)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (fix->clients[i] == client) {
            fix->clients[i] = NULL;
        }
    }
    return client;
}

gw_status close_client(fixture *fix, gw_client *client, unsigned timeout_ms, gw_error *err)
{
    return gw_close(forget_client(fix, client), timeout_ms, err);
}

void wait_up(gw_client *client)
{
    gw_error err = GW_ERROR_INIT;
    if (gw_wait_up(client, WAIT_MS, &err) != GW_OK) {
        fail_msg("gw_wait_up: %s", err.text);
    }
}

void wait_state(gw_client *client, gw_client_state state)
{
    uint64_t until = gw_clock_ms() + WAIT_MS;
    char reason[256];
    gw_client_state now;
    while ((now = gw_client_get_state(client, reason, sizeof(reason))) != state) {
        if (gw_clock_ms() > until) {
            fail_msg("the client is %s (%s), not %s", gw_client_state_name(now), reason,
                     gw_client_state_name(state));
        }
        struct timespec pause = {.tv_sec = 0, .tv_nsec = 2000000};
        nanosleep(&pause, NULL);
    }
}

gw_subscription *collect_queue(gw_client *client, const char *queue, inbox *box,
                               const gw_subscribe_options *options)
{
    gw_subscription *sub = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_subscribe_to_queue(client, queue, options, inbox_handler, box, &sub, &err) != GW_OK) {
        fail_msg("gw_subscribe_to_queue: %s", err.text);
    }
    wait_up(client);
    return sub;
}

gw_subscription *collect_exchange(gw_client *client, const char *exchange, gw_exchange_type type,
                                  const char *binding_key, inbox *box)
{
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.binding_key = binding_key;
    gw_subscription *sub = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_subscribe(client, exchange, type, &options, inbox_handler, box, &sub, &err) != GW_OK) {
        fail_msg("gw_subscribe: %s", err.text);
    }
    wait_up(client);
    return sub;
}

/* ---- publishing ----------------------------------------------------------------------- */

static gw_message *text_message(const char *text)
{
    gw_message *msg = gw_message_new(text, strlen(text));
    assert_non_null(msg);
    return msg;
}

void send_text(gw_client *client, const char *queue, const char *text)
{
    gw_message *msg = text_message(text);
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_publish_on_queue(client, queue, msg, &err);
    gw_message_free(msg);
    if (st != GW_OK) {
        fail_msg("gw_publish_on_queue '%s': %s", text, err.text);
    }
}

void send_number(gw_client *client, const char *queue, int number)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", number);
    send_text(client, queue, text);
}

void send_to_exchange(gw_client *client, const char *exchange, gw_exchange_type type,
                      const char *routing_key, const char *text)
{
    gw_message *msg = text_message(text);
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_message_set_routing_key(msg, routing_key);
    if (st == GW_OK) {
        st = gw_publish(client, exchange, type, msg, &err);
    }
    gw_message_free(msg);
    if (st != GW_OK) {
        fail_msg("gw_publish '%s': %s", text, err.text);
    }
}

void flush(gw_client *client)
{
    gw_error err = GW_ERROR_INIT;
    if (gw_flush(client, WAIT_MS, &err) != GW_OK) {
        fail_msg("gw_flush: %s", err.text);
    }
}

/* ---- running ------------------------------------------------------------------------------ */

int main(void)
{
    transport = contract_open();
    if (transport == NULL) {
        return 1;
    }
    gw_log_set_level(GW_LOG_OFF); /* rejected messages are what it tests */
    int n_failed = 0;
#define X(subject)                                                                                 \
    {                                                                                              \
        contract_group group = contract_##subject();                                               \
        n_failed += _cmocka_run_group_tests(#subject, group.tests, group.n_tests, NULL, NULL);     \
    }
    CONTRACT_SUBJECTS(X)
#undef X
    return n_failed == 0 ? 0 : 1;
}
