/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "contract/contract.h"
#include "support/child.h"

static char dir[256];

static void remove_dir(void)
{
    remove_test_dir(dir);
}

/* The directory goes with the program. */
static void remove_nothing(const char *const *queues, size_t n_queues, const char *const *exchanges,
                           size_t n_exchanges)
{
    (void)queues;
    (void)n_queues;
    (void)exchanges;
    (void)n_exchanges;
}

const contract_transport *contract_open(void)
{
    static char url[sizeof(dir) + 16];
    static char full_url[sizeof(dir) + 64];
    static const contract_transport bus = {
        .name = "bus",
        .url = url,
        .full_url = full_url,
        .user = "anybody",
        .unsigned_long = true,
        .remove = remove_nothing,
    };
    make_test_dir(dir, sizeof(dir));
    atexit(remove_dir);
    snprintf(url, sizeof(url), "bus:%s/bus", dir);
    snprintf(full_url, sizeof(full_url), "bus:%s/full?max_messages=5", dir);
    return &bus;
}
