/* SPDX-License-Identifier: MIT */
/* A whole service: GET /hello/{name} greets, and whoever is greeted is told on a queue. */
#include <string.h>

#include <godwit/log.h>
#include <godwit/service.h>

static gw_client *client; /* the chassis', set before the first request */

static void get_hello(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    gw_error err = GW_ERROR_INIT;
    const char *name = gw_http_var(req, "name");
    gw_message *msg = gw_message_new(name, strlen(name));
    gw_http_set_content_type(res, "text/plain; charset=utf-8");
    gw_buf_addf(gw_http_response_body(res), "hello, %s\n", name);
    if (gw_publish_on_queue(client, "greetings", msg, &err) != GW_OK) {
        gw_http_problem(res, 503, "%s", err.text); /* in place of the greeting */
    }
    gw_message_free(msg);
}

static gw_verdict on_greeting(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    size_t len;
    const char *name = gw_message_body(msg, &len);
    if (len > 40) { /* goes to the queue greetings.dead */
        gw_error_set(why, GW_E_LIMIT, 0, "a name of %zu bytes", len);
        return GW_REJECT;
    }
    gw_log_info("greeter", "greeted %.*s", (int)len, name);
    return GW_DONE;
}

static gw_status start(void *ctx, gw_service *service, gw_error *err)
{
    client = gw_service_client(service);
    return gw_subscribe_to_queue(client, "greetings", NULL, on_greeting, ctx, NULL, err);
}

int main(int argc, char **argv)
{
    static const gw_http_route routes[] = {{"Hello", "GET", "/hello/{name}", get_hello, NULL}};
    static const gw_service_spec spec = {
        .name = "greeter",
        .summary = "greets, and tells whom",
        .example = "GODWIT_AMQP_SERVER_URL=bus:run/bus greeter",
        .use_broker = true,
        .default_port = 7070,
        .routes = routes,
        .n_routes = 1,
        .start = start,
    };
    return gw_service_run(&spec, argc, argv, NULL);
}
