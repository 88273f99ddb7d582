/* SPDX-License-Identifier: MIT */
/* Where the broker is and as whom to speak to it: what an amqp:// URL says. */
#ifndef GW_AMQP_ENDPOINT_H
#define GW_AMQP_ENDPOINT_H

#include <godwit/error.h>
#include <godwit/url.h>

#define GW__AMQP_PORT    5672
#define GW__PASSWORD_MAX 1020 /* bytes */

/* Patience with a publisher confirm, unless the URL says otherwise. */
#define GW__CONFIRM_TIMEOUT_S 60

typedef struct gw__endpoint {
    gw_url url; /* owns the strings; its hosts have ports */
    const char *user;
    const char *password; /* never in a log or an error; not used with a password_file */
    char *password_file;  /* owned; read for every connection; NULL: none */
    const char *vhost;
    unsigned heartbeat_s;
    unsigned confirm_timeout_s;
} gw__endpoint;

/*
 * amqp://[user[:password]@]host[:port][,host...][/vhost]
 *        [?heartbeat=seconds&confirm_timeout=seconds&password_file=path].
 * Defaults: guest, guest, port 5672, vhost "/", `heartbeat_s` and 60 s. The file is not looked at
 * here: it may come later, as the broker may.
 *
 * @return GW_OK; GW_E_INVALID, GW_E_LIMIT; GW_E_UNSUPPORTED for amqps; GW_E_NOMEM.
 */
gw_status gw__endpoint_parse(const char *url, unsigned heartbeat_s, gw__endpoint *ret_endpoint,
                             gw_error *err);

void gw__endpoint_dispose(gw__endpoint *endpoint);

#endif
