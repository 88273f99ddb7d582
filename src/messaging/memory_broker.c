/* SPDX-License-Identifier: MIT */
#include "messaging/memory_broker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "base/cond.h"
#include "messaging/headers_match.h"
#include "messaging/topic.h"

#define SCHEME "memory:"

typedef struct binding {
    struct binding *next;
    gw__queue *queue;
    char *key;
    gw_message *headers; /* that it wants, as its own; NULL for none */
    bool match_any;
} binding;

typedef struct gw__exchange {
    struct gw__exchange *next;
    char *name;
    gw_exchange_type type;
    binding *bindings;
} gw__exchange;

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static gw__broker *registry;

/* ---- URLs ------------------------------------------------------------------ */

static gw_status bad_url(gw_error *err, const char *why)
{
    return gw_error_set(err, GW_E_INVALID, 0, "%s: the form is %sNAME", why, SCHEME);
}

static gw_status parse_limit(const char *text, size_t len, gw__broker_limits *limits, gw_error *err)
{
    static const struct {
        const char *name;
        size_t offset;
    } known[] = {{"max_messages=", offsetof(gw__broker_limits, max_messages)},
                 {"max_bytes=", offsetof(gw__broker_limits, max_bytes)}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t name_len = strlen(known[i].name);
        if (len <= name_len || strncmp(text, known[i].name, name_len) != 0) {
            continue;
        }
        const char *digits = text + name_len;
        size_t n_digits = len - name_len;
        if (n_digits > 12 || strspn(digits, "0123456789") < n_digits) {
            break;
        }
        size_t value = (size_t)strtoull(digits, NULL, 10);
        memcpy((char *)limits + known[i].offset, &value, sizeof(value));
        return GW_OK;
    }
    return bad_url(err, "unknown limit in the URL");
}

gw_status gw__broker_parse_url(const char *url, char ret_name[GW__BROKER_NAME_MAX + 1],
                               gw__broker_limits *ret_limits, gw_error *err)
{
    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0) {
        return bad_url(err, "not a URL of an in-memory broker");
    }
    const char *name = url + strlen(SCHEME);
    size_t len = strcspn(name, "?");
    if (len == 0 || len > GW__BROKER_NAME_MAX) {
        return bad_url(err, "an in-memory broker needs a name of 1 to 255 bytes");
    }
    gw__broker_limits limits = {.max_messages = GW__BROKER_MAX_MESSAGES,
                                .max_bytes = GW__BROKER_MAX_BYTES};
    const char *at = name + len;
    while (*at != '\0') {
        at++; /* '?' or '&' */
        size_t limit_len = strcspn(at, "&");
        gw_status st = parse_limit(at, limit_len, &limits, err);
        if (st != GW_OK) {
            return st;
        }
        at += limit_len;
    }
    memcpy(ret_name, name, len);
    ret_name[len] = '\0';
    *ret_limits = limits;
    return GW_OK;
}

/* ---- exchanges and bindings --------------------------------------------------- */

static gw__exchange *find_exchange(gw__broker *broker, const char *name)
{
    gw__exchange *exchange = broker->exchanges;
    while (exchange != NULL && strcmp(exchange->name, name) != 0) {
        exchange = exchange->next;
    }
    return exchange;
}

static gw__exchange *add_exchange(gw__broker *broker, const char *name, gw_exchange_type type)
{
    gw__exchange *exchange = calloc(1, sizeof(*exchange));
    char *copy = strdup(name);
    if (exchange == NULL || copy == NULL) {
        free(exchange);
        free(copy);
        return NULL;
    }
    exchange->name = copy;
    exchange->type = type;
    exchange->next = broker->exchanges;
    broker->exchanges = exchange;
    broker->n_exchanges++;
    return exchange;
}

static gw_status too_many(const gw__broker *broker, const char *what, gw_error *err)
{
    return gw_error_set(err, GW_E_LIMIT, 0, "in-memory broker '%s' holds %zu %s already",
                        broker->name, GW__BROKER_MAX_OBJECTS, what);
}

static gw_status declare_exchange(gw__broker *broker, const char *name, gw_exchange_type type,
                                  gw__exchange **ret_exchange, gw_error *err)
{
    gw__exchange *exchange = find_exchange(broker, name);
    if (exchange == NULL) {
        if (strncmp(name, "amq.", 4) == 0) {
            return gw_error_set(err, GW_E_DENIED, 0,
                                "exchange '%s': names that start with 'amq.' are the broker's",
                                name);
        }
        if (broker->n_exchanges >= GW__BROKER_MAX_OBJECTS) {
            return too_many(broker, "exchanges", err);
        }
        exchange = add_exchange(broker, name, type);
    } else if (exchange->type != type) {
        return gw_error_set(err, GW_E_EXISTS, 0, "exchange '%s' exists and is of type %s, not %s",
                            name, gw_exchange_type_name(exchange->type),
                            gw_exchange_type_name(type));
    }
    if (exchange == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "exchange '%s': out of memory", name);
    }
    *ret_exchange = exchange;
    return GW_OK;
}

