/* SPDX-License-Identifier: MIT */
/* A node is one segment of one or more patterns. A request walks down from the root along its
 * segments, literal children first, then the variable, then the rest; where a branch ends without
 * the path, it goes back and tries the next. Where a literal's branch has the path, it decides, for
 * every method: what takes POST at "/monitor" is not found by a GET under "/{name}". A node is
 * looked at once at most, so a request costs no more than the table is large, whatever its path
 * looks like. */
#include "http/router.h"

#include <stdlib.h>
#include <string.h>

#define PATTERN_MAX 512
#define ROUTES_MAX  1024
#define METHODS_MAX 16 /* bits of `allow` */

typedef struct node node;

struct node {
    const char *text; /* a literal segment, borrowed from a pattern */
    size_t text_len;
    node *next;     /* the next literal of the same parent */
    node *literals; /* children */
    node *variable;
    node *rest;
    const gw__http_entry *by_method[METHODS_MAX]; /* routes that end here */
    uint32_t methods;                             /* bits set in it */
};

struct gw__http_router {
    node *root;
    const char *methods[METHODS_MAX];
    size_t n_methods;
    size_t n_entries;
    gw__http_entry entries[];
};

static node *node_new(const char *text, size_t len)
{
    node *n = calloc(1, sizeof(*n));
    if (n != NULL) {
        n->text = text;
        n->text_len = len;
    }
    return n;
}

static void node_free(node *n)
{
    while (n != NULL) {
        node *next = n->next;
        node_free(n->literals); /* as deep as the longest pattern, GW__HTTP_SEGMENTS_MAX */
        node_free(n->variable);
        node_free(n->rest);
        free(n);
        n = next;
    }
}

/* A segment of a pattern: its kind, and the name if it is a variable. */
typedef struct piece {
    enum { PIECE_LITERAL, PIECE_VARIABLE, PIECE_REST } kind;
    const char *text;
    size_t len;
} piece;

/* Read the segment at `*cursor` (behind its '/') and move on to the next, or to NULL. */
static piece read_piece(const char **cursor)
{
    const char *text = *cursor;
    size_t len = strcspn(text, "/");
    *cursor = text[len] == '/' ? text + len + 1 : NULL;
    if (len < 2 || text[0] != '{' || text[len - 1] != '}') {
        return (piece){PIECE_LITERAL, text, len};
    }
    if (len > 5 && memcmp(text + len - 4, "...}", 4) == 0) {
        return (piece){PIECE_REST, text + 1, len - 5};
    }
    return (piece){PIECE_VARIABLE, text + 1, len - 2};
}

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return len > 0;
}

static bool is_literal(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= 0x20 || c == 0x7f || strchr("{}?#%", c) != NULL) {
            return false;
        }
    }
    return true;
}

static bool has_name_before(const char *pattern, const piece *wanted)
{
    for (const char *cursor = pattern + 1; cursor != NULL && cursor < wanted->text - 1;) {
        piece p = read_piece(&cursor);
        if (p.kind != PIECE_LITERAL && p.len == wanted->len &&
            memcmp(p.text, wanted->text, p.len) == 0) {
            return true;
        }
    }
    return false;
}

/* What is wrong with a pattern, or NULL. */
static const char *pattern_fault(const char *pattern)
{
    if (pattern[0] != '/') {
        return "it does not begin with '/'";
    }
    if (strnlen(pattern, PATTERN_MAX + 1) > PATTERN_MAX) {
        return "it is too long";
    }
    size_t n = 0;
    for (const char *cursor = pattern + 1; cursor != NULL;) {
        piece p = read_piece(&cursor);
        if (++n > GW__HTTP_SEGMENTS_MAX) {
            return "it has too many segments";
        }
        if (p.kind == PIECE_LITERAL && !is_literal(p.text, p.len)) {
            return "a segment is neither a plain text nor one {variable}";
        }
        if (p.kind != PIECE_LITERAL && !is_name(p.text, p.len)) {
            return "a variable's name is not letters, digits and '_'";
        }
        if (p.kind != PIECE_LITERAL && has_name_before(pattern, &p)) {
            return "it has two variables of one name";
        }
        if (p.kind == PIECE_REST && cursor != NULL) {
            return "a {rest...} is not its last segment";
        }
        if (p.kind == PIECE_LITERAL && p.len == 0 && cursor != NULL) {
            return "it has an empty segment in the middle";
        }
    }
    return NULL;
}

