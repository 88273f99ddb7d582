/* SPDX-License-Identifier: MIT */
#include "http/problem.h"

#include <string.h>

#include <microhttpd.h>

void gw__http_problem_write(gw_buf *out, int status, const char *detail, size_t detail_len)
{
    const char *title = MHD_get_reason_phrase_for((unsigned)status);
    gw_buf_add_str(out, "{\"type\":\"about:blank\",\"title\":");
    gw_buf_add_json(out, title, strlen(title));
    gw_buf_addf(out, ",\"status\":%d,\"detail\":", status);
    gw_buf_add_json(out, detail, detail_len);
    gw_buf_add_char(out, '}');
}
