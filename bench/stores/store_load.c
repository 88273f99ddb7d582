/* SPDX-License-Identifier: MIT */
/*
 * How fast a store of the services is, without the services: reads of accounts, counts of VIP
 * reads.
 *
 *   store_load accounts WHERE THREADS SECONDS     prints reads a second
 *   store_load vips WHERE BATCH SECONDS           prints counts a second, of one thread
 *
 * WHERE is a directory or a URL, as in the keys account_store and vip_store.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/id.h>

#include "accounts/account_store.h"
#include "vip_store.h"

#define THREADS_MAX 64
#define N_ACCOUNTS  100

static uint64_t end_ns;

static void fail(const gw_error *err)
{
    fprintf(stderr, "store_load: %s\n", err->text);
    exit(1);
}

typedef struct reader {
    account_store *store;
    uint64_t n;
} reader;

static void *reader_main(void *ctx)
{
    reader *self = ctx;
    gw_error err = GW_ERROR_INIT;
    while (gw_clock_ns() < end_ns) {
        char id[16];
        account found;
        snprintf(id, sizeof(id), "%u", 10000 + (unsigned)(self->n++ % N_ACCOUNTS));
        if (account_store_get(self->store, id, &found, &err) != GW_OK) {
            fail(&err);
        }
    }
    return NULL;
}

static uint64_t read_accounts(const char *where, unsigned n_threads)
{
    account_store_options options = {
        .where = where, .seed = true, .max_connections = n_threads, .timeout_ms = 10000};
    account_store *store;
    gw_error err = GW_ERROR_INIT;
    if (account_store_open(&options, &store, &err) != GW_OK) {
        fail(&err);
    }
    reader readers[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    uint64_t n = 0;
    for (unsigned i = 0; i < n_threads; i++) {
        readers[i] = (reader){.store = store};
        if (pthread_create(&threads[i], NULL, reader_main, &readers[i]) != 0) {
            abort();
        }
    }
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
        n += readers[i].n;
    }
    account_store_close(store);
    return n;
}

static void ignore_state(void *ctx, const char *fault)
{
    (void)ctx;
    (void)fault;
}

static uint64_t count_vips(const char *where, unsigned batch_size)
{
    vip_store_options options = {.where = where,
                                 .max_seen = 1000000,
                                 .max_seen_age_s = 604800,
                                 .sync_each_commit = getenv("STORE_LOAD_SYNC") != NULL,
                                 .timeout_ms = 10000,
                                 .on_state = ignore_state}; /* forgets, as in the service */
    vip_store *store;
    gw_error err = GW_ERROR_INIT;
    if (vip_store_open(&options, &store, &err) != GW_OK) {
        fail(&err);
    }
    vip_batch *batch = vip_batch_new(store);
    uint64_t n = 0;
    while (gw_clock_ns() < end_ns) {
        for (unsigned i = 0; i < batch_size; i++, n++) {
            char id[GW_ID_LEN + 1];
            gw_id_new(id);
            if (vip_batch_count(batch, "10000", "2026-11-22T10:42:13.667108584Z", id, &err) !=
                GW_OK) {
                fail(&err);
            }
        }
        if (vip_batch_commit(batch, &err) != GW_OK) {
            fail(&err);
        }
    }
    vip_batch_free(batch);
    vip_store_close(store);
    return n;
}

int main(int argc, char **argv)
{
    unsigned number = argc == 5 ? (unsigned)atoi(argv[3]) : 0;
    unsigned seconds = argc == 5 ? (unsigned)atoi(argv[4]) : 0;
    if (number < 1 || number > THREADS_MAX || seconds < 1) {
        fprintf(stderr, "usage: store_load accounts|vips WHERE THREADS|BATCH SECONDS\n");
        return 2;
    }
    uint64_t start_ns = gw_clock_ns();
    end_ns = start_ns + seconds * GW_NS_PER_S;
    uint64_t n = strcmp(argv[1], "accounts") == 0 ? read_accounts(argv[2], number)
                                                  : count_vips(argv[2], number);
    printf("%.0f\n", (double)n * (double)GW_NS_PER_S / (double)(gw_clock_ns() - start_ns));
    return 0;
}
