/* SPDX-License-Identifier: MIT */
/* Compiled, never run: each macro of the public headers expands in strict C11 and in C++20. */
#include <godwit/godwit.h>

#define X(constant, text, retriable) constant,
static const gw_status statuses[] = {GW_STATUS_MAP(X)};
#undef X

typedef enum colour { RED, GREEN } colour;

typedef struct settings {
    const char *text;
    int64_t number;
    uint64_t amount;
    bool flag;
    gw_config_list list;
    colour word;
    uint16_t port;
} settings;

static const char *const words[] = {"red", "green", NULL};
static const gw_setting table[] = {
    GW_SETTING_STRING(settings, text, "text", "", GW_SETTING_REQUIRED, NULL, "a text"),
    GW_SETTING_INT(settings, number, "number", "-1", -5, 5, GW_SETTING_LIVE, "a number"),
    GW_SETTING_SIZE(settings, amount, "amount", "1MB", 1, UINT64_MAX, 0, "bytes"),
    GW_SETTING_DURATION(settings, amount, "time", "1s", 1, UINT64_MAX, 0, "a time"),
    GW_SETTING_BOOL(settings, flag, "flag", "false", 0, "a flag"),
    GW_SETTING_LIST(settings, list, "list", "", GW_SETTING_LIVE | GW_SETTING_SECRET, NULL, "some"),
    GW_SETTING_WORD(settings, word, "word", "red", words, 0, "a colour"),
    GW_SETTING_PORT(settings, port, "port", "80", 0, "a port"),
};

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
    gw_settings_options follow = {
        .table = table, .n_rows = 8, .size = sizeof(settings), .on_change = NULL, .ctx = NULL};
    if (config.url == NULL && follow.n_rows > 0)
        gw_log_debug("check", "%s %d", GW_VERSION, (int)statuses[0]);
    else
        gw_log_info("check", "a macro is one statement");
    gw_log_warn("check", "%u", (unsigned)http.port + subscribe.prefetch);
    gw_log_error("check", "%s%s%u", client.name, err.text, (unsigned)duplicates.max_ids);
}