static gw_status check_route(const gw_http_route *route, gw_error *err)
{
    if (route->name == NULL || route->method == NULL || route->pattern == NULL ||
        route->handler == NULL || route->method[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "a route needs a name, a method, a pattern and a handler (%s %s)",
                            route->method != NULL ? route->method : "?",
                            route->pattern != NULL ? route->pattern : "?");
    }
    const char *fault = pattern_fault(route->pattern);
    if (fault != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "route %s has the pattern '%.128s': %s",
                            route->name, route->pattern, fault);
    }
    return GW_OK;
}

/* The child of `parent` for a segment of a pattern, made if it is not there yet. */
static node *child_for(node *parent, const piece *p)
{
    node **slot = p->kind == PIECE_REST ? &parent->rest : &parent->variable;
    if (p->kind == PIECE_LITERAL) {
        for (slot = &parent->literals; *slot != NULL; slot = &(*slot)->next) {
            if ((*slot)->text_len == p->len && memcmp((*slot)->text, p->text, p->len) == 0) {
                break;
            }
        }
    }
    if (*slot == NULL) {
        *slot = node_new(p->text, p->len);
    }
    return *slot;
}

static int method_index(const gw__http_router *router, const char *method)
{
    for (size_t i = 0; i < router->n_methods; i++) {
        if (strcmp(router->methods[i], method) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* Note the variables of a checked pattern. */
static bool find_variables(gw__http_entry *entry)
{
    entry->variables = calloc(GW__HTTP_SEGMENTS_MAX, sizeof(entry->variables[0]));
    if (entry->variables == NULL) {
        return false;
    }
    size_t segment = 0;
    for (const char *cursor = entry->route.pattern + 1; cursor != NULL; segment++) {
        piece p = read_piece(&cursor);
        if (p.kind != PIECE_LITERAL) {
            entry->variables[entry->n_variables++] =
                (gw__http_variable){p.text, p.len, segment, p.kind == PIECE_REST};
        }
    }
    return true;
}

static gw_status add_entry(gw__http_router *router, gw__http_entry *entry, gw_error *err)
{
    const gw_http_route *route = &entry->route;
    gw_status st = check_route(route, err);
    if (st != GW_OK) {
        return st;
    }
    int method = method_index(router, route->method);
    if (method < 0) {
        if (router->n_methods == METHODS_MAX) {
            return gw_error_set(err, GW_E_LIMIT, 0, "more than %d methods", METHODS_MAX);
        }
        method = (int)router->n_methods++;
        router->methods[method] = route->method;
    }
    node *n = router->root;
    for (const char *cursor = route->pattern + 1; cursor != NULL;) {
        piece p = read_piece(&cursor);
        n = child_for(n, &p);
        if (n == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the routes");
        }
    }
    if (!find_variables(entry)) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the routes");
    }
    if (n->by_method[method] != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "routes %s and %s have the same pattern: %s %s",
                            n->by_method[method]->route.name, route->name, route->method,
                            route->pattern);
    }
    n->by_method[method] = entry;
    n->methods |= 1u << method;
    return GW_OK;
}

gw_status gw__http_router_new(const gw_http_route *routes, size_t n_routes,
                              gw__http_router **ret_router, gw_error *err)
{
    if (n_routes > ROUTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "more than %d routes", ROUTES_MAX);
    }
    gw__http_router *router = calloc(1, sizeof(*router) + n_routes * sizeof(router->entries[0]));
    if (router == NULL || (router->root = node_new("", 0)) == NULL) {
        gw__http_router_free(router);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the routes");
    }
    for (size_t i = 0; i < n_routes; i++) {
        gw__http_entry *entry = &router->entries[i];
        *entry = (gw__http_entry){.route = routes[i], .index = i};
        router->n_entries++;
        gw_status st = add_entry(router, entry, err);
        if (st != GW_OK) {
            gw__http_router_free(router);
            return st;
        }
    }
    *ret_router = router;
    return GW_OK;
}

void gw__http_router_free(gw__http_router *router)
{
    if (router != NULL) {
        node_free(router->root);
        for (size_t i = 0; i < router->n_entries; i++) {
            free(router->entries[i].variables);
        }
        free(router);
    }
}

/* What a walk looks for, and what it came across. */
typedef struct search {
    const gw__http_segment *segments;
    size_t n_segments;
    int method; /* -1: a method no route has */
    int fallback;
    uint32_t allow;
} search;

