/* SPDX-License-Identifier: MIT */
#include "postgres/pq_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libpq.so.5" /* the interface of <libpq-fe.h> since 2006 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for all below */
static bool is_loaded;
static pq_library pq;

/* NULL, or the name of the first one that is missing. */
static const char *find_functions(void *handle)
{
    const struct {
        const char *name;
        void *slot;
    } wanted[] = {
        {"PQconnectStartParams", &pq.connect_start},
        {"PQconnectPoll", &pq.connect_poll},
        {"PQstatus", &pq.status},
        {"PQtransactionStatus", &pq.transaction_status},
        {"PQsocket", &pq.socket},
        {"PQerrorMessage", &pq.error_message},
        {"PQparameterStatus", &pq.parameter_status},
        {"PQfinish", &pq.finish},
        {"PQsetnonblocking", &pq.set_nonblocking},
        {"PQsetNoticeReceiver", &pq.set_notice_receiver},
        {"PQenterPipelineMode", &pq.enter_pipeline_mode},
        {"PQpipelineSync", &pq.pipeline_sync},
        {"PQsendPrepare", &pq.send_prepare},
        {"PQsendQueryParams", &pq.send_query_params},
        {"PQsendQueryPrepared", &pq.send_query_prepared},
        {"PQflush", &pq.flush},
        {"PQconsumeInput", &pq.consume_input},
        {"PQisBusy", &pq.is_busy},
        {"PQgetResult", &pq.get_result},
        {"PQclear", &pq.clear},
        {"PQresultStatus", &pq.result_status},
        {"PQresultErrorField", &pq.result_error_field},
        {"PQntuples", &pq.n_tuples},
        {"PQgetvalue", &pq.get_value},
        {"PQcmdTuples", &pq.cmd_tuples},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        void *function = dlsym(handle, wanted[i].name);
        if (function == NULL) {
            return wanted[i].name;
        }
        memcpy(wanted[i].slot, &function, sizeof(function)); /* POSIX: a pointer holds both kinds */
    }
    return NULL;
}

static gw_status load_locked(gw_error *err)
{
    void *handle = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                            "a store in PostgreSQL needs libpq, which cannot be loaded (%s): "
                            "install it (in Debian the package libpq5)",
                            dlerror());
    }
    const char *missing = find_functions(handle);
    if (missing != NULL) {
        gw_error_set(err, GW_E_UNSUPPORTED, 0, LIBRARY " has no %s: libpq 14 or later is needed",
                     missing);
        dlclose(handle);
        return GW_E_UNSUPPORTED;
    }
    is_loaded = true;
    return GW_OK;
}

gw_status pq_library_load(const pq_library **ret_pq, gw_error *err)
{
    pthread_mutex_lock(&lock);
    gw_status st = is_loaded ? GW_OK : load_locked(err);
    pthread_mutex_unlock(&lock);
    if (st == GW_OK) {
        *ret_pq = &pq;
    }
    return st;
}
