/* SPDX-License-Identifier: MIT */
/*
 * A segment: one file of a log, mapped whole. A head of 512 bytes, then entries, each at a multiple
 * of 8: a head of 40 bytes and its bytes. The file grows in steps of blocks that the disk has
 * promised, so that a full disk is an error of a call and no signal; it never shrinks, and is
 * deleted when all in it is settled. Numbers are in this machine's byte order.
 *
 * An entry's check begins with a secret of the segment and the entry's place: no message can look
 * like an entry. Its state is not part of it.
 */
#ifndef GW_BUS_SEGMENT_H
#define GW_BUS_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#define GW__SEGMENT_MAGIC    UINT64_C(0x3167657374697767) /* "gwitseg1" */
#define GW__SEGMENT_VERSION  1
#define GW__SEGMENT_HEAD     512
#define GW__SEGMENT_CAPACITY ((size_t)16 << 20)
#define GW__SEGMENT_NAME_LEN 12 /* "0123abcd.seg" */

typedef struct gw__segment_head {
    uint64_t magic;
    uint32_t version;
    uint32_t salt;
    uint64_t serial;
    uint64_t capacity;
    uint64_t first_seq; /* of the first entry that is written */
    uint32_t index;
    uint32_t check;         /* of all above and of the name */
    char name[256];         /* of the queue */
    _Atomic uint64_t start; /* what is before this offset was settled, and its blocks given back;
                               0: nothing was */
} gw__segment_head;

/* What an entry is at present, in its lowest byte; above it how often it was taken (8 bits) and by
 * whom (16). Anything else than these counts as ready: rather twice than not at all. */
#define GW__ENTRY_READY  UINT64_C(0x00)
#define GW__ENTRY_LEASED UINT64_C(0x5a)
#define GW__ENTRY_DONE   UINT64_C(0xe7)

typedef struct gw__entry_head {
    _Atomic uint64_t state;
    uint64_t seq;
    uint64_t expires_ms;
    uint32_t len; /* of the bytes; GW__ENTRY_END: the log goes on in the next segment */
    uint32_t bytes_crc;
    uint32_t check; /* of the four above */
    uint32_t reserved;
} gw__entry_head;

#define GW__ENTRY_END UINT32_MAX

struct gw__segment_owner;

typedef struct gw__segment {
    const struct gw__segment_owner *owner; /* not ours; by it the file is found again */
    uint32_t index;
    uint8_t *base;
    size_t capacity;
    size_t size; /* of the file, as far as is known: what may be touched */
    uint32_t salt;
    uint64_t first_seq;
} gw__segment;

/* Whose segments: what their heads say. */
typedef struct gw__segment_owner {
    int dir_fd;         /* not ours */
    const char *folder; /* the log's, in it; "": itself */
    uint64_t serial;
    const char *name;
    unsigned file_mode;
} gw__segment_owner;

#define GW__SEGMENT_PATH_LEN 48

/* The way to a file of a log from owner->dir_fd: no descriptor is open for each log. */
void gw__segment_path(const gw__segment_owner *owner, const char *name,
                      char ret_path[GW__SEGMENT_PATH_LEN]);

void gw__segment_name(uint32_t index, char ret_name[GW__SEGMENT_NAME_LEN + 1]);

/* False when it is no name of a segment. */
bool gw__segment_parse_name(const char *name, uint32_t *ret_index);

/* Make a new one; it is there whole or not at all. GW_E_EXISTS, GW_E_NO_SPACE, GW_E_IO. */
gw_status gw__segment_create(const gw__segment_owner *owner, uint32_t index, uint64_t first_seq,
                             size_t capacity, gw_error *err);

/* Open and map one; no descriptor stays open, since a process may have many mapped. `owner` is
 * used as long as it is. GW_E_NOT_FOUND; GW_E_PROTOCOL when it is none, or another log's;
 * GW_E_UNSUPPORTED for a newer version. With a serial of 0 any log's. */
gw_status gw__segment_open(const gw__segment_owner *owner, uint32_t index, bool writable,
                           gw__segment *ret_segment, gw_error *err);
void gw__segment_close(gw__segment *segment);

/* Let a damaged file have another name: it is in nobody's way then, and there for a person. */
void gw__segment_keep_damaged(const gw__segment_owner *owner, uint32_t index);

/* The head of an open one. */
const gw__segment_head *gw__segment_head_of(const gw__segment *segment);

/* Let the file have at least so many bytes. GW_E_NO_SPACE, GW_E_IO. */
gw_status gw__segment_extend(gw__segment *segment, size_t size, gw_error *err);

/* The same for somebody who only reads: does the file have so many by now? */
bool gw__segment_reaches(gw__segment *segment, size_t size);

/* Everything before `offset` is settled: its blocks are the disk's again. */
void gw__segment_give_back(gw__segment *segment, size_t offset);

/* Until this descriptor is closed, however that happens, nothing of the file is given back. False
 * when something just is. */
bool gw__segment_keep(int fd);

/* Where its entries begin. */
size_t gw__segment_start(gw__segment *segment);

/* ---- entries ---------------------------------------------------------------------- */

static inline size_t gw__entry_size(size_t len)
{
    return (sizeof(gw__entry_head) + len + 7) & ~(size_t)7;
}

static inline gw__entry_head *gw__entry_at(const gw__segment *segment, size_t offset)
{
    return (gw__entry_head *)(void *)(segment->base + offset);
}

static inline const uint8_t *gw__entry_bytes(const gw__entry_head *entry)
{
    return (const uint8_t *)(entry + 1);
}

static inline uint64_t gw__entry_state(unsigned n_taken, uint32_t owner, uint64_t phase)
{
    return (uint64_t)owner << 16 | (uint64_t)n_taken << 8 | phase;
}

static inline uint64_t gw__entry_phase(uint64_t state)
{
    uint64_t phase = state & 0xff;
    return phase == GW__ENTRY_LEASED || phase == GW__ENTRY_DONE ? phase : GW__ENTRY_READY;
}

static inline unsigned gw__entry_n_taken(uint64_t state)
{
    return (unsigned)(state >> 8 & 0xff);
}

static inline uint32_t gw__entry_owner(uint64_t state)
{
    return (uint32_t)(state >> 16 & 0xffff);
}

/* What check has to be. */
uint32_t gw__entry_check(const gw__segment *segment, size_t offset, const gw__entry_head *entry);

/* Whether the head at this place is one, and all of the entry within the file. For an end, too. */
bool gw__entry_is_sound(gw__segment *segment, size_t offset);

/* Whether the bytes of a sound one are what was written. */
bool gw__entry_is_whole(const gw__entry_head *entry);

/* Write a head (not its state) for bytes that are in place. */
void gw__entry_seal(const gw__segment *segment, size_t offset, uint64_t seq, uint64_t expires_ms,
                    uint32_t len);

/* Offset of the next sound entry at or behind `offset` with a number of at least `seq`, or of a
 * sound end; 0 when there is none. */
size_t gw__segment_find_sound(gw__segment *segment, size_t offset, uint64_t seq);

#endif