static const gw__http_entry *entry_at(const node *n, search *s)
{
    s->allow |= n->methods;
    const gw__http_entry *entry = s->method >= 0 ? n->by_method[s->method] : NULL;
    return entry == NULL && s->fallback >= 0 ? n->by_method[s->fallback] : entry;
}

static const gw__http_entry *walk(const node *n, size_t depth, search *s)
{
    if (depth == s->n_segments) {
        return entry_at(n, s);
    }
    if (depth == GW__HTTP_SEGMENTS_MAX) {
        return NULL; /* no pattern is longer, and no segment behind it was kept */
    }
    const gw__http_segment *segment = &s->segments[depth];
    const gw__http_entry *entry = NULL;
    for (const node *child = n->literals; child != NULL; child = child->next) {
        if (child->text_len == segment->len &&
            memcmp(child->text, segment->text, segment->len) == 0) {
            entry = walk(child, depth + 1, s);
            break;
        }
    }
    if (s->allow != 0) {
        return entry; /* a literal has the path */
    }
    if (n->variable != NULL && segment->len > 0) {
        entry = walk(n->variable, depth + 1, s);
    }
    if (entry == NULL && n->rest != NULL) {
        entry = entry_at(n->rest, s);
    }
    return entry;
}

/* Whether the table has the path for this method when a '/' at its end is put there or taken away.
 */
static bool has_other_slash(const gw__http_router *router, const gw__http_target *target, search *s)
{
    size_t n = target->n_segments;
    if (n > GW__HTTP_SEGMENTS_MAX || target->segments[0].len == 0) {
        return false; /* a redirect to "//host" would leave this server */
    }
    if (target->segments[n - 1].len == 0) {
        s->n_segments = n - 1;
        return n > 1 && walk(router->root, 0, s) != NULL;
    }
    if (n == GW__HTTP_SEGMENTS_MAX) {
        return false;
    }
    gw__http_segment segments[GW__HTTP_SEGMENTS_MAX];
    memcpy(segments, target->segments, n * sizeof(segments[0]));
    char empty[1] = "";
    segments[n] = (gw__http_segment){empty, 0};
    s->segments = segments;
    s->n_segments = n + 1;
    bool found = walk(router->root, 0, s) != NULL;
    s->segments = target->segments;
    return found;
}

gw__http_match gw__http_router_match(const gw__http_router *router, const char *method,
                                     const gw__http_target *target)
{
    search s = {.segments = target->segments,
                .n_segments = target->n_segments,
                .method = method_index(router, method),
                .fallback = strcmp(method, "HEAD") == 0 ? method_index(router, "GET") : -1};
    const gw__http_entry *entry = walk(router->root, 0, &s);
    if (entry != NULL) {
        return (gw__http_match){GW__HTTP_FOUND, entry, s.allow};
    }
    if (s.allow == 0 && has_other_slash(router, target, &s)) {
        return (gw__http_match){GW__HTTP_FOUND_REDIRECT, NULL, 0};
    }
    return (gw__http_match){s.allow != 0 ? GW__HTTP_FOUND_OTHER : GW__HTTP_FOUND_NOTHING, NULL,
                            s.allow};
}

const char *gw__http_entry_var(const gw__http_entry *entry, gw__http_target *target,
                               const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < entry->n_variables; i++) {
        const gw__http_variable *v = &entry->variables[i];
        if (v->name_len == len && memcmp(v->name, name, len) == 0) {
            return v->is_rest ? gw__http_target_join(target, v->segment)
                              : target->segments[v->segment].text;
        }
    }
    return NULL;
}

void gw__http_router_allow(const gw__http_router *router, uint32_t allow, gw_buf *out)
{
    bool has_head = false;
    bool has_options = false;
    bool has_get = false;
    for (size_t i = 0; i < router->n_methods; i++) {
        if ((allow & (1u << i)) != 0) {
            const char *method = router->methods[i];
            has_get = has_get || strcmp(method, "GET") == 0;
            has_head = has_head || strcmp(method, "HEAD") == 0;
            has_options = has_options || strcmp(method, "OPTIONS") == 0;
            gw_buf_addf(out, "%s, ", method);
        }
    }
    if (has_get && !has_head) {
        gw_buf_add_str(out, "HEAD, ");
    }
    gw_buf_add_str(out, has_options ? "" : "OPTIONS");
    if (has_options && out->len >= 2) {
        out->len -= 2;
        out->data[out->len] = '\0';
    }
}
