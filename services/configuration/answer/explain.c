/* SPDX-License-Identifier: MIT */
#include "answer/explain.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/secret.h>
#include <godwit/url.h>

#include "answer/keys.h"

/* A property, and what it is sorted by. */
typedef struct claim {
    cs_text group; /* its key up to a '[' */
    size_t source; /* the highest precedence first */
    size_t number; /* in its source */
    const cs_property *property;
} claim;

typedef struct insides {
    claim *claims;
    const cs_property **properties; /* of all bearers, one behind the other */
    cs_bearer *bearers;
} insides;

/* A key that only begins with '[' is none of a list. */
static cs_text group_of(cs_text key)
{
    const char *bracket = key.len > 1 ? memchr(key.bytes + 1, '[', key.len - 1) : NULL;
    return bracket == NULL ? key : (cs_text){key.bytes, (size_t)(bracket - key.bytes)};
}

static int compare_numbers(size_t a, size_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_claims(const void *left, const void *right)
{
    const claim *a = left;
    const claim *b = right;
    int order = cs_text_compare(a->group, b->group);
    order = order == 0 ? compare_numbers(a->source, b->source) : order;
    return order == 0 ? compare_numbers(a->number, b->number) : order;
}

static bool passes(cs_text key, const char *filter)
{
    size_t len = filter == NULL ? 0 : strlen(filter);
    if (len == 0) {
        return true;
    }
    for (size_t i = 0; i + len <= key.len; i++) {
        if (strncasecmp(key.bytes + i, filter, len) == 0) {
            return true;
        }
    }
    return false;
}

static size_t collect(const cs_environment *env, const char *filter, claim *claims)
{
    size_t n = 0;
    for (size_t i = 0; i < env->n_sources; i++) {
        for (size_t j = 0; j < env->sources[i].n_items; j++) {
            const cs_property *property = &env->sources[i].items[j];
            if (passes(property->key, filter)) {
                claims[n++] = (claim){group_of(property->key), i, j, property};
            }
        }
    }
    return n;
}

/* Claims of one group and source become a bearer, bearers of one group an item. */
static void assemble(const cs_environment *env, size_t n, cs_explanation *out)
{
    insides *in = out->inside;
    size_t n_bearers = 0;
    for (size_t i = 0; i < n; i++) {
        const claim *c = &in->claims[i];
        in->properties[i] = c->property;
        bool same_group = i > 0 && cs_text_equal(c->group, c[-1].group);
        if (!same_group) {
            out->items[out->n_items++] = (cs_explained){c->group, &in->bearers[n_bearers], 0};
        }
        if (!same_group || c->source != c[-1].source) {
            in->bearers[n_bearers++] =
                (cs_bearer){&env->sources[c->source], &in->properties[i], 0, false};
            out->items[out->n_items - 1].n_bearers++;
        }
        cs_bearer *bearer = &in->bearers[n_bearers - 1];
        bearer->n_items++;
        bearer->is_list = bearer->is_list || c->property->key.len != c->group.len;
    }
}

gw_status cs_explain(const cs_environment *env, const char *filter, cs_explanation *ret_explanation,
                     gw_error *err)
{
    size_t n = 1; /* nothing is asked of calloc() for nothing */
    for (size_t i = 0; i < env->n_sources; i++) {
        n += env->sources[i].n_items;
    }
    insides *in = calloc(1, sizeof(*in));
    cs_explanation out = {.items = calloc(n, sizeof(*out.items)), .inside = in};
    if (in != NULL) {
        in->claims = calloc(n, sizeof(*in->claims));
        in->properties = calloc(n, sizeof(*in->properties));
        in->bearers = calloc(n, sizeof(*in->bearers));
    }
    if (in == NULL || out.items == NULL || in->claims == NULL || in->properties == NULL ||
        in->bearers == NULL) {
        cs_explanation_dispose(&out);
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    size_t n_claims = collect(env, filter, in->claims);
    qsort(in->claims, n_claims, sizeof(*in->claims), compare_claims);
    assemble(env, n_claims, &out);
    *ret_explanation = out;
    return GW_OK;
}

void cs_explanation_dispose(cs_explanation *explanation)
{
    insides *in = explanation->inside;
    if (in != NULL) {
        free(in->claims);
        free(in->properties);
        free(in->bearers);
        free(in);
    }
    free(explanation->items);
    *explanation = (cs_explanation){.items = NULL};
}

/* ---- what may be shown ----------------------------------------------------------- */

static void write_urls(gw_buf *out, cs_text value)
{
    char *copy = strndup(value.bytes, value.len);
    if (copy == NULL) {
        out->status = GW_E_NOMEM;
        return;
    }
    gw_url_mask(out, copy);
    free(copy);
}

void cs_explain_write_value(gw_buf *out, const cs_property *property)
{
    if (cs_value_is_cipher(property->value)) {
        gw_buf_add_str(out, "{cipher}***");
    } else if (gw_secret_is_named(property->key.bytes, property->key.len)) {
        gw_buf_add_str(out, "***");
    } else if (memmem(property->value.bytes, property->value.len, "://", 3) != NULL) {
        write_urls(out, property->value);
    } else {
        gw_buf_add(out, property->value.bytes, property->value.len);
    }
}
