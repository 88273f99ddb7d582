/* SPDX-License-Identifier: MIT */
/* The sockets of members: "members/<slot>" of a bus's directory. All are closed in a forked child
 * and when another program is run; gw__forked_close() closes them. */
#ifndef GW_BUS_MEMBERS_SOCKET_H
#define GW_BUS_MEMBERS_SOCKET_H

#include <stdint.h>

#include <godwit/error.h>

#include "bus/control.h"

/* What the one who connects says first, and all that is ever said. */
typedef struct gw__member_hello {
    uint32_t magic;
    uint32_t slot;
    uint64_t generation;
} gw__member_hello;

#define GW__MEMBER_HELLO_MAGIC 0x6d656d62u

/* Open the folder "members" for the calls below; to be closed with close(). */
gw_status gw__member_open_folder(const gw__control_file *file, int *ret_folder_fd, gw_error *err);

/* Listen as the member of a slot, in place of whatever is there. */
gw_status gw__member_listen(const gw__control_file *file, int folder_fd, uint32_t slot, int *ret_fd,
                            gw_error *err);

/* Returns 0, or an errno value: ECONNREFUSED or ENOENT when there is no such member any more. */
int gw__member_connect(int folder_fd, uint32_t slot, int *ret_fd);

/* Returns 0, or an errno value; EAGAIN when nobody waits. */
int gw__member_accept(int listen_fd, int *ret_fd);

void gw__member_unlink(int folder_fd, uint32_t slot);

/* The bus's directory, for errors. */
void gw__member_dir_name(const gw__control_file *file, char *ret_text, size_t size);

#endif
