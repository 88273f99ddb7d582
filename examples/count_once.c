/* SPDX-License-Identifier: MIT */
/* Count the messages of a queue in an LMDB store, each once, however often it is delivered. Several
 * of these can share a store.
 *
 *   count_once amqp://127.0.0.1:5672/ greetings data/count_once
 *   count_once bus:run/bus greetings data/count_once              on the embedded bus
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lmdb.h>

#include <godwit/duplicates.h>
#include <godwit/messaging.h>

typedef struct store {
    MDB_env *env;
    MDB_dbi counts;
    gw_duplicates *duplicates;
} store;

static gw_status fail(gw_error *err, int rc)
{
    return gw_error_set(err, GW_E_IO, rc, "the store: %s", mdb_strerror(rc));
}

static gw_status open_store(store *self, const char *dir, gw_error *err)
{
    int rc = mdb_env_create(&self->env);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(self->env, 1 + GW_DUPLICATES_N_DATABASES);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(self->env, (size_t)1 << 30);
    }
    if (rc == 0) {
        rc = mdb_env_open(self->env, dir, 0, 0600);
    }
    MDB_txn *txn = NULL;
    if (rc == 0) {
        rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "counts", MDB_CREATE, &self->counts);
    }
    gw_status st = rc == 0 ? GW_OK : fail(err, rc);
    if (st == GW_OK) {
        st = gw_duplicates_open(self->env, txn, NULL, &self->duplicates, err);
    }
    if (st != GW_OK) {
        mdb_txn_abort(txn);
        return st;
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 ? GW_OK : fail(err, rc);
}

static int add_one(store *self, MDB_txn *txn, unsigned long long *ret_n)
{
    char name[] = "messages";
    unsigned long long n = 0;
    MDB_val key = {.mv_size = strlen(name), .mv_data = name};
    MDB_val value;
    int rc = mdb_get(txn, self->counts, &key, &value);
    if (rc == 0 && value.mv_size == sizeof(n)) {
        memcpy(&n, value.mv_data, sizeof(n));
    } else if (rc != MDB_NOTFOUND) {
        return rc == 0 ? MDB_CORRUPTED : rc;
    }
    n++;
    value = (MDB_val){.mv_size = sizeof(n), .mv_data = &n};
    *ret_n = n;
    return mdb_put(txn, self->counts, &key, &value, 0);
}

static gw_verdict count_message(void *ctx, const gw_message *msg, gw_error *why)
{
    store *self = ctx;
    MDB_txn *txn;
    bool is_new = false;
    unsigned long long n = 0;
    int rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    if (rc != 0) {
        fail(why, rc);
        return GW_RETRY;
    }
    gw_status st = gw_duplicates_check(self->duplicates, txn, gw_message_id(msg), &is_new, why);
    if (st != GW_OK || !is_new) {
        mdb_txn_abort(txn);
        return st == GW_OK ? GW_DONE : st == GW_E_INVALID ? GW_REJECT : GW_RETRY;
    }
    rc = add_one(self, txn, &n);
    if (rc == 0) {
        rc = mdb_txn_commit(txn); /* the id and the count, or neither */
    } else {
        mdb_txn_abort(txn);
    }
    if (rc != 0) {
        fail(why, rc);
        return GW_RETRY;
    }
    printf("%llu\n", n);
    fflush(stdout);
    return GW_DONE;
}

static void print_state(void *ctx, gw_client_state state, const char *reason)
{
    (void)ctx;
    fprintf(stderr, "count_once: %s %s\n", gw_client_state_name(state), reason);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: count_once URL QUEUE DIRECTORY\n");
        return 2;
    }
    sigset_t ends; /* blocked before the client's threads are started */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    store self = {.env = NULL};
    gw_error err = GW_ERROR_INIT;
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    gw_subscribe_options subscribe = GW_SUBSCRIBE_OPTIONS_INIT;
    options.name = "count_once";
    options.on_state = print_state;
    subscribe.max_attempts = UINT_MAX; /* a store that fails is no fault of the message */
    gw_client *client = NULL;
    gw_status st = open_store(&self, argv[3], &err);
    if (st == GW_OK) {
        st = gw_connect(argv[1], &options, &client, &err);
    }
    if (st == GW_OK) {
        st = gw_subscribe_to_queue(client, argv[2], &subscribe, count_message, &self, NULL, &err);
    }
    if (st == GW_OK) {
        int signum;
        sigwait(&ends, &signum);
    }
    gw_status closed = gw_close(client, 5000, st == GW_OK ? &err : NULL);
    gw_duplicates_free(self.duplicates);
    mdb_env_close(self.env);
    if (st != GW_OK || closed != GW_OK) {
        fprintf(stderr, "count_once: %s\n", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
