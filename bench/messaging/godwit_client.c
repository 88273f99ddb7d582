/* SPDX-License-Identifier: MIT */
#include "godwit_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

/* A full outbox holds several confirm windows, so it does not run empty while its publisher sleeps;
 * looking more often would cost CPU time that is not the library's. */
#define FULL_WAIT_NS 5000000
#define FULL_MAX_NS  (60 * (uint64_t)1000000000)
#define BYTES_EACH   1024
#define BUS          "bus:"

static gw_outbox_level parse_level(const char *text)
{
    static const gw_outbox_level levels[] = {GW_OUTBOX_MEMORY, GW_OUTBOX_PROCESS, GW_OUTBOX_DISK};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(text, gw_outbox_level_name(levels[i])) == 0) {
            return levels[i];
        }
    }
    load_fail("-level %s: is memory, process or disk", text);
}

gw_client *godwit_connect(const load_options *options, size_t max_messages)
{
    gw_log_set_level(GW_LOG_ERROR); /* a broker that is away is part of the measurement */
    gw_client_options with = GW_CLIENT_OPTIONS_INIT;
    with.outbox_level = parse_level(options->level);
    with.outbox_dir = options->dir;
    with.queue_type = options->quorum ? GW_QUEUE_QUORUM : GW_QUEUE_CLASSIC;
    if (strncmp(options->url, BUS, strlen(BUS)) != 0) {
        with.outbox_max_messages = max_messages;
        with.outbox_max_bytes = max_messages * BYTES_EACH;
    }
    gw_client *client = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_connect(options->url, &with, &client, &err);
    if (st == GW_E_UNSUPPORTED) {
        fprintf(stderr, "%s\n", err.text);
        exit(LOAD_EXIT_CANNOT);
    }
    if (st != GW_OK) {
        load_fail("connect: %s", err.text);
    }
    return client;
}

void godwit_wait_up(gw_client *client, unsigned timeout_ms)
{
    gw_error err = GW_ERROR_INIT;
    if (gw_wait_up(client, timeout_ms, &err) != GW_OK) {
        load_fail("wait for the broker: %s", err.text);
    }
}

void godwit_flush(gw_client *client, unsigned timeout_ms)
{
    gw_error err = GW_ERROR_INIT;
    if (gw_flush(client, timeout_ms, &err) != GW_OK) {
        load_fail("flush: %s", err.text);
    }
}

void godwit_close(gw_client *client)
{
    gw_error err = GW_ERROR_INIT;
    if (gw_close(client, 10000, &err) != GW_OK) {
        load_fail("close: %s", err.text);
    }
}

/* The outbox was full at `since_ns` (0: now, which is noted there). */
static void wait_while_full(uint64_t *since_ns)
{
    uint64_t now_ns = load_now_ns();
    *since_ns = *since_ns == 0 ? now_ns : *since_ns;
    if (now_ns - *since_ns > FULL_MAX_NS) {
        load_fail("publish: there is no room since %llu s",
                  (unsigned long long)(FULL_MAX_NS / 1000000000));
    }
    load_sleep_until(now_ns + FULL_WAIT_NS);
}

static gw_message *new_message(const char body[LOAD_BODY_LEN])
{
    gw_message *msg = gw_message_new(body, LOAD_BODY_LEN);
    if (msg == NULL) {
        load_fail("no memory for a message");
    }
    return msg;
}

void godwit_publish(gw_client *client, const char *queue, const char body[LOAD_BODY_LEN])
{
    gw_error err = GW_ERROR_INIT;
    gw_message *msg = new_message(body);
    gw_status st;
    uint64_t full_since_ns = 0;
    while ((st = gw_publish_on_queue(client, queue, msg, &err)) == GW_E_FULL) {
        wait_while_full(&full_since_ns);
    }
    if (st != GW_OK) {
        load_fail("publish: %s", err.text);
    }
    gw_message_free(msg);
}

void godwit_publish_batch(gw_client *client, const char *queue, const char body[LOAD_BODY_LEN],
                          size_t n_msgs)
{
    gw_error err = GW_ERROR_INIT;
    gw_message *msgs[LOAD_BATCH_MAX];
    for (size_t i = 0; i < n_msgs; i++) {
        msgs[i] = new_message(body);
    }
    uint64_t full_since_ns = 0;
    size_t n_done = 0;
    while (n_done < n_msgs) {
        size_t n_accepted = 0;
        gw_status st = gw_publish_batch_on_queue(client, queue, msgs + n_done, n_msgs - n_done,
                                                 &n_accepted, &err);
        n_done += n_accepted;
        if (st == GW_E_FULL) {
            wait_while_full(&full_since_ns);
        } else if (st != GW_OK) {
            load_fail("publish: %s", err.text);
        }
    }
    for (size_t i = 0; i < n_msgs; i++) {
        gw_message_free(msgs[i]);
    }
}
