/* SPDX-License-Identifier: MIT */
#include "service/descriptors.h"

#include <sys/resource.h>

#include <godwit/log.h>

#define BESIDES 256u /* stores, the broker, logs, clients of other services */

void gw__descriptors_allow(unsigned n_connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)n_connections + BESIDES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
        gw_log_warn("service",
                    "%u connections are allowed, but the process may open only %llu files and "
                    "sockets: raise the hard limit (ulimit -Hn, LimitNOFILE=) to %llu",
                    n_connections, (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
    }
}
