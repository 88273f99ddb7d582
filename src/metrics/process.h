/* SPDX-License-Identifier: MIT */
/* What the kernel knows about this process. Each function answers false where /proc does not tell.
 */
#ifndef GW_METRICS_PROCESS_H
#define GW_METRICS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

bool gw__process_cpu_ns(uint64_t *ret_ns);
bool gw__process_resident_bytes(uint64_t *ret_bytes);
bool gw__process_open_fds(uint64_t *ret_n);

/* When the process was started, in Unix time. The same each time it is asked. */
bool gw__process_start_ns(uint64_t *ret_ns);

#endif