gw__queue *gw__broker_queue_locked(gw__broker *broker, const char *name)
{
    gw__queue *queue = broker->queues;
    while (queue != NULL && strcmp(queue->name, name) != 0) {
        queue = queue->next;
    }
    return queue;
}

static gw_status declare_queue(gw__broker *broker, const char *name, bool temporary,
                               gw_queue_type type, gw__queue **ret_queue, gw_error *err)
{
    gw__queue *queue = gw__broker_queue_locked(broker, name);
    if (queue != NULL) {
        if (queue->temporary != temporary || queue->type != type) {
            return gw_error_set(err, GW_E_EXISTS, 0,
                                "queue '%s' exists and is of another type or durability", name);
        }
        *ret_queue = queue;
        return GW_OK;
    }
    if (strncmp(name, "amq.", 4) == 0) {
        return gw_error_set(err, GW_E_DENIED, 0,
                            "queue '%s': names that start with 'amq.' are the broker's", name);
    }
    if (broker->n_queues >= GW__BROKER_MAX_OBJECTS) {
        return too_many(broker, "queues", err);
    }
    queue = gw__queue_new(name, temporary, type, &broker->load);
    if (queue == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", name);
    }
    queue->next = broker->queues;
    broker->queues = queue;
    broker->n_queues++;
    *ret_queue = queue;
    return GW_OK;
}

static void free_binding(binding *bound)
{
    if (bound != NULL) {
        gw_message_free(bound->headers);
        free(bound->key);
        free(bound);
    }
}

/* NULL when out of memory, or when the spec's headers are not valid. */
static binding *new_binding(gw__queue *queue, const gw__consumer_spec *spec, gw_error *err)
{
    binding *bound = calloc(1, sizeof(*bound));
    char *key = strdup(spec->binding_key);
    if (bound == NULL || key == NULL) {
        free(bound);
        free(key);
        gw_error_set(err, GW_E_NOMEM, 0, "binding of queue '%s': out of memory", queue->name);
        return NULL;
    }
    bound->queue = queue;
    bound->key = key;
    bound->match_any = spec->match_any;
    if (spec->n_binding_headers > 0 &&
        gw__headers_copy(spec->binding_headers, spec->n_binding_headers, &bound->headers, err) !=
            GW_OK) {
        free_binding(bound);
        return NULL;
    }
    return bound;
}

static gw_status bind_queue(gw__broker *broker, gw__exchange *exchange, gw__queue *queue,
                            const gw__consumer_spec *spec, gw_error *err)
{
    for (binding *it = exchange->bindings; it != NULL; it = it->next) {
        if (it->queue == queue && it->headers == NULL && spec->n_binding_headers == 0 &&
            strcmp(it->key, spec->binding_key) == 0) {
            return GW_OK;
        }
    }
    if (broker->n_bindings >= GW__BROKER_MAX_OBJECTS) {
        return too_many(broker, "bindings", err);
    }
    binding *bound = new_binding(queue, spec, err);
    if (bound == NULL) {
        return err->status;
    }
    bound->next = exchange->bindings;
    exchange->bindings = bound;
    broker->n_bindings++;
    return GW_OK;
}

gw_status gw__broker_declare_locked(gw__broker *broker, const gw__consumer_spec *spec,
                                    gw__queue **ret_queue, gw_error *err)
{
    gw__exchange *exchange = NULL;
    gw__queue *queue;
    gw_status st = GW_OK;
    if (spec->passive) {
        queue = gw__broker_queue_locked(broker, spec->queue);
        if (queue == NULL) {
            return gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%s': there is none", spec->queue);
        }
        *ret_queue = queue;
        return GW_OK;
    }
    if (spec->exchange != NULL) { /* first: when it is of another type, no queue is left behind */
        st = declare_exchange(broker, spec->exchange, spec->exchange_type, &exchange, err);
    }
    if (st == GW_OK) {
        st = declare_queue(broker, spec->queue, spec->temporary, spec->queue_type, &queue, err);
    }
    if (st == GW_OK && exchange != NULL) {
        st = bind_queue(broker, exchange, queue, spec, err);
    }
    if (st == GW_OK) {
        *ret_queue = queue;
    }
    return st;
}

static void unbind_queue(gw__broker *broker, gw__exchange *exchange, const gw__queue *queue)
{
    binding **link = &exchange->bindings;
    while (*link != NULL) {
        binding *it = *link;
        if (it->queue != queue) {
            link = &it->next;
            continue;
        }
        *link = it->next;
        free_binding(it);
        broker->n_bindings--;
    }
}

