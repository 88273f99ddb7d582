/* SPDX-License-Identifier: MIT */
#include "contract/contract.h"

/* The broker goes with its last client, and all it held with it. */
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
    static const contract_transport memory = {
        .name = "memory",
        .url = "memory:contract",
        .full_url = "memory:contract-full?max_messages=5",
        .user = "anybody",
        .unsigned_long = true,
        .remove = remove_nothing,
    };
    return &memory;
}
