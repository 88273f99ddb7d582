/* SPDX-License-Identifier: MIT */
/* What a server or libpq complains of, as a status and a text that holds no secret. */
#ifndef POSTGRES_PG_ERROR_H
#define POSTGRES_PG_ERROR_H

#include "postgres/pg_place.h"
#include "postgres/pq_library.h"

/* The status of a SQLSTATE; NULL and unknown ones are GW_E_IO. GW_E_BUSY: a deadlock or a conflict
 * of transactions, which the same call again can mend. GW_E_UNAVAILABLE: the server goes away. */
gw_status pg_error_status(const char *sqlstate);

/* "the database at 127.0.0.1:5432/shop: message", one line, the password blotted out wherever a
 * message may hold it. Returns `st`. */
gw_status pg_error_set(gw_error *err, gw_status st, const pg_place *place, const char *message);

/* The error of a result: its own message, without the detail, in which a server writes values. */
gw_status pg_error_of_result(gw_error *err, const pg_place *place, const pq_library *pq,
                             const PGresult *result);

#endif
