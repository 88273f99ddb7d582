/* SPDX-License-Identifier: MIT */
/* Opening and closing a bus: once a process and directory. */
#include "bus/bus_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/bus_reader.h"

/* Held while one is opened, so that nobody opens it twice; a child that was forked has its own. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static gw__bus *registry;

/* ---- the registry ------------------------------------------------------------------------ */

/* @locks registry_lock */
static gw__bus *find_open(const gw__bus_place *place)
{
    struct stat info;
    if (stat(place->dir, &info) != 0) {
        return NULL;
    }
    gw__bus *bus = registry;
    while (bus != NULL && (bus->device != info.st_dev || bus->inode != info.st_ino ||
                           bus->pid != getpid() || bus->file.read_only != place->read_only)) {
        bus = bus->next;
    }
    return bus;
}

/* ---- opening ------------------------------------------------------------------------------- */

static void look_again(void *ctx)
{
    gw__bus *bus = ctx;
    if (atomic_load(&bus->joined)) { /* otherwise nobody sleeps yet */
        gw__member_ring(bus->file.control, bus->member);
    }
}

static gw_status join(gw__bus *bus, gw_error *err)
{
    gw__members_options options = {.file = &bus->file,
                                   .name = bus->name,
                                   .died = gw__bus_member_died,
                                   .look_again = look_again,
                                   .ctx = bus};
    gw_status st = gw__members_join(&options, &bus->members, err);
    if (st == GW_OK) {
        bus->member = gw__members_own(bus->members);
        bus->generation = atomic_load(&bus->file.control->members[bus->member].generation);
        atomic_store(&bus->joined, true);
    }
    return st;
}

static gw_status open_logs_dir(gw__bus *bus, gw_error *err)
{
    struct stat info;
    bus->logs_fd = openat(bus->file.dir_fd, "logs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (bus->logs_fd < 0 || fstat(bus->file.dir_fd, &info) != 0) {
        return gw_error_set_errno(err, errno, "cannot open the folder %s/logs", bus->dir);
    }
    bus->device = info.st_dev;
    bus->inode = info.st_ino;
    return GW_OK;
}

static void free_bus(gw__bus *bus)
{
    gw__bus_close_logs(bus);
    gw__definitions_close(bus->defs);
    if (bus->logs_fd >= 0) {
        close(bus->logs_fd);
    }
    gw__control_close(&bus->file);
    pthread_cond_destroy(&bus->changed);
    pthread_mutex_destroy(&bus->lock);
    pthread_rwlock_destroy(&bus->logs_lock);
    free(bus);
}

static gw__bus *new_bus(const gw__bus_place *place, const char *name)
{
    gw__bus *bus = calloc(1, sizeof(*bus));
    if (bus == NULL) {
        return NULL;
    }
    bus->refs = 1;
    bus->pid = getpid();
    bus->logs_fd = -1;
    bus->file = (gw__control_file){.dir_fd = -1, .lock_fd = -1};
    bus->member = GW__LOG_NOBODY;
    memcpy(bus->dir, place->dir, sizeof(bus->dir));
    snprintf(bus->name, sizeof(bus->name), "%s", name);
    pthread_rwlock_init(&bus->logs_lock, NULL);
    pthread_mutex_init(&bus->lock, NULL);
    pthread_cond_init(&bus->changed, NULL);
    gw__bus_make_maker(bus);
    return bus;
}

static gw_status open_bus(const gw__bus_place *place, const char *name, gw__bus **ret_bus,
                          gw_error *err)
{
    gw__bus *bus = new_bus(place, name);
    if (bus == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "bus in %s: out of memory", place->dir);
    }
    gw_status st = gw__control_open(place, &bus->file, err);
    if (st == GW_OK) {
        st = open_logs_dir(bus, err);
    }
    if (st == GW_OK && bus->file.first) {
        st = gw__bus_check_definitions(bus, err);
    }
    if (st == GW_OK) {
        st = gw__definitions_open(bus->dir, bus->file.dir_mode, bus->file.file_mode,
                                  place->read_only, &bus->defs, err);
    }
    if (st == GW_OK && bus->file.first) {
        st = gw__bus_recover(bus, err);
        st = st == GW_OK ? gw__control_ready(&bus->file, err) : st;
    }
    if (st == GW_OK && !place->read_only) {
        st = join(bus, err);
    }
    if (st != GW_OK) {
        free_bus(bus);
        return st;
    }
    *ret_bus = bus;
    return GW_OK;
}

gw_status gw__bus_open(const gw__bus_place *place, const char *name, gw__bus **ret_bus,
                       gw_error *err)
{
    gw_status st = GW_OK;
    pthread_mutex_lock(&registry_lock);
    gw__bus *bus = find_open(place);
    if (bus != NULL) {
        bus->refs++;
    } else {
        st = open_bus(place, name, &bus, err);
        if (st == GW_OK) {
            bus->next = registry;
            registry = bus;
        }
    }
    pthread_mutex_unlock(&registry_lock);
    if (st == GW_OK) {
        *ret_bus = bus;
    }
    return st;
}

/* ---- closing ----------------------------------------------------------------------------------
 */

static void leave(gw__bus *bus)
{
    if (bus->members == NULL) {
        return;
    }
    gw__bus_lock_members(bus);
    (void)gw__bus_forget_member(bus, bus->member, bus->generation);
    gw__bus_unlock_members(bus);
    gw__members_leave(bus->members);
}

/* The registry stays locked to the end: who opens it meanwhile waits, and is then another one. */
void gw__bus_close(gw__bus *bus)
{
    if (bus == NULL) {
        return;
    }
    pthread_mutex_lock(&registry_lock);
    if (--bus->refs == 0) {
        gw__bus **link = &registry;
        while (*link != bus) {
            link = &(*link)->next;
        }
        *link = bus->next;
        gw__bus_stop_reader(bus);
        leave(bus);
        free_bus(bus);
    }
    pthread_mutex_unlock(&registry_lock);
}

/* ---- what it has --------------------------------------------------------------------------------
 */

gw__control *gw__bus_control(const gw__bus *bus)
{
    return bus->file.control;
}

gw__definitions *gw__bus_definitions(const gw__bus *bus)
{
    return bus->defs;
}

uint32_t gw__bus_member(const gw__bus *bus)
{
    return bus->member;
}

const char *gw__bus_dir(const gw__bus *bus)
{
    return bus->dir;
}

int gw__bus_logs_dir(const gw__bus *bus)
{
    return bus->logs_fd;
}
