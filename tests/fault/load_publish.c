/* SPDX-License-Identifier: MIT */
#include "load_publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "load_journal.h"

#define QUEUES_MAX      16
#define BATCH           64 /* published between two looks at the commands */
#define REFUSED_WAIT_MS 10
#define KEY_MAX         64

struct publisher {
    const load_options *options;
    int journal;
    char *names; /* of the queues, one after the other */
    const char *queues[QUEUES_MAX];
    size_t n_queues;
    char *body;
    unsigned next;
    bool paused;
    bool told_refused; /* of the next one */
    bool told_done;
    uint64_t start_ms; /* since when it publishes at the rate ... */
    unsigned n_since;  /* ... and how many it has */
};

publisher *publisher_new(const load_options *options, int journal)
{
    publisher *pub = calloc(1, sizeof(*pub));
    if (pub == NULL) {
        return NULL;
    }
    pub->options = options;
    pub->journal = journal;
    pub->next = options->first;
    pub->start_ms = gw_clock_ms();
    pub->names = strdup(options->queue);
    pub->body = malloc(options->size + KEY_MAX);
    if (pub->names == NULL || pub->body == NULL) {
        publisher_free(pub);
        return NULL;
    }
    char *rest = pub->names;
    char *name;
    while (pub->n_queues < QUEUES_MAX && (name = strsep(&rest, ",")) != NULL) {
        pub->queues[pub->n_queues++] = name;
    }
    return pub;
}

void publisher_free(publisher *pub)
{
    if (pub != NULL) {
        free(pub->names);
        free(pub->body);
        free(pub);
    }
}

void publisher_pause(publisher *pub, bool on)
{
    pub->paused = on;
    pub->start_ms = gw_clock_ms();
    pub->n_since = 0;
}

/* The next message's key, and its body: the key, a space and filling. */
static size_t fill_body(publisher *pub, char key[KEY_MAX])
{
    int len = snprintf(key, KEY_MAX, "%.40s-%u", pub->options->name, pub->next);
    size_t n = (size_t)len;
    memcpy(pub->body, key, n);
    pub->body[n++] = ' ';
    while (n < pub->options->size) {
        pub->body[n++] = 'x';
    }
    return n;
}

static void refused(publisher *pub, const char *key, gw_status st, const gw_error *err)
{
    if (!pub->told_refused || st == GW_E_IO) {
        journal_write(pub->journal, "R %s %s %s", key, gw_status_name(st), err->text);
    }
    if (pub->told_refused) {
        return;
    }
    pub->told_refused = true;
    printf("refused %s %s %s\n", key, gw_status_name(st), err->text);
    fflush(stdout);
}

static gw_status publish(const load_options *options, gw_client *client, const char *queue,
                         gw_message *msg, gw_error *err)
{
    if (options->exchange == NULL) {
        return gw_publish_on_queue(client, queue, msg, err);
    }
    if (gw_message_set_routing_key(msg, queue) != GW_OK) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a routing key");
    }
    return gw_publish(client, options->exchange, options->exchange_type, msg, err);
}

/* Returns whether it was accepted. */
static bool publish_next(publisher *pub, gw_client *client)
{
    char key[KEY_MAX];
    size_t len = fill_body(pub, key);
    const char *queue = pub->queues[pub->next % pub->n_queues];
    gw_error err = GW_ERROR_INIT;
    gw_message *msg = gw_message_new(pub->body, len);
    gw_status st = msg == NULL ? gw_error_set(&err, GW_E_NOMEM, 0, "no memory for a message")
                               : publish(pub->options, client, queue, msg, &err);
    if (st != GW_OK) {
        refused(pub, key, st, &err);
        gw_message_free(msg);
        pub->next += st == GW_E_IO; /* it may be sent all the same, with its id: never again */
        return false;
    }
    journal_write(pub->journal, "A %s %s %s", key, gw_message_id(msg), queue);
    gw_message_free(msg);
    if (pub->told_refused) {
        printf("accepted again %s\n", key);
        fflush(stdout);
    }
    pub->told_refused = false;
    pub->next++;
    pub->n_since++;
    return true;
}

/* How many should have been published since start_ms, and when the next one is due. */
static unsigned n_due(const publisher *pub, uint64_t now_ms, int *ret_wait_ms)
{
    unsigned rate = pub->options->rate;
    if (rate == 0) {
        *ret_wait_ms = 0;
        return UINT32_MAX;
    }
    uint64_t due = (now_ms - pub->start_ms) * rate / 1000 + 1;
    *ret_wait_ms = (int)(pub->start_ms + (due * 1000 + rate - 1) / rate - now_ms);
    return (unsigned)due;
}

int publisher_run(publisher *pub, gw_client *client)
{
    const load_options *options = pub->options;
    int wait_ms;
    unsigned due = n_due(pub, gw_clock_ms(), &wait_ms);
    for (int i = 0; i < BATCH && !pub->paused; i++) {
        if (options->count > 0 && pub->next - options->first >= options->count) {
            if (!pub->told_done) {
                printf("done %u\n", pub->next - 1);
                fflush(stdout);
            }
            pub->told_done = true;
            return -1;
        }
        if (pub->n_since >= due) {
            return wait_ms;
        }
        if (!publish_next(pub, client)) {
            return REFUSED_WAIT_MS;
        }
    }
    return pub->paused ? -1 : 0;
}
