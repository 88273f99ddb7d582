/* SPDX-License-Identifier: MIT */
/*
 * libpq, loaded by the first store that is in PostgreSQL, and kept.
 *
 * Why not linked: libpq brings Kerberos, LDAP and OpenSSL with it, for which a service whose store
 * is in LMDB would pay at each start, and in memory; see docs/dependencies.md. The functions are
 * those of libpq 14 and later (pipeline mode).
 */
#ifndef POSTGRES_PQ_LIBRARY_H
#define POSTGRES_PQ_LIBRARY_H

#include <libpq-fe.h>

#include <godwit/error.h>

/* What is used of it; the members have the types of the functions of their names. */
typedef struct pq_library {
    __typeof__(PQconnectStartParams) *connect_start;
    __typeof__(PQconnectPoll) *connect_poll;
    __typeof__(PQstatus) *status;
    __typeof__(PQtransactionStatus) *transaction_status;
    __typeof__(PQsocket) *socket;
    __typeof__(PQerrorMessage) *error_message;
    __typeof__(PQparameterStatus) *parameter_status;
    __typeof__(PQfinish) *finish;
    __typeof__(PQsetnonblocking) *set_nonblocking;
    __typeof__(PQsetNoticeReceiver) *set_notice_receiver;
    __typeof__(PQenterPipelineMode) *enter_pipeline_mode;
    __typeof__(PQpipelineSync) *pipeline_sync;
    __typeof__(PQsendPrepare) *send_prepare;
    __typeof__(PQsendQueryParams) *send_query_params;
    __typeof__(PQsendQueryPrepared) *send_query_prepared;
    __typeof__(PQflush) *flush;
    __typeof__(PQconsumeInput) *consume_input;
    __typeof__(PQisBusy) *is_busy;
    __typeof__(PQgetResult) *get_result;
    __typeof__(PQclear) *clear;
    __typeof__(PQresultStatus) *result_status;
    __typeof__(PQresultErrorField) *result_error_field;
    __typeof__(PQntuples) *n_tuples;
    __typeof__(PQgetvalue) *get_value;
    __typeof__(PQcmdTuples) *cmd_tuples;
} pq_library;

/* Load it, once a process; any thread. GW_E_UNSUPPORTED when it is not installed, or too old. */
gw_status pq_library_load(const pq_library **ret_pq, gw_error *err);

#endif
