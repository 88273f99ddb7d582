/* SPDX-License-Identifier: MIT */
/*
 * Where the configuration of a service is: on one of several config servers, under one of several
 * labels; and one try to fetch it. Labels are tried one by one until one is there, for each of them
 * the servers, of which the one that answered last comes first. Shareable.
 */
#ifndef GW_CONFIG_LOADER_H
#define GW_CONFIG_LOADER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <godwit/config.h>

#include "config/environment.h"
#include "config/places.h"

#define GW__ETAG_MAX 127

typedef struct gw__loader {
    gw__places places;
    char *token_header;  /* "X-Config-Token: ..."; NULL for none */
    char *bearer_header; /* "Authorization: Bearer ..."; NULL for none, or when there are users */
    bool connection_failures_only;
    atomic_size_t preferred; /* the server that answered last */
} gw__loader;

/* What an answer said of itself, which the next call says back. */
typedef struct gw__known {
    char etag[GW__ETAG_MAX + 1];
    char state[GW__STATE_MAX + 1];
    unsigned wait_s; /* as long as the server lets a client wait for a change; 0: not at all */
} gw__known;

typedef struct gw__ask {
    unsigned connect_timeout_ms;
    unsigned timeout_ms;    /* of one call */
    uint64_t deadline_ms;   /* of all of them */
    int cancel_fd;          /* see gw_http_call */
    const gw__known *known; /* of the last answer; borrowed, may be NULL */
    bool if_changed;        /* the same again is not wanted: see gw__answer.unchanged */
    unsigned wait_s;        /* and wait so long for a change */
} gw__ask;

typedef struct gw__answer {
    bool unchanged; /* it is what is known; env and body are empty then */
    gw__environment env;
    gw__known known;
    gw_buf body; /* as the server sent it */
} gw__answer;

/* Accepts a zeroed one. */
void gw__answer_dispose(gw__answer *answer);

/* GW_E_INVALID for a URL that is none of a config server, or a missing app; GW_E_LIMIT for more
 * than 16 servers or labels; GW_E_NOMEM. To be disposed of in any case. */
gw_status gw__loader_init(gw__loader *loader, const gw_config_options *options, gw_error *err);
void gw__loader_dispose(gw__loader *loader);

/*
 * One try. `ret_again` is set on failure: whether the same can succeed soon, without anybody
 * mending something. The text of a failure begins with the URL, and names each that was asked.
 * GW_E_CLOSED when it was cancelled.
 */
gw_status gw__loader_fetch(gw__loader *loader, const gw__ask *ask, gw__answer *ret_answer,
                           bool *ret_again, gw_error *err);

#endif