void gw__broker_delete_queue_locked(gw__broker *broker, gw__queue *queue)
{
    for (gw__exchange *it = broker->exchanges; it != NULL; it = it->next) {
        unbind_queue(broker, it, queue);
    }
    gw__queue **link = &broker->queues;
    while (*link != queue) {
        link = &(*link)->next;
    }
    *link = queue->next;
    broker->n_queues--;
    gw__queue_free(queue);
}

/* ---- publishing ----------------------------------------------------------------- */

static bool headers_match(const binding *bound, const gw_message *msg)
{
    return bound->headers == NULL ||
           gw__headers_match(gw_message_header_at(bound->headers, 0),
                             gw_message_n_headers(bound->headers), bound->match_any, msg);
}

static bool binding_takes(const gw__exchange *exchange, const binding *bound,
                          const gw__outgoing *item)
{
    switch (exchange->type) {
    case GW_EXCHANGE_DIRECT: return strcmp(bound->key, item->routing_key) == 0;
    case GW_EXCHANGE_TOPIC: return gw__topic_matches(bound->key, item->routing_key);
    case GW_EXCHANGE_FANOUT: return true;
    case GW_EXCHANGE_HEADERS: return headers_match(bound, item->msg);
    }
    return false;
}

/* Mark the queues that take the message, each once, and count them: a full broker must refuse
 * before anything is stored. */
static size_t mark_bound(gw__broker *broker, const gw__exchange *exchange, const gw__outgoing *item)
{
    size_t n = 0;
    for (const binding *it = exchange->bindings; it != NULL; it = it->next) {
        if (it->queue->last_publish != broker->n_published && binding_takes(exchange, it, item)) {
            it->queue->last_publish = broker->n_published;
            n++;
        }
    }
    return n;
}

/* Declare the target, and mark and count the queues that the message goes to. */
static gw_status mark_targets(gw__broker *broker, const gw__outgoing *item, size_t *ret_n,
                              gw_error *err)
{
    const gw__target *target = item->target;
    broker->n_published++;
    if (target->exchange[0] != '\0') {
        gw__exchange *exchange;
        gw_status st = declare_exchange(broker, target->exchange, target->type, &exchange, err);
        *ret_n = st == GW_OK ? mark_bound(broker, exchange, item) : 0;
        return st;
    }
    gw__queue *queue = NULL;
    gw_status st = GW_OK;
    if (target->queue != NULL) {
        st = declare_queue(broker, target->queue, false, target->queue_type, &queue, err);
    } else { /* the default exchange: the key is the name of a queue, if there is one */
        queue = gw__broker_queue_locked(broker, item->routing_key);
    }
    *ret_n = queue == NULL ? 0 : 1;
    if (queue != NULL) {
        queue->last_publish = broker->n_published;
    }
    return st;
}

static bool has_room(const gw__broker *broker, size_t n_copies, size_t size)
{
    return n_copies <= broker->limits.max_messages - broker->load.n_messages &&
           size <= (broker->limits.max_bytes - broker->load.n_bytes) / n_copies;
}

static bool put_one(gw__broker *broker, gw__queue *queue, gw__stored *stored, unsigned delay_ms)
{
    if (delay_ms == 0) {
        return gw__queue_put(queue, stored);
    }
    uint64_t due_ms = gw_clock_ms() + delay_ms;
    bool done = gw__queue_put_later(queue, stored, due_ms);
    if (done && due_ms < broker->next_due_ms) {
        broker->next_due_ms = due_ms;
    }
    return done;
}

static gw_status put_all(gw__broker *broker, gw__stored *stored, size_t n_copies, unsigned delay_ms,
                         gw_error *err)
{
    if (!has_room(broker, n_copies, gw__stored_size(stored))) {
        return gw_error_set(err, GW_E_FULL, 0,
                            "in-memory broker '%s' is full: %zu messages of %zu bytes",
                            broker->name, broker->load.n_messages, broker->load.n_bytes);
    }
    for (gw__queue *it = broker->queues; it != NULL; it = it->next) {
        if (it->last_publish == broker->n_published && !put_one(broker, it, stored, delay_ms)) {
            return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", it->name);
        }
    }
    pthread_cond_broadcast(&broker->changed);
    return GW_OK;
}

static gw_status route_locked(gw__broker *broker, const gw__outgoing *item, gw__stored *stored,
                              gw_error *err)
{
    size_t n_copies;
    gw_status st = mark_targets(broker, item, &n_copies, err);
    if (st != GW_OK) {
        return st;
    }
    if (n_copies > 0) {
        return put_all(broker, stored, n_copies, item->target->delay_ms, err);
    }
    return !item->mandatory
               ? GW_OK
               : gw_error_set(err, GW_E_UNROUTABLE, 312, "no queue takes key '%s' of exchange '%s'",
                              item->routing_key, item->target->exchange);
}

