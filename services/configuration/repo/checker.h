/* SPDX-License-Identifier: MIT */
/*
 * Looks through the configuration files of a tree, so that a fault is known before somebody asks
 * for the file. Each is logged once: what has not changed since the last tree is not looked at
 * again. One thread.
 */
#ifndef CS_CHECKER_H
#define CS_CHECKER_H

#include <stdbool.h>
#include <stddef.h>

#include "repo/tree.h"

struct cs_moment;

/* Zeroed: nothing to do. */
typedef struct cs_checker {
    cs_tree *before;          /* what was looked through last */
    bool *was_faulty;         /* each of its entries */
    struct cs_moment *moment; /* what is being looked through */
    cs_tree *tree;            /* its tree */
    bool *is_faulty;
    size_t next; /* entry */
    size_t before_next;
    size_t n_faulty;
    size_t n_logged;
} cs_checker;

/* Look through the default label of a moment from now on. */
void cs_checker_start(cs_checker *checker, struct cs_moment *moment);

/* Look at a few files more. False when there was nothing left to do. */
bool cs_checker_step(cs_checker *checker);

void cs_checker_dispose(cs_checker *checker);

#endif
