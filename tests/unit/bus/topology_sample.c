/* SPDX-License-Identifier: MIT */
#include "topology_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static gw_status make_log(void *ctx, uint32_t *ret_log, uint64_t *ret_serial, gw_error *err)
{
    log_counter *counter = ctx;
    if (counter->status != GW_OK) {
        return gw_error_set(err, counter->status, 0, "no log for you");
    }
    *ret_log = counter->n_made;
    *ret_serial = 1000 + counter->n_made;
    counter->n_made++;
    return GW_OK;
}

static void undo_log(void *ctx, uint32_t log, uint64_t serial)
{
    log_counter *counter = ctx;
    assert_int_equal(log, counter->n_made - 1);
    assert_int_equal(serial, 1000 + log);
    counter->n_undone++;
}

gw__log_maker counting_maker(log_counter *counter)
{
    return (gw__log_maker){.make = make_log, .undo = undo_log, .ctx = counter};
}

void count_gone(void *ctx, const gw__log_row *log)
{
    assert_int_equal(log->serial, 1000 + log->log);
    ((log_counter *)ctx)->n_gone++;
}

gw__definitions *open_definitions(const char *dir)
{
    gw__definitions *defs = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw__definitions_open(dir, 0700, 0600, false, &defs, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return defs;
}

gw__queue_row a_queue(const char *name)
{
    gw__queue_row row = {.type = GW_QUEUE_CLASSIC};
    snprintf(row.name, sizeof(row.name), "%s", name);
    return row;
}

gw__queue_row a_temporary_queue(const char *name, uint32_t member, uint64_t generation)
{
    gw__queue_row row = a_queue(name);
    row.temporary = true;
    row.member = member;
    row.member_generation = generation;
    return row;
}

gw__binding_row a_binding(const char *exchange, const char *queue, const char *key)
{
    gw__binding_row row = {.match_any = false};
    snprintf(row.exchange, sizeof(row.exchange), "%s", exchange);
    snprintf(row.queue, sizeof(row.queue), "%s", queue);
    snprintf(row.key, sizeof(row.key), "%s", key);
    return row;
}

static void need(gw_status st, const gw_error *err)
{
    if (st != GW_OK) {
        fail_msg("%s: %s", gw_status_name(st), err->text);
    }
}

void declare_queue(gw__definitions *defs, log_counter *counter, const char *name)
{
    gw_error err = GW_ERROR_INIT;
    gw__queue_row row = a_queue(name);
    gw__log_maker maker = counting_maker(counter);
    need(gw__definitions_queue(defs, &row, &maker, &err), &err);
}

void declare_exchange(gw__definitions *defs, const char *name, gw_exchange_type type)
{
    gw_error err = GW_ERROR_INIT;
    need(gw__definitions_exchange(defs, name, type, &err), &err);
}

void bind_key(gw__definitions *defs, const char *exchange, const char *queue, const char *key)
{
    gw_error err = GW_ERROR_INIT;
    gw__binding_row row = a_binding(exchange, queue, key);
    need(gw__definitions_bind(defs, &row, &err), &err);
}

const gw__topology *get_topology(gw__definitions *defs)
{
    const gw__topology *topology = NULL;
    gw_error err = GW_ERROR_INIT;
    need(gw__topology_get(defs, &topology, &err), &err);
    return topology;
}

const char *route(gw__definitions *defs, const char *exchange, const char *key,
                  const gw_message *msg)
{
    static char text[1024];
    const gw__queue_row *queues[8];
    const gw__topology *topology = get_topology(defs);
    const gw__exchange_row *from = gw__topology_exchange(topology, exchange);
    assert_non_null(from);
    size_t n = gw__topology_route(topology, from, key, msg, queues, 8);
    assert_in_range(n, 0, 8);
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s ", queues[i]->name);
    }
    gw__topology_put(topology);
    return text;
}
