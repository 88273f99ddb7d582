/* SPDX-License-Identifier: MIT */
#include "messaging/guard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/log.h>

#define AREA      "messaging"
#define MAGIC     "gwguard" /* with its NUL 8 bytes */
#define VERSION   1
#define NO_ID     '\x01' /* what stands for an id begins with it */
#define HASH_EACH 512 /* of a body without an id: so many bytes of its beginning and of its end */

/* A message. Part of the file. */
typedef struct identity {
    uint16_t queue_len;
    uint16_t id_len;
    char queue[GW_MESSAGE_TEXT_MAX + 1]; /* without a NUL, as the id */
    char id[GW_MESSAGE_TEXT_MAX + 1];
} identity;

/* All that follows is the file, in this machine's byte order: it is not for others. */
struct gw__guard_slot {
    _Atomic uint32_t busy; /* 1: its message is being handled */
    identity what;
    uint8_t padding[56]; /* neighbours do not share a cache line */
};

typedef struct suspect {
    uint32_t crashes; /* 0: free */
    identity what;
} suspect;

typedef struct content {
    char magic[8];
    uint32_t version;
    uint32_t size; /* of all of it */
    uint32_t next; /* suspect to overwrite */
    uint8_t padding[44];
    gw__guard_slot slots[GW__GUARD_SLOTS];
    suspect suspects[GW__GUARD_SUSPECTS];
} content;

_Static_assert(sizeof(gw__guard_slot) % 64 == 0, "slots are whole cache lines");
_Static_assert(GW__GUARD_SUSPECTS >= GW__GUARD_SLOTS, "one death forgets nobody it has accused");
_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "the file holds plain numbers");

struct gw__guard {
    int fd;
    content *file;
    atomic_uint n_suspects; /* so that it costs nothing to ask when there are none */
    pthread_mutex_t lock;   /* of the suspects and of what is below */
    bool claimed[GW__GUARD_SLOTS];
};

/* ---- identities --------------------------------------------------------------- */

