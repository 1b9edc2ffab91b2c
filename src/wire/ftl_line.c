#include "wire/ftl_line.h"

#include "base/err.h"
#include "base/str.h"

void ftl_line_init(struct ftl_line *l)
{
    *l = (struct ftl_line){0};
}

static struct bytes trim(struct bytes b)
{
    while (b.len > 0 && (b.p[0] == ' ' || b.p[0] == '\t')) {
        b.p++;
        b.len--;
    }
    while (b.len > 0 && (b.p[b.len - 1] == ' ' || b.p[b.len - 1] == '\t' || b.p[b.len - 1] == '\r'))
        b.len--;
    return b;
}

int ftl_line_input(struct ftl_line *l, struct bytes in, size_t *used, struct bytes *line)
{
    *used = 0;
    if (l->taken)
        l->n = 0;
    l->taken = false;
    while (*used < in.len) {
        uint8_t c = in.p[(*used)++];
        if (c != '\n') {
            if (l->n == FTL_LINE_MAX)
                return E_TOO_LARGE; /* n stays: every later byte fails too */
            l->text[l->n++] = (char)c;
            continue;
        }
        struct bytes text = trim(bytes_of(l->text, l->n));
        if (text.len > 0) {
            l->taken = true;
            *line = text;
            return 1;
        }
        l->n = 0;
    }
    return 0;
}

/* Cuts the next word off *rest. */
static struct bytes word(struct bytes *rest)
{
    struct bytes b = trim(*rest);
    size_t n = 0;

    while (n < b.len && b.p[n] != ' ' && b.p[n] != '\t')
        n++;
    *rest = trim(bytes_of(b.p + n, b.len - n));
    return bytes_of(b.p, n);
}

/* The client prints its 32 bits with %d: ids over 2^31 arrive as negative numbers. */
static bool channel_of(struct bytes text, uint32_t *out)
{
    int64_t v;

    if (!str_to_i64(text, &v) || v < INT32_MIN || v > (int64_t)UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static int parse_connect(struct ftl_command *c, struct bytes rest)
{
    struct bytes id = word(&rest), digest = word(&rest);

    c->verb = FTL_VERB_CONNECT;
    if (!channel_of(id, &c->channel) || digest.len < 2 || digest.p[0] != '$' || rest.len > 0)
        return E_MALFORMED;
    c->digest = bytes_of(digest.p + 1, digest.len - 1);
    return 0;
}

int ftl_command_parse(struct ftl_command *c, struct bytes line)
{
    struct bytes rest = line, verb = word(&rest);

    *c = (struct ftl_command){0};
    if (bytes_eq_str(verb, "HMAC")) {
        c->verb = FTL_VERB_HMAC;
    } else if (bytes_eq_str(verb, "CONNECT")) {
        return parse_connect(c, rest);
    } else if (bytes_eq_str(verb, "PING")) {
        c->verb =
            FTL_VERB_PING; /* the number behind it is not needed: nor is a wrong one refused */
    } else if (bytes_eq_str(verb, "DISCONNECT")) {
        c->verb = FTL_VERB_DISCONNECT;
    } else if (bytes_eq_str(line, ".")) {
        c->verb = FTL_VERB_START;
    } else {
        const uint8_t *colon = line.len > 0 ? memchr(line.p, ':', line.len) : NULL;
        if (colon == NULL)
            return 0;
        size_t at = (size_t)(colon - line.p);
        c->verb = FTL_VERB_ATTRIBUTE;
        c->name = trim(bytes_of(line.p, at));
        c->value = trim(bytes_of(colon + 1, line.len - at - 1));
    }
    return 0;
}

bool ftl_value_bool(struct bytes value, bool *out)
{
    bool yes = str_ieq(value, "true");

    if (!yes && !str_ieq(value, "false"))
        return false;
    *out = yes;
    return true;
}
