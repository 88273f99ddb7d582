/* SPDX-License-Identifier: MIT */
/*
 * Where each value comes from and what it hides: for a person who wonders why a service got what it
 * got. Secrets are masked: values whose keys sound like one, passwords in URLs, and what is
 * encrypted, which is not even decrypted here.
 */
#ifndef CS_EXPLAIN_H
#define CS_EXPLAIN_H

#include <godwit/buf.h>

#include "answer/environment.h"

/* One value, or a list: the items that a source has for a key. */
typedef struct cs_bearer {
    const cs_source *source;
    const cs_property *const *items; /* in file order */
    size_t n_items;
    bool is_list; /* keys "a[0]", "a[1].b"; otherwise one item whose key is the explained one */
} cs_bearer;

typedef struct cs_explained {
    cs_text key;        /* of a list without its "[0]" */
    cs_bearer *bearers; /* the first is what counts; the others are hidden by it */
    size_t n_bearers;
} cs_explained;

/* By key. */
typedef struct cs_explanation {
    cs_explained *items;
    size_t n_items;
    void *inside; /* private */
} cs_explanation;

/*
 * @param env    outlives the explanation; loaded without keys, so that no secret is in it.
 * @param filter only keys that hold this text, in any case; NULL: all.
 * @return GW_OK; GW_E_NOMEM.
 */
gw_status cs_explain(const cs_environment *env, const char *filter, cs_explanation *ret_explanation,
                     gw_error *err);
void cs_explanation_dispose(cs_explanation *explanation); /* accepts a zeroed struct */

/*
 * Append the value as it may be shown: "***" for a secret.
 */
void cs_explain_write_value(gw_buf *out, const cs_property *property);

/* Append {"name","profiles","label","version","properties":[{"key","value" or "items","source",
 * "file","line","column","shadows":[...]}]}. */
void cs_explain_write_json(gw_buf *out, const cs_request *req, const cs_environment *env,
                           const cs_explanation *explanation);

/* Append a page of HTML that needs nothing else: no script, no image, no other host. */
void cs_explain_write_page(gw_buf *out, const cs_request *req, const cs_environment *env,
                           const char *filter, const cs_explanation *explanation);

#endif