static uint64_t hash_bytes(uint64_t h, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) { /* FNV-1a, 64 bits */
        h = (h ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return h;
}

/* What stands for the id of a message that has none: its size, beginning and end. */
static size_t name_body(const gw_message *msg, char *ret_id, size_t size)
{
    size_t len;
    const unsigned char *body = gw_message_body(msg, &len);
    size_t n = len < HASH_EACH ? len : HASH_EACH;
    uint64_t h = hash_bytes(UINT64_C(14695981039346656037), body, n);
    h = hash_bytes(h, body + len - n, n);
    return (size_t)snprintf(ret_id, size, "%c%zu:%016llx", NO_ID, len, (unsigned long long)h);
}

static void set_queue(identity *it, const char *queue)
{
    size_t len = strlen(queue);
    it->queue_len = (uint16_t)(len < GW_MESSAGE_TEXT_MAX ? len : GW_MESSAGE_TEXT_MAX);
    memcpy(it->queue, queue, it->queue_len);
}

static void set_message(identity *it, const gw_message *msg)
{
    const char *id = gw_message_id(msg);
    size_t len = id != NULL ? strlen(id) : 0;
    if (len == 0) {
        len = name_body(msg, it->id, sizeof(it->id));
    } else {
        memcpy(it->id, id, len);
    }
    it->id_len = (uint16_t)len;
}

static bool is_valid(const identity *it)
{
    return it->queue_len >= 1 && it->queue_len <= GW_MESSAGE_TEXT_MAX && it->id_len >= 1 &&
           it->id_len <= GW_MESSAGE_TEXT_MAX;
}

static bool is_same(const identity *a, const identity *b)
{
    return a->queue_len == b->queue_len && a->id_len == b->id_len &&
           memcmp(a->id, b->id, a->id_len) == 0 && memcmp(a->queue, b->queue, a->queue_len) == 0;
}

/* ---- suspects ------------------------------------------------------------------ */

/* NULL if it is none. @locks guard->lock held */
static suspect *find_locked(gw__guard *guard, const identity *what)
{
    for (size_t i = 0; i < GW__GUARD_SUSPECTS; i++) {
        suspect *it = &guard->file->suspects[i];
        if (it->crashes > 0 && is_same(&it->what, what)) {
            return it;
        }
    }
    return NULL;
}

/* One more death. @locks guard->lock held, or nobody knows the guard yet */
static void accuse_locked(gw__guard *guard, const identity *what)
{
    suspect *it = find_locked(guard, what);
    if (it == NULL) {
        it = &guard->file->suspects[guard->file->next];
        guard->file->next = (guard->file->next + 1) % GW__GUARD_SUSPECTS;
        atomic_fetch_add(&guard->n_suspects, it->crashes == 0 ? 1 : 0);
        it->crashes = 0;
        it->what = *what;
    }
    it->crashes += it->crashes < UINT_MAX - 1 ? 1 : 0;
    bool has_id = what->id[0] != NO_ID;
    gw_log_warn(
        AREA, "a process died while it handled message %.*s of queue '%.*s' (%u times so far)",
        has_id ? (int)what->id_len : GW_MESSAGE_TEXT_MAX, has_id ? what->id : "without an id",
        (int)what->queue_len, what->queue, it->crashes);
}

unsigned gw__guard_crashes(gw__guard *guard, const char *queue, const gw_message *msg)
{
    if (guard == NULL || atomic_load(&guard->n_suspects) == 0) {
        return 0;
    }
    identity what;
    set_queue(&what, queue);
    set_message(&what, msg);
    pthread_mutex_lock(&guard->lock);
    const suspect *it = find_locked(guard, &what);
    unsigned crashes = it != NULL ? it->crashes : 0;
    pthread_mutex_unlock(&guard->lock);
    return crashes;
}

void gw__guard_forget(gw__guard *guard, const char *queue, const gw_message *msg)
{
    if (guard == NULL) {
        return;
    }
    identity what;
    set_queue(&what, queue);
    set_message(&what, msg);
    pthread_mutex_lock(&guard->lock);
    suspect *it = find_locked(guard, &what);
    if (it != NULL) {
        it->crashes = 0;
        atomic_fetch_sub(&guard->n_suspects, 1);
    }
    pthread_mutex_unlock(&guard->lock);
}

/* ---- workers --------------------------------------------------------------------- */

gw__guard_slot *gw__guard_claim(gw__guard *guard, const char *queue)
{
    gw__guard_slot *slot = NULL;
    if (guard == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&guard->lock);
    for (size_t i = 0; slot == NULL && i < GW__GUARD_SLOTS; i++) {
        if (!guard->claimed[i]) {
            guard->claimed[i] = true;
            slot = &guard->file->slots[i];
            set_queue(&slot->what, queue);
        }
    }
    pthread_mutex_unlock(&guard->lock);
    if (slot == NULL) {
        gw_log_warn(AREA,
                    "more than %d workers: one of queue '%s' is not watched for messages that end "
                    "the process",
                    GW__GUARD_SLOTS, queue);
    }
    return slot;
}

void gw__guard_release(gw__guard *guard, gw__guard_slot *slot)
{
    if (slot != NULL) {
        gw__guard_leave(slot);
        pthread_mutex_lock(&guard->lock);
        guard->claimed[slot - guard->file->slots] = false;
        pthread_mutex_unlock(&guard->lock);
    }
}

void gw__guard_enter(gw__guard_slot *slot, const gw_message *msg)
{
    if (slot != NULL) {
        set_message(&slot->what, msg);
        atomic_store_explicit(&slot->busy, 1, memory_order_release);
    }
}

void gw__guard_leave(gw__guard_slot *slot)
{
    if (slot != NULL) {
        atomic_store_explicit(&slot->busy, 0, memory_order_release);
    }
}

/* ---- the file ---------------------------------------------------------------------- */

static bool has_our_form(const content *file)
{
    return memcmp(file->magic, MAGIC, sizeof(file->magic)) == 0 && file->version == VERSION &&
           file->size == sizeof(*file) && file->next < GW__GUARD_SUSPECTS;
}

/* Who was being handled when the last process died. Nothing in the file is believed as it is. */
static void take_stock(gw__guard *guard)
{
    content *file = guard->file;
    for (size_t i = 0; i < GW__GUARD_SUSPECTS; i++) {
        if (file->suspects[i].crashes > 0 && !is_valid(&file->suspects[i].what)) {
            file->suspects[i].crashes = 0;
        }
        atomic_fetch_add(&guard->n_suspects, file->suspects[i].crashes > 0 ? 1 : 0);
    }
    for (size_t i = 0; i < GW__GUARD_SLOTS; i++) {
        gw__guard_slot *slot = &file->slots[i];
        if (atomic_load(&slot->busy) == 1 && is_valid(&slot->what)) {
            accuse_locked(guard, &slot->what);
        }
        atomic_store(&slot->busy, 0);
    }
}

static void start_anew(content *file)
{
    memset(file, 0, sizeof(*file));
    file->version = VERSION;
    file->size = sizeof(*file);
    memcpy(file->magic, MAGIC, sizeof(file->magic)); /* last: until then it is not ours */
}

/* Open it for us alone, as large as it has to be; `ret_size` is what it was. */
static int open_file(const char *path, off_t *ret_size, gw_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        gw_error_set_errno(err, errno, "%s", path);
    } else if (!S_ISREG(st.st_mode)) {
        gw_error_set(err, GW_E_IO, 0, "%s is not a regular file", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        gw_error_set(err, errno == EWOULDBLOCK ? GW_E_BUSY : GW_E_IO, errno,
                     "%s is in use: each client needs an outbox_dir of its own", path);
    } else if (st.st_size != sizeof(content) &&
               (ftruncate(fd, 0) != 0 || ftruncate(fd, sizeof(content)) != 0)) {
        gw_error_set_errno(err, errno, "%s", path);
    } else {
        /* A page that the disk has no room for would kill us when it is written. */
        int rc = posix_fallocate(fd, 0, sizeof(content));
        if (rc == 0) {
            *ret_size = st.st_size;
            return fd;
        }
        gw_error_set_errno(err, rc, "%s: no room for it", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* The mapping is as long as the struct, whose first field the page begins with. */
static content *map_file(int fd, const char *path, gw_error *err)
{
    void *at = mmap(NULL, sizeof(content), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        gw_error_set_errno(err, errno, "%s", path);
        return NULL;
    }
    return at;
}

gw_status gw__guard_open(const char *dir, gw__guard **ret_guard, gw_error *err)
{
    gw_error why = GW_ERROR_INIT;
    err = err != NULL ? err : &why;
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/" GW__GUARD_FILE, dir);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return gw_error_set(err, GW_E_LIMIT, 0, "outbox_dir '%.100s...' is too long", dir);
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return gw_error_set_errno(err, errno, "outbox_dir '%s'", dir);
    }
    gw__guard *guard = calloc(1, sizeof(*guard));
    if (guard == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for %s", path);
    }
    off_t old_size = 0;
    guard->fd = open_file(path, &old_size, err);
    guard->file = guard->fd < 0 ? NULL : map_file(guard->fd, path, err);
    if (guard->file == NULL) {
        if (guard->fd >= 0) {
            close(guard->fd);
        }
        free(guard);
        return err->status;
    }
    pthread_mutex_init(&guard->lock, NULL);
    if (!has_our_form(guard->file)) {
        if (old_size != 0) {
            gw_log_warn(AREA, "%s is of another version, or damaged: it is started anew", path);
        }
        start_anew(guard->file);
    }
    take_stock(guard);
    *ret_guard = guard;
    return GW_OK;
}

void gw__guard_close(gw__guard *guard)
{
    if (guard == NULL) {
        return;
    }
    for (size_t i = 0; i < GW__GUARD_SLOTS; i++) {
        assert(!guard->claimed[i]);
    }
    munmap(guard->file, sizeof(content));
    close(guard->fd);
    pthread_mutex_destroy(&guard->lock);
    free(guard);
}
