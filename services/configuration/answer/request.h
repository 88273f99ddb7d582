/* SPDX-License-Identifier: MIT */
/*
 * What a client may ask for. Names come from URLs and end up in paths of a repository, so they are
 * checked here, once, before and after "(_)" becomes '/'; nothing else in the program takes a name
 * that did not come through here.
 */
#ifndef CS_REQUEST_H
#define CS_REQUEST_H

#include <stdbool.h>

#include <godwit/error.h>

#include "files/bounds.h"

/* A checked request; all texts are normalised, that is, with '/' for "(_)". */
typedef struct cs_request {
    char name[CS_NAME_BYTES_MAX + 1];     /* applications, a comma list */
    char profiles[CS_NAME_BYTES_MAX + 1]; /* a comma list */
    char label[CS_NAME_BYTES_MAX + 1];    /* a comma list; "" without a label */
    bool has_label;                       /* false: the default label */
} cs_request;

/*
 * @param label may be NULL.
 * @return GW_OK; GW_E_INVALID with a text that says which part is wrong, and why.
 */
gw_status cs_request_init(cs_request *req, const char *name, const char *profiles,
                          const char *label, gw_error *err);

/*
 * Check the path of a file, "a/b.txt" or "a(_)b.txt", and put it down with '/' for "(_)".
 *
 * @return GW_OK; GW_E_INVALID.
 */
gw_status cs_path_init(char ret_path[CS_PATH_BYTES_MAX + 1], const char *text, gw_error *err);

/* Whether profiles look like a file name ("dev.yml"): those are not environments but the flat
 * formats' routes. */
bool cs_profiles_have_extension(const char *profiles);

#endif
