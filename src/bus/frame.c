#include "bus/frame.h"

#include "psrpc.pb-c.h"

#define TYPE_PREFIX "type.googleapis.com/"

/* ---- names ---- */

static bool plain(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* The character at *p, moving on; what is no UTF-8 reads as U+FFFD, a byte at a time. */
static uint32_t next_rune(const uint8_t **p)
{
    const uint8_t *s = *p;
    uint32_t c = s[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (n > 1 && !pb_text_ok(bytes_of(s, strnlen((const char *)s, n)))) {
        *p = s + 1;
        return 0xfffd;
    }
    *p = s + n;
    if (n == 1)
        return c;
    c &= 0xffu >> (n + 1);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (s[i] & 0x3f);
    return c;
}

static void add_hex(struct wr *w, uint32_t c, int digits)
{
    static const char hex[] = "0123456789abcdef";

    while (digits-- > 0)
        wr_u8(w, (uint8_t)hex[c >> (4 * digits) & 0xf]);
}

static void add_part(struct wr *w, const char *text)
{
    const uint8_t *p = (const uint8_t *)text;

    while (*p != '\0') {
        uint32_t c = next_rune(&p);
        if (plain(c)) {
            wr_u8(w, (uint8_t)c);
        } else if (c < 0x10000) {
            wr_str(w, "u+");
            add_hex(w, c, 4);
        } else {
            wr_str(w, "U+");
            add_hex(w, c, 8);
        }
    }
}

bool frame_channel(char out[BUS_CHANNEL_MAX], const char *const *part, size_t n)
{
    struct wr w = wr_of(out, BUS_CHANNEL_MAX);
    bool first = true;

    assert(n <= FRAME_PARTS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (part[i] == NULL || part[i][0] == '\0')
            continue;
        if (!first)
            wr_u8(&w, '|');
        add_part(&w, part[i]);
        first = false;
    }
    wr_u8(&w, '\0');
    return wr_ok(&w);
}

/* ---- frames ---- */

void frame_pack(const ProtobufCMessage *m, struct str *out)
{
    char type[64 + sizeof TYPE_PREFIX] = TYPE_PREFIX;
    size_t n = strlen(m->descriptor->name);
    Internal__Msg msg = INTERNAL__MSG__INIT;
    struct str value;

    assert(n < 64);
    memcpy(type + sizeof TYPE_PREFIX - 1, m->descriptor->name, n + 1);
    str_init(&value, out->max);
    pb_pack(m, &value);
    msg.type_url = type;
    msg.value.data = (uint8_t *)value.p;
    msg.value.len = value.len;
    if (value.failed)
        out->failed = true;
    else
        pb_pack(&msg.base, out);
    str_fini(&value);
}

void *frame_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, struct bytes frame)
{
    Internal__Msg *msg = pb_unpack(a, &internal__msg__descriptor, frame);

    if (msg == NULL || strncmp(msg->type_url, TYPE_PREFIX, sizeof TYPE_PREFIX - 1) != 0 ||
        strcmp(msg->type_url + sizeof TYPE_PREFIX - 1, d->name) != 0)
        return NULL;
    return pb_unpack(a, d, bytes_of(msg->value.data, msg->value.len));
}
