/* SPDX-License-Identifier: MIT */
#include <godwit/status.h>

static const struct {
    const char *name;
    const char *text;
    bool retriable;
} statuses[] = {
#define X(constant, text, retriable) {#constant, text, retriable},
    GW_STATUS_MAP(X)
#undef X
};

#define N_STATUSES (sizeof(statuses) / sizeof(statuses[0]))

const char *gw_status_name(gw_status st)
{
    return (unsigned)st < N_STATUSES ? statuses[st].name : "GW_E_?";
}

const char *gw_status_text(gw_status st)
{
    return (unsigned)st < N_STATUSES ? statuses[st].text : "unknown status";
}

bool gw_status_is_retriable(gw_status st)
{
    return (unsigned)st < N_STATUSES && statuses[st].retriable;
}
