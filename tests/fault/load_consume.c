/* SPDX-License-Identifier: MIT */
#include "load_consume.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load_journal.h"

#define KEY_MAX 64
#define POISON  "poison"

static void sleep_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {}
}

/* The number in "<publisher>-<number>"; 0 without one. */
static unsigned number_of(const char *key)
{
    const char *dash = strrchr(key, '-');
    return dash != NULL ? (unsigned)strtoul(dash + 1, NULL, 10) : 0;
}

/* Whether all behind the key is the filling that the publisher put there. */
static bool is_whole(const char *body, size_t len, size_t key_len)
{
    if (len < key_len + 1 || body[key_len] != ' ') {
        return false;
    }
    for (size_t i = key_len + 1; i < len; i++) {
        if (body[i] != 'x') {
            return false;
        }
    }
    return true;
}

/* Whether the flags about how to behave concern this message. */
static bool is_chosen(const load_options *options, const char *key)
{
    return options->every <= 1 || number_of(key) % options->every == 0;
}

static char verdict_of(const load_options *options, const char *key, unsigned attempt)
{
    if (strncmp(key, POISON, strlen(POISON)) == 0) {
        return 'C';
    }
    if (!is_chosen(options, key)) {
        return 'D';
    }
    if (options->rejects) {
        return 'J';
    }
    return attempt <= options->fail_first ? 'T' : 'D';
}

static gw_verdict handle(void *ctx, const gw_message *msg, gw_error *why)
{
    consumer *con = ctx;
    size_t len;
    const char *body = gw_message_body(msg, &len);
    char key[KEY_MAX];
    journal_key(body, len, key, sizeof(key));
    const char *id = gw_message_id(msg);
    unsigned attempt = gw_message_attempt(msg);
    char verdict = verdict_of(con->options, key, attempt);
    if (!is_whole(body, len, strlen(key)) && verdict != 'C') {
        journal_write(con->journal, "B %s %zu", key, len);
    }
    if (is_chosen(con->options, key)) {
        sleep_ms(con->options->slow_ms);
    }
    journal_write(con->journal, "H %s %s %d %u %lld %c %d %s", key, id != NULL ? id : "-",
                  gw_message_is_redelivered(msg), attempt,
                  (long long)gw_message_header_int(msg, "x-godwit-attempt", 0), verdict, gettid(),
                  gw_message_queue(msg));
    switch (verdict) {
    case 'C': abort();
    case 'T': gw_error_set(why, GW_E_IO, 0, "fails as it was told"); return GW_RETRY;
    case 'J': gw_error_set(why, GW_E_INVALID, 0, "rejects as it was told"); return GW_REJECT;
    default: return GW_DONE;
    }
}

gw_status consumer_subscribe(consumer *con, gw_client *client, gw_error *err)
{
    if (con->sub != NULL) {
        return GW_OK;
    }
    const load_options *options = con->options;
    if (options->exchange == NULL) {
        return gw_subscribe_to_queue(client, options->queue, &options->subscription, handle, con,
                                     &con->sub, err);
    }
    gw_subscribe_options bound = options->subscription;
    bound.binding_key = options->queue;
    return gw_subscribe(client, options->exchange, options->exchange_type, &bound, handle, con,
                        &con->sub, err);
}

void consumer_unsubscribe(consumer *con)
{
    gw_unsubscribe(con->sub);
    con->sub = NULL;
}
