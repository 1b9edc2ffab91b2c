/* wire/ftl_line.h - commands of an FTL control connection.  (ftl-lightspeed.md 1.1)
 *
 * A client ends each command with an empty line ("\r\n\r\n"); bare newlines are taken too, and
 * TCP may cut anywhere.  The reader collects one command of at most FTL_LINE_MAX bytes; a longer
 * one is an error for good.  No allocation.
 */
#ifndef WIRE_FTL_LINE_H
#define WIRE_FTL_LINE_H

#include "base/base.h"

enum { FTL_LINE_MAX = 512 };

enum ftl_verb {
    FTL_VERB_UNKNOWN,
    FTL_VERB_HMAC,
    FTL_VERB_CONNECT,   /* channel, digest */
    FTL_VERB_ATTRIBUTE, /* name, value */
    FTL_VERB_START,     /* "." */
    FTL_VERB_PING,
    FTL_VERB_DISCONNECT,
};

struct ftl_line {
    char text[FTL_LINE_MAX];
    size_t n;
    bool taken; /* text was handed out: the next byte begins a new one */
};

struct ftl_command {
    enum ftl_verb verb;
    uint32_t channel;         /* CONNECT, PING: ids over 2^31 come as negative numbers */
    struct bytes digest;      /* CONNECT: hexadecimal digits after '$' */
    struct bytes name, value; /* ATTRIBUTE, without surrounding blanks */
};

void ftl_line_init(struct ftl_line *l);
/* Takes bytes until a command is whole: 1 and *line (valid until the next call), 0 when more are
 * wanted, E_TOO_LARGE.  *used says how many bytes were taken; empty lines are stepped over. */
int ftl_line_input(struct ftl_line *l, struct bytes in, size_t *used, struct bytes *line);
/* Never fails on an unknown word (UNKNOWN); E_MALFORMED when a known verb lacks its arguments. */
MUST_CHECK int ftl_command_parse(struct ftl_command *c, struct bytes line);
/* "true" or "false", as an attribute's value has it. */
bool ftl_value_bool(struct bytes value, bool *out);

#endif
