/* SPDX-License-Identifier: MIT */
/* Compiled, never run: each macro of the public headers expands in strict C11 and in C++20. */
#include <godwit/godwit.h>

#define X(constant, text, retriable) constant,
static const gw_status statuses[] = {GW_STATUS_MAP(X)};
#undef X

GW_BEGIN_DECLS
void gw_check_macros(void);
GW_END_DECLS

void gw_check_macros(void)
{
    gw_error err = GW_ERROR_INIT;
    gw_config_options config = GW_CONFIG_OPTIONS_INIT;
    gw_http_options http = GW_HTTP_OPTIONS_INIT;
    gw_client_options client = GW_CLIENT_OPTIONS_INIT;
    gw_duplicates_options duplicates = GW_DUPLICATES_OPTIONS_INIT;
    gw_subscribe_options subscribe = GW_SUBSCRIBE_OPTIONS_INIT;
    if (config.url == NULL)
        gw_log_debug("check", "%s %d", GW_VERSION, (int)statuses[0]);
    else
        gw_log_info("check", "a macro is one statement");
    gw_log_warn("check", "%u", (unsigned)http.port + subscribe.prefetch);
    gw_log_error("check", "%s%s%u", client.name, err.text, (unsigned)duplicates.max_ids);
}
