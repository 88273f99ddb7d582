/* SPDX-License-Identifier: MIT */
/* The configuration keys of the chassis, bound to a struct; with those of the program they are the
 * table from which `--keys` and docs/configuration.md are made. */
#ifndef GW_SERVICE_KEYS_H
#define GW_SERVICE_KEYS_H

#include <stdio.h>

#include <godwit/log.h>
#include <godwit/service.h>

#define GW__KEYS_MAX 20

/* Who may ask for the configuration over HTTP. */
typedef enum gw__endpoint_access {
    GW__ENDPOINT_OFF,
    GW__ENDPOINT_ON,
    GW__ENDPOINT_LOOPBACK
} gw__endpoint_access;

/* What the chassis is told by the configuration. */
typedef struct gw__chassis {
    uint16_t port;
    const char *address;
    const char *name;
    bool access_log;
    gw__endpoint_access config_endpoint;

    const char *amqp_url;
    const char *amqp_password;
    const char *event_bus;
    bool config_ack;
    gw_queue_type queue_type;
    gw_outbox_level outbox_level;
    const char *outbox_dir;
    int64_t outbox_max_messages;
    uint64_t outbox_max_bytes;

    gw_log_level log_level;
    int log_format; /* 0 is text, 1 is json */
    uint64_t shutdown_timeout_ms;
} gw__chassis;

/* The rows of a program's gw__chassis. Does not move: rows point into it. */
typedef struct gw__keys {
    const gw_service_spec *spec;
    gw_setting rows[GW__KEYS_MAX];
    size_t n_rows;
    size_t n_http;   /* of them, first; then ... */
    size_t n_broker; /* ... and at last those that every program has */
    char port[8];
} gw__keys;

void gw__keys_init(gw__keys *keys, const gw_service_spec *spec);

/* The rows that are about the log and the end, which are known before the configuration is. */
const gw_setting *gw__keys_common(const gw__keys *keys, size_t *ret_n);

/* Call `see` for each row of the chassis that applies to the program and each of its own, in the
 * order of the table. */
void gw__keys_each(const gw__keys *keys,
                   void (*see)(void *ctx, const gw_setting *row, bool is_programs), void *ctx);

/* Print them as a Markdown table. */
void gw__keys_print(const gw__keys *keys, FILE *out);

#endif
