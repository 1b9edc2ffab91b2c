/* base/mem.h - the only door to the heap.
 *
 * Every allocation may be refused and every caller must survive it.  Tests use
 * mem_refuse_nth() to refuse each one in turn and mem_live() to see that
 * nothing stays behind.  Thread-safe; the counters are relaxed atomics, and no
 * packet path allocates.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/base.h"

enum { MEM_LINE_BYTES = 64 };

/* Zeroed memory of `size` bytes (size > 0); NULL when refused. */
MUST_CHECK void *mem_zero(size_t size);
/* As mem_zero(), beginning on a cache line of its own (MEM_LINE_BYTES): for what the packet path
 * reads, so that a struct laid out in lines touches no more of them. */
MUST_CHECK void *mem_lines(size_t size);
/* Zeroed array; NULL when refused or when n * size overflows. */
MUST_CHECK void *mem_array(size_t n, size_t size);
/* Resize; on NULL the old block stays valid.  New bytes are not cleared. */
MUST_CHECK void *mem_resize(void *p, size_t size);
/* A NUL-terminated copy; NULL when refused. */
MUST_CHECK char *mem_dup(const void *p, size_t len);
MUST_CHECK char *mem_dup_str(const char *s);
void mem_free(void *p);

/* Give what was freed back to the system: handshakes leave many holes.  Walks the whole heap, a
 * few milliseconds: not for threads that move media. */
void mem_trim(void);

/* Overwrite secrets so that the compiler cannot leave it out. */
void mem_wipe(void *p, size_t len);

/* Blocks handed out and not yet freed / allocations made since the start. */
int64_t mem_live(void);
uint64_t mem_made(void);

/* Refuse the nth allocation from now on (1 is the next one); 0 refuses none.
 * For tests of error paths. */
void mem_refuse_nth(uint64_t nth);

#endif
