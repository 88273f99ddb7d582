/* SPDX-License-Identifier: MIT */
/*
 * Every bound on what a repository or a client can make the configserver do, in one place.
 * Each has an error text where it is reached, and a test.
 */
#ifndef CS_BOUNDS_H
#define CS_BOUNDS_H

#include <stddef.h>

#define CS_FILE_BYTES_MAX        ((size_t)4 << 20)  /* one configuration file */
#define CS_FILE_MEMORY_MAX       ((size_t)32 << 20) /* its properties, flattened */
#define CS_PROPERTIES_MAX        65536u             /* of one file */
#define CS_DUPLICATES_MAX        64u                /* of one file, that are told */
#define CS_DOCUMENTS_MAX         256u               /* of one file */
#define CS_KEY_BYTES_MAX         4096u              /* one flattened key */
#define CS_YAML_DEPTH_MAX        64u                /* nesting, aliases followed */
#define CS_YAML_NODES_MAX        262144u            /* scalars, lists and maps as written */
#define CS_YAML_VISITS_MAX       262144u            /* the same after aliases are expanded */
#define CS_YAML_ANCHORS_MAX      512u
#define CS_YAML_DIRECTIVES_MAX   256u
#define CS_NUMBER_BYTES_MAX      256u /* a longer run of digits is text */
#define CS_EXPRESSION_DEPTH_MAX  32u
#define CS_EXPRESSION_BYTES_MAX  1024u
#define CS_NAME_BYTES_MAX        256u /* application, profiles or label of a request */
#define CS_APPLICATIONS_MAX      16u  /* in one request */
#define CS_PROFILES_MAX          32u  /* in one request, with those the files include */
#define CS_ENVIRONMENT_BYTES_MAX ((size_t)16 << 20) /* files of one answer, and the answer */
#define CS_REPOSITORY_HANDLES    16u                /* idle ones that are kept */
#define CS_PATH_BYTES_MAX        1024u              /* of a file in a repository */
#define CS_TREE_ENTRIES_MAX      200000u            /* files of one commit or directory */
#define CS_TREE_PATHS_MAX        ((size_t)32 << 20) /* all their paths together */
#define CS_DIRECTORY_BYTES_MAX   ((size_t)64 << 20) /* of a directory that is served, all files */
#define CS_GIT_OBJECT_BYTES_MAX  ((size_t)32 << 20) /* a commit, a tag or one directory in git */
#define CS_TAGS_OF_TAGS_MAX      16u
#define CS_REFS_MAX              20000u            /* branches and tags */
#define CS_MIRROR_FILE_BYTES_MAX ((size_t)1 << 30) /* one file of a mirror: a fetched pack */
#define CS_REPOS_MAX             64u               /* with those that {application} stands for */
#define CS_FIRST_READS_MAX       16u /* of them, that are being read for the first time */
#define CS_MEMO_BYTES_MAX        ((size_t)12 << 20) /* answers that are kept */
#define CS_PARSED_BYTES_MAX      ((size_t)12 << 20) /* parsed files that are kept */
#define CS_OPENED_BYTES_MAX      ((size_t)4 << 20)  /* decrypted values that are kept */
#define CS_SEARCH_PATHS_MAX      32u                /* of one repository */
#define CS_LABELS_MAX            16u                /* in one request */
#define CS_PLACEHOLDER_DEPTH_MAX 32u
#define CS_NEAREST_LOOKS_MAX     20000u /* files an unknown application is compared with */
#define CS_WAIT_MAX_S            60u    /* of a long poll */
#define CS_CHANGED_PATHS_MAX     4096u  /* of one change of a repository; more stand for all */
#define CS_WEBHOOK_PATHS_MAX     4096u  /* of one push; more stand for all */
#define CS_WEBHOOK_PATH_MAX      1024u
#define CS_WEBHOOK_NAMES_MAX     512u
#define CS_WEBHOOK_URLS_MAX      16u /* of the repository that was pushed to; more are passed over */
#define CS_WEBHOOK_REASON_MAX    320u
#define CS_PUSHES_WAITING_MAX    128u /* for repositories to be brought up to date */
#define CS_DESTINATION_BYTES_MAX 255u
#define CS_CHANGE_BYTES_MAX      65536u /* of a value that is sent over the bus */

#define CS_ANSWER_FILES_MAX      1024u /* that make up one answer */
#define CS_ANSWER_SOURCES_MAX    2048u /* the same: documents */
#define CS_IMPORTS_MAX           64u   /* files that are imported, in one answer and label */
#define CS_IMPORT_DEPTH_MAX      8u    /* of files that import files */

#define CS_PLACEHOLDER_STEPS_MAX 262144u /* placeholders that are looked at for one answer */
#define CS_FLAT_DEPTH_MAX        128u    /* maps and lists in each other in .yml and .json */
#define CS_LIST_ITEMS_MAX        65536u  /* of a list in .yml and .json, with holes */
#define CS_FLAT_NODES_MAX        262144u /* all values and holes of .yml and .json */
#define CS_FLAT_MEMORY_MAX       ((size_t)64 << 20) /* while a flat format is made */

#endif
