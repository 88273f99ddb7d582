/* SPDX-License-Identifier: MIT */
/*
 * The git hosts: by which headers each is known, and where its body says what was pushed where.
 */
#ifndef CS_PROVIDERS_H
#define CS_PROVIDERS_H

#include <jansson.h>

#include "branches.h"
#include "webhook.h"

/* The file that stands for all of them, where a host does not say which changed. */
#define CS_ANY_FILE "application.yml"

typedef struct cs_host {
    const char *name; /* "GitHub" */
    cs_provider provider;
    gw_status (*add_files)(cs_names *names, const json_t *body);
    void (*add_branches)(cs_branches *branches, const json_t *body);
} cs_host;

/* The host whose push this is; NULL when it is none, or of a host that is not known. Static. */
const cs_host *cs_host_of(const cs_webhook *hook, const json_t *body);

/* What the host says that has happened, "ping"; NULL when no header says it. Borrowed. */
const char *cs_event_of(const cs_webhook *hook);

/* Paths of a string, or of an array of strings; anything else is no path. */
gw_status cs_names_add_json(cs_names *names, const json_t *value);

/* The repository's URLs, as many as there is room for. */
gw_status cs_push_add_urls(cs_push *push, const json_t *body);

#endif
