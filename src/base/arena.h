/* base/arena.h - memory with one lifetime.
 *
 * Everything that a message, a request or a description needs is taken from one
 * arena and released with it.  An arena has a ceiling in bytes: input that
 * unfolds to more is refused (NULL and a sticky `failed`), never trimmed.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"

enum {
    ARENA_FIRST_BYTES = 1024, /* chosen: many hold a few names and live long */
    ARENA_BLOCK_BYTES = 4096, /* chosen: one page; larger requests get a block of their own */
};

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used_bytes;          /* granted so far, against max_bytes */
    size_t max_bytes;
    bool failed; /* a request was refused */
};

/* No allocation happens before the first request. */
void arena_init(struct arena *a, size_t max_bytes);
/* Releases everything; the arena may be used again with the same ceiling. */
void arena_fini(struct arena *a);

/* Zeroed, aligned for any type; NULL when the ceiling or the heap refuses. */
MUST_CHECK void *arena_zero(struct arena *a, size_t size);
MUST_CHECK void *arena_array(struct arena *a, size_t n, size_t size);
/* NUL-terminated copies; NULL when refused. */
MUST_CHECK char *arena_dup(struct arena *a, struct bytes b);
MUST_CHECK char *arena_dup_str(struct arena *a, const char *s);
MUST_CHECK char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
