/* SPDX-License-Identifier: MIT */
#include "repo/parsed.h"

#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"

static atomic_size_t n_kept_bytes;

/* A parser's arena has chunks of several KiB with room to grow; most files need far less. */
static size_t size_of(const cs_file *file)
{
    size_t size = sizeof(cs_parsed) + file->n_documents * sizeof(cs_document);
    for (size_t i = 0; i < file->n_documents; i++) {
        const cs_document *doc = &file->documents[i];
        size += doc->n_items * sizeof(cs_property);
        for (size_t k = 0; k < doc->n_items; k++) {
            size += doc->items[k].key.len + doc->items[k].value.len + 2;
        }
    }
    return size + strlen(file->path) + 1;
}

static cs_text put_text(char **p, cs_text text)
{
    char *copy = *p;
    if (text.len > 0) {
        memcpy(copy, text.bytes, text.len);
    }
    copy[text.len] = '\0';
    *p += text.len + 1;
    return (cs_text){copy, text.len};
}

static cs_parsed *allocate(size_t size)
{
    cs_parsed *parsed = malloc(size);
    if (parsed != NULL) {
        memset(parsed, 0, sizeof(*parsed));
        atomic_init(&parsed->n_refs, 1);
        parsed->size = size;
    }
    return parsed;
}

/* Structures first, so that they are aligned; then the texts. */
cs_parsed *cs_parsed_of_file(const cs_file *file)
{
    cs_parsed *parsed = allocate(size_of(file));
    if (parsed == NULL) {
        return NULL;
    }
    size_t n_items = 0;
    for (size_t i = 0; i < file->n_documents; i++) {
        n_items += file->documents[i].n_items;
    }
    cs_document *documents = (cs_document *)(parsed + 1);
    cs_property *items = (cs_property *)(documents + file->n_documents);
    char *p = (char *)(items + n_items);
    for (size_t i = 0; i < file->n_documents; i++) {
        const cs_document *doc = &file->documents[i];
        documents[i] = (cs_document){.items = items, .n_items = doc->n_items, .cap = doc->n_items};
        for (size_t k = 0; k < doc->n_items; k++, items++) {
            *items = doc->items[k];
            items->key = put_text(&p, doc->items[k].key);
            items->value = put_text(&p, doc->items[k].value);
        }
    }
    parsed->file = (cs_file){
        .path = put_text(&p, (cs_text){file->path, strlen(file->path)}).bytes,
        .documents = documents,
        .n_documents = file->n_documents,
        .n_properties = n_items,
    };
    return parsed;
}

cs_parsed *cs_parsed_of_fault(gw_status st, const char *text)
{
    size_t len = strlen(text);
    cs_parsed *parsed = allocate(sizeof(cs_parsed) + len + 1);
    if (parsed != NULL) {
        char *p = (char *)(parsed + 1);
        parsed->st = st;
        parsed->fault = put_text(&p, (cs_text){text, len}).bytes;
    }
    return parsed;
}

bool cs_parsed_keep(cs_parsed *parsed)
{
    size_t before = atomic_fetch_add_explicit(&n_kept_bytes, parsed->size, memory_order_relaxed);
    if (parsed->size > CS_PARSED_BYTES_MAX || before > CS_PARSED_BYTES_MAX - parsed->size) {
        atomic_fetch_sub_explicit(&n_kept_bytes, parsed->size, memory_order_relaxed);
        return false;
    }
    parsed->is_kept = true;
    return true;
}

cs_parsed *cs_parsed_ref(cs_parsed *parsed)
{
    atomic_fetch_add_explicit(&parsed->n_refs, 1, memory_order_relaxed);
    return parsed;
}

void cs_parsed_unref(cs_parsed *parsed)
{
    if (parsed == NULL ||
        atomic_fetch_sub_explicit(&parsed->n_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (parsed->is_kept) {
        atomic_fetch_sub_explicit(&n_kept_bytes, parsed->size, memory_order_relaxed);
    }
    free(parsed);
}

const cs_parsed *cs_parsed_around(const cs_file *file)
{
    return (const cs_parsed *)(const void *)((const char *)file - offsetof(cs_parsed, file));
}

size_t cs_parsed_bytes(void)
{
    return atomic_load_explicit(&n_kept_bytes, memory_order_relaxed);
}
