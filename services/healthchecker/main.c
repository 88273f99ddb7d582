/* SPDX-License-Identifier: MIT */
/* healthchecker: is the service on this machine healthy? For HEALTHCHECK of containers, and for
 * scripts. Small and without libraries, so that it can be put into any image. */
#include <stdio.h>

#include <godwit/version.h>

#include "commit/commit.h"
#include "probe.h"
#include "settings.h"

int main(int argc, char **argv)
{
    static settings s;
    char fault[REASON_MAX];
    if (!settings_read(&s, argc, argv, fault, sizeof(fault))) {
        fprintf(stderr, "healthchecker: %s\n", fault);
        return 1;
    }
    if (s.wants_help) {
        settings_print_help();
        return 0;
    }
    if (s.wants_version) {
        printf("healthchecker %s (commit %s)\n", GW_VERSION, program_commit);
        return 0;
    }
    char reason[REASON_MAX] = "";
    bool is_healthy = probe(&s.target, s.timeout_ms, reason);
    printf(is_healthy ? "healthy: %s %s\n" : "unhealthy: %s: %s\n", s.target.text, reason);
    return is_healthy ? 0 : 1;
}