gw_status gw__broker_publish(gw__broker *broker, const gw__outgoing *item, gw_error *err)
{
    gw__stored *stored = gw__stored_new(item);
    if (stored == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "publish: out of memory");
    }
    pthread_mutex_lock(&broker->lock);
    gw_status st = route_locked(broker, item, stored, err);
    pthread_mutex_unlock(&broker->lock);
    gw__stored_unref(stored);
    return st;
}

uint64_t gw__broker_ripen_locked(gw__broker *broker)
{
    if (broker->next_due_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t now_ms = gw_clock_ms();
    if (now_ms < broker->next_due_ms) {
        return broker->next_due_ms;
    }
    uint64_t next_ms = UINT64_MAX;
    for (gw__queue *it = broker->queues; it != NULL; it = it->next) {
        uint64_t due_ms = gw__queue_ripen(it, now_ms);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    broker->next_due_ms = next_ms;
    pthread_cond_broadcast(&broker->changed);
    return next_ms;
}

/* ---- the registry ------------------------------------------------------------------ */

static void free_broker(gw__broker *broker)
{
    while (broker->queues != NULL) {
        gw__broker_delete_queue_locked(broker, broker->queues);
    }
    while (broker->exchanges != NULL) {
        gw__exchange *exchange = broker->exchanges;
        broker->exchanges = exchange->next;
        free(exchange->name);
        free(exchange);
    }
    pthread_cond_destroy(&broker->changed);
    pthread_mutex_destroy(&broker->lock);
    free(broker);
}

static gw__broker *new_broker(const char *name, const gw__broker_limits *limits)
{
    gw__broker *broker = calloc(1, sizeof(*broker));
    if (broker == NULL) {
        return NULL;
    }
    memcpy(broker->name, name, strlen(name) + 1);
    broker->limits = *limits;
    broker->next_due_ms = UINT64_MAX;
    pthread_mutex_init(&broker->lock, NULL);
    gw__cond_init(&broker->changed);
    if (add_exchange(broker, "amq.direct", GW_EXCHANGE_DIRECT) == NULL ||
        add_exchange(broker, "amq.fanout", GW_EXCHANGE_FANOUT) == NULL ||
        add_exchange(broker, "amq.topic", GW_EXCHANGE_TOPIC) == NULL ||
        add_exchange(broker, "amq.headers", GW_EXCHANGE_HEADERS) == NULL ||
        add_exchange(broker, "amq.match", GW_EXCHANGE_HEADERS) == NULL) {
        free_broker(broker);
        return NULL;
    }
    return broker;
}

static gw_status get_broker(const char *url, bool make, gw__broker **ret_broker, gw_error *err)
{
    char name[GW__BROKER_NAME_MAX + 1];
    gw__broker_limits limits;
    gw_status st = gw__broker_parse_url(url, name, &limits, err);
    if (st != GW_OK) {
        return st;
    }
    pthread_mutex_lock(&registry_lock);
    gw__broker *broker = registry;
    while (broker != NULL && strcmp(broker->name, name) != 0) {
        broker = broker->next;
    }
    if (broker == NULL && make) {
        broker = new_broker(name, &limits);
        if (broker != NULL) {
            broker->next = registry;
            registry = broker;
        }
    }
    if (broker != NULL) {
        broker->refs++;
    }
    pthread_mutex_unlock(&registry_lock);
    if (broker == NULL) {
        return make ? gw_error_set(err, GW_E_NOMEM, 0, "in-memory broker: out of memory")
                    : gw_error_set(err, GW_E_NOT_FOUND, 0, "no client has opened %s%s", SCHEME,
                                   name);
    }
    *ret_broker = broker;
    return GW_OK;
}

gw_status gw__broker_open(const char *url, gw__broker **ret_broker, gw_error *err)
{
    return get_broker(url, true, ret_broker, err);
}

gw_status gw__broker_find(const char *url, gw__broker **ret_broker, gw_error *err)
{
    return get_broker(url, false, ret_broker, err);
}

void gw__broker_close(gw__broker *broker)
{
    pthread_mutex_lock(&registry_lock);
    assert(broker->refs > 0);
    bool last = --broker->refs == 0;
    if (last) {
        gw__broker **link = &registry;
        while (*link != broker) {
            link = &(*link)->next;
        }
        *link = broker->next;
    }
    pthread_mutex_unlock(&registry_lock);
    if (last) {
        free_broker(broker);
    }
}
