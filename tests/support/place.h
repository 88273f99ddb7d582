/* SPDX-License-Identifier: MIT */
/* An empty place for a store: a directory (place_lmdb.c), or a schema of a database
 * (place_postgres.c), which GODWIT_TEST_POSTGRES_URL names. One at a time. */
#ifndef TESTS_SUPPORT_PLACE_H
#define TESTS_SUPPORT_PLACE_H

/* What stores are opened with, valid until place_remove(). */
const char *place_make(void);

void place_remove(void);

/* Of a database alone: run SQL in that schema, and return the first value of the last row; "" for
 * none. Static. */
const char *place_sql(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
