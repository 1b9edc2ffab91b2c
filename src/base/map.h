/* base/map.h - hash map from a 64-bit or byte-string key to a pointer.
 *
 * Open addressing with linear probing; string keys are copied.  Seeded, so that
 * a stranger who chooses keys cannot choose collisions.  Values are borrowed:
 * the map never frees them.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/base.h"

struct map_slot;

struct map {
    struct map_slot *slot;
    uint32_t cap, used, dead; /* power of two; live entries; tombstones */
    uint64_t seed;
};

void map_init(struct map *m, uint64_t seed);
void map_fini(struct map *m);

/* Byte-string keys.  put replaces; false when the heap refuses. */
MUST_CHECK bool map_put(struct map *m, struct bytes key, void *value);
void *map_find(const struct map *m, struct bytes key);
/* Returns the value that was removed, or NULL. */
void *map_take(struct map *m, struct bytes key);

/* 64-bit keys; do not mix with byte-string keys in one map. */
MUST_CHECK bool map_put_u64(struct map *m, uint64_t key, void *value);
void *map_find_u64(const struct map *m, uint64_t key);
void *map_take_u64(struct map *m, uint64_t key);

/* Walk: start with *at = 0; false at the end.  The map must not change meanwhile.
 * `key` may be NULL; for 64-bit keys it is eight native bytes. */
bool map_next(const struct map *m, uint32_t *at, struct bytes *key, void **value);

#endif
