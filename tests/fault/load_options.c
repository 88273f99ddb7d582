/* SPDX-License-Identifier: MIT */
#include "load_options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a flag's value goes: one of the two is set. */
typedef struct flag {
    const char *name;
    const char **text;
    unsigned *number;
} flag;

typedef struct numbers {
    unsigned max_messages;
    unsigned max_bytes;
    unsigned prefetch;
    unsigned rejects;
} numbers;

static bool parse_number(const char *text, unsigned *ret_number)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > UINT_MAX) {
        return false;
    }
    *ret_number = (unsigned)value;
    return true;
}

static bool parse_flag(const flag *flags, size_t n_flags, const char *name, const char *value)
{
    for (size_t i = 0; i < n_flags; i++) {
        if (name[0] != '-' || strcmp(flags[i].name, name + 1) != 0) {
            continue;
        }
        if (flags[i].text != NULL) {
            *flags[i].text = value;
            return true;
        }
        return parse_number(value, flags[i].number);
    }
    return false;
}

static bool parse_level(const char *text, gw_outbox_level *ret_level)
{
    for (int level = GW_OUTBOX_MEMORY; level <= (int)GW_OUTBOX_DISK; level++) {
        if (strcmp(text, gw_outbox_level_name((gw_outbox_level)level)) == 0) {
            *ret_level = (gw_outbox_level)level;
            return true;
        }
    }
    return false;
}

static bool parse_exchange_type(const char *text, gw_exchange_type *ret_type)
{
    for (int type = GW_EXCHANGE_DIRECT; type <= (int)GW_EXCHANGE_HEADERS; type++) {
        if (strcmp(text, gw_exchange_type_name((gw_exchange_type)type)) == 0) {
            *ret_type = (gw_exchange_type)type;
            return true;
        }
    }
    return false;
}

/* Values that are one of a few words. */
typedef struct words {
    const char *level;
    const char *exchange_type;
} words;

/* All flags but the role. */
static bool parse_flags(int argc, char **argv, load_options *options, numbers *n, words *w)
{
    const flag flags[] = {
        {"url", &options->url, NULL},
        {"queue", &options->queue, NULL},
        {"exchange", &options->exchange, NULL},
        {"exchange-type", &w->exchange_type, NULL},
        {"name", &options->name, NULL},
        {"journal", &options->journal, NULL},
        {"level", &w->level, NULL},
        {"dir", &options->client.outbox_dir, NULL},
        {"heartbeat", NULL, &options->client.heartbeat_s},
        {"max-messages", NULL, &n->max_messages},
        {"max-bytes", NULL, &n->max_bytes},
        {"rate", NULL, &options->rate},
        {"count", NULL, &options->count},
        {"first", NULL, &options->first},
        {"size", NULL, &options->size},
        {"prefetch", NULL, &n->prefetch},
        {"workers", NULL, &options->subscription.n_workers},
        {"max-attempts", NULL, &options->subscription.max_attempts},
        {"max-crashes", NULL, &options->subscription.max_crashes},
        {"retry-delay-ms", NULL, &options->subscription.retry_delay_ms},
        {"slow-ms", NULL, &options->slow_ms},
        {"every", NULL, &options->every},
        {"fail-first", NULL, &options->fail_first},
        {"reject", NULL, &n->rejects},
    };
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc ||
            !parse_flag(flags, sizeof(flags) / sizeof(flags[0]), argv[i], argv[i + 1])) {
            fprintf(stderr, "fault_load: '%s' is not known, or its value is wrong\n", argv[i]);
            return false;
        }
    }
    return true;
}

bool load_options_parse(int argc, char **argv, load_options *ret_options)
{
    load_options options = {.client = GW_CLIENT_OPTIONS_INIT,
                            .subscription = GW_SUBSCRIBE_OPTIONS_INIT,
                            .name = "load",
                            .first = 1,
                            .size = 100};
    numbers n = {.prefetch = options.subscription.prefetch};
    words w = {.level = "memory", .exchange_type = "topic"};
    options.publishes = argc > 1 && strcmp(argv[1], "publish") == 0;
    if (!options.publishes && (argc < 2 || strcmp(argv[1], "consume") != 0)) {
        fprintf(stderr, "usage: fault_load publish|consume -url URL -queue QUEUE -journal FILE "
                        "[-name value ...]\n");
        return false;
    }
    if (!parse_flags(argc, argv, &options, &n, &w)) {
        return false;
    }
    if (options.url == NULL || options.queue == NULL || options.journal == NULL ||
        !parse_level(w.level, &options.client.outbox_level) ||
        !parse_exchange_type(w.exchange_type, &options.exchange_type) || n.prefetch > UINT16_MAX) {
        fprintf(stderr, "fault_load: -url, -queue and -journal are needed, -level is memory, "
                        "process or disk, -exchange-type direct, fanout, topic or headers, "
                        "-prefetch at most 65535\n");
        return false;
    }
    options.client.outbox_max_messages = n.max_messages;
    options.client.outbox_max_bytes = n.max_bytes;
    options.client.name = options.name;
    options.subscription.prefetch = (uint16_t)n.prefetch;
    options.rejects = n.rejects != 0;
    *ret_options = options;
    return true;
}
