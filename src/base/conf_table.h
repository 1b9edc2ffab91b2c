/* base/conf_table.h - every option: its key, flag, variable, type and place.
 *
 * Data for base/conf alone.  `CONF_HARMLESS` options change nothing here that a user could
 * tell from the original; `CONF_NOTICE` options are read and reported as without effect.
 */
#ifndef BASE_CONF_TABLE_H
#define BASE_CONF_TABLE_H

#include "base/conf.h"

enum conf_type {
    CONF_TEXT,     /* const char * */
    CONF_BOOL,     /* bool */
    CONF_UINT,     /* uint32_t, min..max */
    CONF_INT,      /* int64_t, min..max */
    CONF_SECONDS,  /* uint32_t: a number of seconds */
    CONF_DURATION, /* checked only */
    CONF_NUMBER,   /* checked only: a decimal number */
    CONF_LIST,     /* struct conf_list */
    CONF_RANGE,    /* struct conf_range: N, A-B, or {start, end} */
    CONF_KEYS,     /* map of key: secret */
    CONF_NODE_IP,  /* text, or {ipv4, ipv6} */
    CONF_ADDR,     /* struct addr */
    CONF_ROOM,     /* struct conf_room of each name */
    CONF_LEVEL,    /* enum log_level */
    CONF_ANY,      /* any shape, unread */
};

enum conf_mark { CONF_EFFECT, CONF_HARMLESS, CONF_NOTICE };

struct conf_opt {
    const char *key; /* dotted; NULL for a flag without a key in the file */
    enum conf_type type;
    enum conf_mark mark;
    size_t at;
    int64_t min, max;
    const char *flag; /* named flag without dashes, or NULL */
    const char *env;  /* named variable, or NULL */
    const char *help; /* of the named flag */
    size_t set_at;    /* a bool to set beside it; 0: none */
};

extern const struct conf_opt conf_table[];
extern const size_t conf_table_n;

#endif
