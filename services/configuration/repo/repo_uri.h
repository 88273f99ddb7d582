/* SPDX-License-Identifier: MIT */
/*
 * The URIs of repositories as text: with {application}, {profile} and {label} in them, without
 * secrets, and in one spelling, to find out whether two mean the same. What a URI means is the
 * backend's business.
 */
#ifndef CS_REPO_URI_H
#define CS_REPO_URI_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <godwit/error.h>

/* Whether it stands for several repositories. */
bool cs_repo_uri_is_template(const char *uri);

/* GW_E_INVALID when a client would choose more than a part of the path: the scheme, the user, the
 * host or the beginning of a path. */
gw_status cs_repo_uri_check(const char *uri, gw_error *err);

/* What a text with placeholders is about; single names. */
typedef struct cs_names {
    const char *application;
    const char *profile;
    const char *label;
} cs_names;

/* Append `text` with its placeholders replaced. False when a name is not one that may be part of a
 * path: then nothing that was appended is of use. */
bool cs_repo_uri_expand(const char *text, const cs_names *names, gw_buf *out);

/* Append it without user and password. */
void cs_repo_uri_public(const char *uri, gw_buf *out);

/* Append "host/path", the same for https://user@Host/a/b.git, ssh://git@host:22/a/b and
 * git@host:a/b.git; "/path" for local ones. */
void cs_repo_uri_key(const char *uri, gw_buf *out);

#endif
