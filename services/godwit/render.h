/* SPDX-License-Identifier: MIT */
/**
 * @file render.h
 * One message as a line of a table, as a page, and as JSON. Everything in it is a stranger's.
 */
#ifndef GODWIT_RENDER_H
#define GODWIT_RENDER_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <godwit/message.h>

/** Bytes of a body that a page shows. */
#define RENDER_BODY_MAX ((size_t)64 << 10)

/** A text of a stranger in one line, padded to `width`; a dash when there is none. */
void render_cell(gw_buf *out, const char *text, size_t width);

/** `"name":` and the text, behind a comma unless `*first`, which is cleared; nothing for NULL. */
void render_pair_json(gw_buf *out, const char *name, const char *text, bool *first);

/** "  name    text" and a line break; nothing for NULL. */
void render_line(gw_buf *out, const char *name, const char *text);

/** The titles of render_row()'s columns. */
void render_head(gw_buf *out);

/** A line of the table; `number`: its place in the queue, from 1 on. */
void render_row(gw_buf *out, size_t number, const gw_message *msg);

/** The line as a JSON object, with its line break. */
void render_row_json(gw_buf *out, size_t number, const gw_message *msg);

/** Properties, headers and body, for people. */
void render_content(gw_buf *out, const gw_message *msg);

/** The same as JSON, from `"properties":` on, without braces around it. */
void render_content_json(gw_buf *out, const gw_message *msg);

/** A write of the body alone would act on a terminal. */
bool render_body_acts(const gw_message *msg);

/** Everything about a delivered message, for people. */
void render_page(gw_buf *out, size_t number, const gw_message *msg);

/** Everything, as one line of JSON: the body as "body", or as "body_base64" if it is not UTF-8. */
void render_json(gw_buf *out, size_t number, const gw_message *msg);

#endif
