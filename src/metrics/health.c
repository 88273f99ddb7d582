/* SPDX-License-Identifier: MIT */
/*
 * The components of a process and how each of them is. One lock for all: changes are rare and a
 * report reads a handful of components. A reason is put together before the lock is taken.
 */
#include <godwit/health.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/url.h>

#include "base/text.h"

struct gw_health {
    gw_health *next;
    bool required;
    bool up;
    uint64_t since_ns;
    char reason[GW_HEALTH_REASON_MAX];
    char name[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static gw_health *first; /* @locks lock; in the order of registration */

static char version[GW_HEALTH_VERSION_MAX + 1];  /* @locks lock */
static char revision[GW_HEALTH_VERSION_MAX + 1]; /* @locks lock */

/* Where the component of this name is linked, or where a new one goes. */
static gw_health **find_locked(const char *name)
{
    gw_health **link = &first;
    while (*link != NULL && strcmp((*link)->name, name) != 0) {
        link = &(*link)->next;
    }
    return link;
}

gw_health *gw_health_add(const char *name, bool required)
{
    if (name == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    gw_health **link = find_locked(name);
    if (*link == NULL) {
        size_t size = strlen(name) + 1;
        gw_health *component = calloc(1, sizeof(*component) + size);
        if (component != NULL) {
            component->required = required;
            component->since_ns = gw_clock_unix_ns();
            memcpy(component->reason, "starting", sizeof("starting"));
            memcpy(component->name, name, size);
            *link = component;
        }
    }
    gw_health *component = *link;
    pthread_mutex_unlock(&lock);
    return component;
}

void gw_health_up(gw_health *component)
{
    if (component == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (!component->up) {
        component->up = true;
        component->since_ns = gw_clock_unix_ns();
        component->reason[0] = '\0';
    }
    pthread_mutex_unlock(&lock);
}

/* Reasons come from peers and from the text of errors; a password in one of them ends here. */
static void put_masked(char reason[GW_HEALTH_REASON_MAX], const char *text)
{
    gw_buf masked;
    gw_buf_init(&masked, 0);
    gw_url_mask(&masked, text);
    bool ok = gw_buf_status(&masked) == GW_OK && masked.data != NULL;
    gw__text_copy(reason, GW_HEALTH_REASON_MAX, ok ? masked.data : "out of memory");
    gw_buf_dispose(&masked);
}

void gw_health_down(gw_health *component, const char *format, ...)
{
    if (component == NULL) {
        return;
    }
    char whole[2 * GW_HEALTH_REASON_MAX]; /* masked before it is cut, so that no URL is halved */
    char reason[GW_HEALTH_REASON_MAX];
    va_list args;
    va_start(args, format);
    gw__text_vformat(whole, sizeof(whole), format, args);
    va_end(args);
    put_masked(reason, whole);
    pthread_mutex_lock(&lock);
    if (component->up) {
        component->up = false;
        component->since_ns = gw_clock_unix_ns();
    }
    memcpy(component->reason, reason, sizeof(reason));
    pthread_mutex_unlock(&lock);
}

void gw_health_remove(gw_health *component)
{
    if (component == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    *find_locked(component->name) = component->next;
    pthread_mutex_unlock(&lock);
    free(component);
}

void gw_health_set_version(const char *of_program, const char *commit)
{
    pthread_mutex_lock(&lock);
    gw__text_copy(version, sizeof(version), of_program != NULL ? of_program : "");
    gw__text_copy(revision, sizeof(revision), commit != NULL ? commit : "");
    pthread_mutex_unlock(&lock);
}

static bool is_ready_locked(void)
{
    for (const gw_health *c = first; c != NULL; c = c->next) {
        if (c->required && !c->up) {
            return false;
        }
    }
    return true;
}

bool gw_health_is_ready(void)
{
    pthread_mutex_lock(&lock);
    bool ready = is_ready_locked();
    pthread_mutex_unlock(&lock);
    return ready;
}

static void write_component(gw_buf *out, const gw_health *component)
{
    char since[GW_TIME_MS_LEN + 1];
    gw_time_format_ms(component->since_ns, since);
    gw_buf_add_json(out, component->name, strlen(component->name));
    gw_buf_add_str(out, component->up ? ":{\"status\":\"UP\"" : ":{\"status\":\"DOWN\"");
    if (!component->required) {
        gw_buf_add_str(out, ",\"required\":false");
    }
    if (!component->up) {
        gw_buf_add_str(out, ",\"reason\":");
        gw_buf_add_json(out, component->reason, strlen(component->reason));
    }
    gw_buf_addf(out, ",\"since\":\"%s\"}", since);
}

static void write_member(gw_buf *out, const char *name, const char *value)
{
    if (value[0] != '\0') {
        gw_buf_addf(out, ",\"%s\":", name);
        gw_buf_add_json(out, value, strlen(value));
    }
}

bool gw_health_write_json(gw_buf *out, bool details)
{
    pthread_mutex_lock(&lock);
    bool ready = is_ready_locked();
    gw_buf_add_str(out, ready ? "{\"status\":\"UP\"" : "{\"status\":\"DOWN\"");
    write_member(out, "version", version);
    write_member(out, "commit", revision);
    if (details || !ready) {
        gw_buf_add_str(out, ",\"components\":{");
        for (const gw_health *c = first; c != NULL; c = c->next) {
            if (c != first) {
                gw_buf_add_char(out, ',');
            }
            write_component(out, c);
        }
        gw_buf_add_char(out, '}');
    }
    gw_buf_add_char(out, '}');
    pthread_mutex_unlock(&lock);
    return ready;
}

void gw_health_write_text(gw_buf *out)
{
    pthread_mutex_lock(&lock);
    const char *separator = "";
    for (const gw_health *c = first; c != NULL; c = c->next) {
        if (!c->up) {
            char since[GW_TIME_MS_LEN + 1];
            gw_time_format_ms(c->since_ns, since);
            gw_buf_addf(out, "%s%s: %s (since %s)", separator, c->name, c->reason, since);
            separator = "; ";
        }
    }
    pthread_mutex_unlock(&lock);
}
