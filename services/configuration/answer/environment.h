/* SPDX-License-Identifier: MIT */
/*
 * Which files of a repository make up an application's configuration, and in which order. The rules
 * are Spring Boot's: all plain files lie below all profile-specific ones; the shared "application"
 * lies below the application; yaml below yml below properties; in a file, later documents lie above
 * earlier ones.
 */
#ifndef CS_ENVIRONMENT_H
#define CS_ENVIRONMENT_H

#include <godwit/buf.h>
#include <godwit/error.h>

#include "answer/request.h"
#include "files/document.h"

/* Where files come from: one commit, or a test's table. */
typedef struct cs_reader {
    /*
     * Append the file at `path` (relative, with '/') to `out`. GW_E_NOT_FOUND when there is none;
     * GW_E_LIMIT when it is larger than CS_FILE_BYTES_MAX; other failures as they come.
     */
    gw_status (*read)(void *ctx, const char *path, gw_buf *out, gw_error *err);
    void *ctx;
} cs_reader;

typedef struct cs_source {
    const cs_file *file;
    const cs_document *document;
    size_t number;         /* of the document in its file, from 0 */
    bool is_only_document; /* so its name needs no number */
} cs_source;

/* Immutable once loaded. */
typedef struct cs_environment {
    cs_source *sources; /* the highest precedence first */
    size_t n_sources;
    cs_file **files; /* owned */
    size_t n_files;
} cs_environment;

/*
 * Read and parse all files that the request's applications and profiles name.
 *
 * @return GW_OK, also when there is no file at all; GW_E_INVALID, GW_E_LIMIT, GW_E_DENIED or
 *         GW_E_UNSUPPORTED when a file is at fault, with its name and line; what the reader fails
 *         with.
 */
gw_status cs_environment_load(const cs_reader *reader, const cs_request *req,
                              cs_environment *ret_env, gw_error *err);

/* Accepts a zeroed struct. */
void cs_environment_dispose(cs_environment *env);

#endif
