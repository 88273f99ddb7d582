/* SPDX-License-Identifier: MIT */
/* The smallest service: GET /hello/{name} answers, and so do /health and /metrics. */
#include <godwit/service.h>

static void get_hello(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    gw_http_set_content_type(res, "text/plain; charset=utf-8");
    gw_buf_addf(gw_http_response_body(res), "hello, %s\n", gw_http_var(req, "name"));
}

int main(int argc, char **argv)
{
    static const gw_http_route routes[] = {{"Hello", "GET", "/hello/{name}", get_hello, NULL}};
    static const gw_service_spec spec = {
        .name = "hello",
        .summary = "says hello",
        .example = "hello -logLevel debug",
        .version = "1.0.0",
        .default_port = 7071,
        .routes = routes,
        .n_routes = 1,
    };
    return gw_service_run(&spec, argc, argv, NULL);
}
