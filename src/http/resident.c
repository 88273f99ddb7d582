/* SPDX-License-Identifier: MIT */
#include "http/resident.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_wanted(const char *path, const char *const *names)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash != NULL ? slash + 1 : path;
    for (; *names != NULL; names++) {
        if (strncmp(file, *names, strlen(*names)) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the loader wrote into read-only parts, which then are not what the file says. */
static bool has_text_relocations(const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_DYNAMIC) {
            continue;
        }
        const ElfW(Dyn) *entry = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        for (; entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_TEXTREL ||
                (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) {
                return true;
            }
        }
    }
    return false;
}

static int drop_pages(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    if (!is_wanted(info->dlpi_name, ctx) || has_text_relocations(info)) {
        return 0;
    }
    uintptr_t page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_W) != 0) {
            continue;
        }
        uintptr_t start = (info->dlpi_addr + part->p_vaddr) & page_mask;
        uintptr_t end = (info->dlpi_addr + part->p_vaddr + part->p_memsz) & page_mask;
        /* A failure leaves them where they are. */
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void gw__resident_drop(const char *const *names)
{
    dl_iterate_phdr(drop_pages, (void *)(uintptr_t)names);
}
