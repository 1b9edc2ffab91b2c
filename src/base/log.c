#include "base/log.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { VALUE_BYTES_MAX = 64 };

static_assert(2 * VALUE_BYTES_MAX + 3 <= LOG_VALUE_MAX, "every byte escaped, quotes, end");

/* The one place of the process that has mutable file-scope state below io/. */
static _Atomic int log_fd = 2;
static _Atomic int log_max = LOG_LEVEL_INFO;
static atomic_bool log_json;
static _Atomic int64_t log_wall_us;

static const char *const level_name[] = {"error", "warn", "info", "debug"};

void log_setup(enum log_level level, bool json, int fd)
{
    atomic_store(&log_max, (int)level);
    atomic_store(&log_json, json);
    atomic_store(&log_fd, fd);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&log_max, memory_order_relaxed);
}

bool log_level_parse(struct bytes text, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_name); i++) {
        if (bytes_eq_str(text, level_name[i])) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_clock(int64_t wall_us)
{
    atomic_store_explicit(&log_wall_us, wall_us, memory_order_relaxed);
}

/* Civil date from days since 1970 (proleptic Gregorian calendar), without libc's clock calls. */
static void date_of(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2 ? 1 : 0));
}

static void add_time(struct str *s, int64_t wall_us)
{
    int64_t sec = wall_us / US_PER_SEC;
    int64_t of_day = sec % 86400;
    int year, month, day;

    date_of(sec / 86400, &year, &month, &day);
    str_printf(s, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day, (int)(of_day / 3600),
               (int)(of_day / 60 % 60), (int)(of_day % 60), (int)(wall_us / 1000 % 1000));
}

static void add_quoted(struct str *s, struct bytes b, bool escaped)
{
    str_add_char(s, '"');
    for (size_t i = 0; i < b.len; i++) {
        if (escaped && b.p[i] == '\\' && i + 1 < b.len)
            i++; /* a quoted value writes these two as JSON does */
        uint8_t c = b.p[i];
        if (c == '"' || c == '\\')
            str_printf(s, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            str_printf(s, "\\u%04x", c);
        else
            str_add_char(s, (char)c);
    }
    str_add_char(s, '"');
}

const char *log_value(char out[LOG_VALUE_MAX], const char *text)
{
    struct bytes b = bytes_str(text);
    bool quote = b.len == 0;
    size_t n = 1;

    b.len = size_min(b.len, VALUE_BYTES_MAX);
    while (b.len > 0 && text[b.len] != '\0' && ((uint8_t)text[b.len] & 0xc0) == 0x80)
        b.len--; /* not in the middle of a character */
    out[0] = '"';
    for (size_t i = 0; i < b.len; i++) {
        uint8_t c = b.p[i];
        quote |= c <= 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '=';
        if (c == '"' || c == '\\')
            out[n++] = '\\';
        out[n++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    out[n] = '"';
    out[n + 1] = '\0';
    if (quote)
        return out;
    out[n] = '\0';
    return out + 1;
}

/* The value of one pair: up to the next space, or a quoted run. */
static struct bytes take_value(const char **at)
{
    const char *p = *at;
    const char *from = p;
    char stop = ' ';

    if (*p == '"') {
        from = ++p;
        stop = '"';
    }
    while (*p != '\0' && *p != stop)
        p += (stop == '"' && *p == '\\' && p[1] != '\0') ? 2 : 1;
    struct bytes v = bytes_of(from, (size_t)(p - from));
    *at = *p == '"' ? p + 1 : p;
    return v;
}

static void add_json_pairs(struct str *s, const char *p)
{
    while (*p != '\0') {
        while (*p == ' ')
            p++;
        const char *key = p;
        while (*p != '\0' && *p != '=' && *p != ' ')
            p++;
        if (p == key)
            break;
        str_add_char(s, ',');
        add_quoted(s, bytes_of(key, (size_t)(p - key)), false);
        str_add_char(s, ':');
        struct bytes v = {0};
        bool quoted = false;
        if (*p == '=') {
            quoted = *++p == '"';
            v = take_value(&p);
        }
        add_quoted(s, v, quoted);
    }
}

/* Control characters would let a stranger's string fake a second line. */
static void add_text_pairs(struct str *s, const char *p)
{
    for (; *p != '\0'; p++)
        str_add_char(s, (uint8_t)*p < 0x20 || *p == 0x7f ? '?' : *p);
}

void log_line(enum log_level level, const char *event, const char *pairs)
{
    struct str s;
    int64_t wall_us = atomic_load_explicit(&log_wall_us, memory_order_relaxed);

    if ((int)level > atomic_load_explicit(&log_max, memory_order_relaxed))
        return;
    str_init(&s, (size_t)LOG_LINE_MAX * 6); /* every character escaped, at worst */
    if (atomic_load(&log_json)) {
        str_add(&s, "{\"ts\":\"");
        add_time(&s, wall_us);
        str_printf(&s, "\",\"level\":\"%s\",\"event\":", level_name[level]);
        add_quoted(&s, bytes_str(event), false);
        add_json_pairs(&s, pairs);
        str_add_char(&s, '}');
    } else {
        add_time(&s, wall_us);
        str_printf(&s, " %-5s %s", level_name[level], event);
        if (pairs[0] != '\0')
            str_add_char(&s, ' ');
        add_text_pairs(&s, pairs);
    }
    str_add_char(&s, '\n');
    if (!s.failed && s.p != NULL)
        (void)!write(atomic_load(&log_fd), s.p, s.len); /* nowhere to complain about a lost line */
    str_fini(&s);
}

/* Lines this site may still write in this second; the first of a new second learns how many the
 * last one left out. */
static bool site_admits(struct log_site *site, uint32_t *left_out)
{
    int64_t second = atomic_load_explicit(&log_wall_us, memory_order_relaxed) / US_PER_SEC;
    int64_t seen = atomic_load(&site->second);

    *left_out = 0;
    if (seen != second && atomic_compare_exchange_strong(&site->second, &seen, second)) {
        uint32_t n = atomic_exchange(&site->n, 0);
        *left_out = n > LOG_SITE_PER_SEC ? n - LOG_SITE_PER_SEC : 0;
    }
    return atomic_fetch_add(&site->n, 1) < LOG_SITE_PER_SEC;
}

void log_at(struct log_site *site, enum log_level level, const char *event, const char *fmt, ...)
{
    char pairs[LOG_LINE_MAX];
    uint32_t left_out;
    va_list ap;

    if (level <= LOG_LEVEL_INFO && !site_admits(site, &left_out))
        return;
    va_start(ap, fmt);
    int n = vsnprintf(pairs, sizeof pairs, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if (level <= LOG_LEVEL_INFO && left_out > 0 && (size_t)n + 32 < sizeof pairs)
        (void)snprintf(pairs + n, sizeof pairs - (size_t)n, " left_out=%u", left_out);
    log_line(level, event, pairs);
}
