/* base/yaml.h - a YAML document as a bounded tree that remembers its lines.
 *
 * Mappings, sequences and scalars of one document; anchors, tags and several documents are
 * refused, as are nesting over YAML_DEPTH_MAX and more than YAML_NODES_MAX nodes.  Scalars
 * stay text: who binds them knows their type.  Everything lives in the caller's arena.  Over
 * libyaml, which only yaml.c knows.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/arena.h"
#include "base/base.h"

enum { YAML_DEPTH_MAX = 12, YAML_NODES_MAX = 8192, YAML_BYTES_MAX = 1 << 20 };

enum yaml_kind { YAML_KIND_SCALAR, YAML_KIND_MAP, YAML_KIND_LIST };

struct yaml {
    enum yaml_kind kind;
    int line;           /* from 1 */
    const char *key;    /* member of a mapping; NULL in a list */
    const char *text;   /* scalars; "" for null */
    bool quoted;        /* a scalar that was written in quotes: never null, never a number */
    struct yaml *child; /* first member or element */
    struct yaml *next;
};

/* *root is NULL for an empty document.  On failure *line and *why (static) say where. */
MUST_CHECK int yaml_read(struct bytes text, struct arena *arena, struct yaml **root, int *line,
                         const char **why);

#endif
