/* base/log.h - one line per event, written in one place.
 *
 * A line is an event name and key=value pairs; it leaves by a single write(2), as text or as
 * a JSON object, so lines of several threads never mix.  Packet paths do not log: what is
 * counted is not logged.  LOG_* macros hold one site to LOG_SITE_PER_SEC lines a second at
 * info and above and say afterwards how many were left out.
 *
 * The clock is told (log_clock), never read.  Settings and clock are atomics: any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

#include <stdatomic.h>

enum {
    LOG_LINE_MAX = 2048,   /* bytes of a line; longer ones are cut */
    LOG_SITE_PER_SEC = 20, /* chosen: a burst of joins stays visible, a storm does not */
};

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum { LOG_VALUE_MAX = 160 }; /* of log_value(): 64 bytes of text, each escaped, and quotes */

struct log_site {
    _Atomic int64_t second; /* of the window that `n` counts */
    _Atomic uint32_t n;
};

void log_setup(enum log_level level, bool json, int fd);
enum log_level log_level(void);
/* "error", "warn", "info", "debug"; false on anything else. */
bool log_level_parse(struct bytes text, enum log_level *out);
/* Unix time for the lines that follow; each loop tells it once a round. */
void log_clock(int64_t wall_us);

/* A stranger's text as the value of a pair: at most 64 bytes of it, in quotes when it holds spaces,
 * quotes or control characters (which become '?').  Returns out. */
const char *log_value(char out[LOG_VALUE_MAX], const char *text);
/* `pairs` is "key=value key=\"quoted value\"" or empty. */
void log_line(enum log_level level, const char *event, const char *pairs);
void log_at(struct log_site *site, enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        static struct log_site log_site_here;                                                      \
        if ((level) <= log_level())                                                                \
            log_at(&log_site_here, (level), (event), __VA_ARGS__);                                 \
    } while (0)
#define LOG_E(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define LOG_W(event, ...) LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define LOG_I(event, ...) LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define LOG_D(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
