#include "room/data.h"

#include "wire/pb.h"

enum {
    F_KIND = 1, /* DataPacket */
    F_IDENTITY = 4,
    F_DESTINATIONS = 5,
    F_SEQUENCE = 16,
    F_SID = 17,
    USER_SID = 1, /* UserPacket */
    USER_DEST_SIDS = 3,
    USER_IDENTITY = 5,
    USER_DESTINATIONS = 6,
    USER_NONCE = 11,
    CHAT_GENERATED = 6, /* ChatMessage */
    HEADER_TEXT = 9,    /* DataStream.Header, its TextHeader */
    TEXT_GENERATED = 5,
};

static bool is_value(uint32_t no)
{
    return (no >= DATA_USER && no <= DATA_SPEAKER) ||
           (no >= DATA_SIP_DTMF && no <= DATA_STREAM_TRAILER) || no == DATA_ENCRYPTED;
}

static int add_dest(struct bytes *list, uint32_t *n, struct bytes text)
{
    if (*n >= DATA_DESTINATIONS_MAX)
        return E_TOO_LARGE;
    list[(*n)++] = text;
    return 0;
}

/* The packet's own list counts; the user packet's, when the other is empty. */
static int read_user(struct data_packet *d)
{
    struct rd r = rd_of(d->body);
    struct pb_field f;
    bool outer = d->dest_n > 0;
    int err = 0;

    while (err == 0 && pb_field_next(&r, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.no == USER_DESTINATIONS && !outer)
            err = add_dest(d->dest, &d->dest_n, f.bytes);
        else if (f.no == USER_DEST_SIDS)
            err = add_dest(d->dest_sid, &d->dest_sid_n, f.bytes);
        else if (f.no == USER_NONCE)
            d->nonce = f.bytes;
    }
    return err != 0 ? err : r.failed ? E_MALFORMED : 0;
}

int data_read(struct data_packet *d, struct bytes in)
{
    struct rd r = rd_of(in);
    struct pb_field f;

    d->value = DATA_NONE;
    d->body = d->nonce = (struct bytes){0};
    d->sequence = d->dest_n = d->dest_sid_n = 0;
    if (in.len > DATA_PACKET_MAX)
        return E_TOO_LARGE;
    while (pb_field_next(&r, &f)) {
        if (f.no == F_SEQUENCE && f.wire == PB_VARINT) {
            d->sequence = (uint32_t)f.num;
        } else if (f.no == F_DESTINATIONS && f.wire == PB_BYTES) {
            if (add_dest(d->dest, &d->dest_n, f.bytes) != 0)
                return E_TOO_LARGE;
        } else if (is_value(f.no) && f.wire == PB_BYTES) {
            d->value = f.no;
            d->body = f.bytes;
        }
    }
    if (r.failed)
        return E_MALFORMED;
    /* Text that is not UTF-8 would end the decoder of everybody it is passed on to. */
    int err = pb_check_relayed(&livekit__data_packet__descriptor, in);
    return err == 0 && d->value == DATA_USER ? read_user(d) : err;
}

bool data_accept(struct data_packet *d, struct member *from, bool reliable)
{
    if (!from->grant.can_publish_data || from->gone)
        return false;
    if (reliable && d->sequence > 0) {
        if (d->sequence <= from->last_sequence)
            return false;
        from->last_sequence = d->sequence;
    }
    if (d->value == DATA_TRANSCRIPTION && from->kind != LIVEKIT__PARTICIPANT_INFO__KIND__AGENT &&
        !from->grant.agent)
        return false;
    if (d->value == DATA_METRICS || d->value == DATA_SPEAKER)
        return false; /* for the server, not for others */
    return !room_nonce_seen(from->room, d->nonce);
}

static void put_dests(struct wr *w, const struct data_packet *d, uint32_t no)
{
    for (uint32_t i = 0; i < d->dest_n; i++)
        pb_put_bytes(w, no, d->dest[i]);
}

/* Writes field `no` holding what `tail` of w receives between begin and end: the body goes
 * behind a length of fixed width, which protobuf allows (a padded varint). */
static uint8_t *begin_field(struct wr *w, uint32_t no)
{
    pb_put_varint(w, (uint64_t)no << 3 | PB_BYTES);
    return wr_room(w, 3);
}

static void end_field(struct wr *w, uint8_t *len_at)
{
    if (!wr_ok(w))
        return;
    size_t n = (size_t)(w->p - len_at) - 3;
    assert(n < 1 << 21); /* three groups of seven bits; DATA_PACKET_MAX is far below */
    len_at[0] = (uint8_t)(0x80 | (n & 0x7f));
    len_at[1] = (uint8_t)(0x80 | ((n >> 7) & 0x7f));
    len_at[2] = (uint8_t)((n >> 14) & 0x7f);
}

static int stamp_user(const struct data_packet *d, const struct member *from, struct wr *w)
{
    static const uint32_t drop[] = {USER_SID, USER_IDENTITY, USER_DESTINATIONS};
    uint8_t *len_at = begin_field(w, DATA_USER);
    int err = pb_copy_without(w, d->body, drop, ARRAY_LEN(drop));

    if (!from->grant.hidden) {
        pb_put_str(w, USER_SID, from->sid);
        pb_put_str(w, USER_IDENTITY, from->identity);
    }
    put_dests(w, d, USER_DESTINATIONS);
    end_field(w, len_at);
    return err;
}

/* A text that an agent speaks in another's name is marked as generated. */
static int stamp_generated(const struct data_packet *d, struct wr *w)
{
    static const uint32_t drop_chat[] = {CHAT_GENERATED}, drop_header[] = {HEADER_TEXT},
                          drop_text[] = {TEXT_GENERATED};
    uint8_t *len_at = begin_field(w, d->value);
    struct pb_field text;
    int err;

    if (d->value == DATA_CHAT) {
        err = pb_copy_without(w, d->body, drop_chat, 1);
        pb_put_u64(w, CHAT_GENERATED, 1);
    } else {
        err = pb_copy_without(w, d->body, drop_header, 1);
        if (pb_field_find(d->body, HEADER_TEXT, &text) && text.wire == PB_BYTES) {
            uint8_t *text_len_at = begin_field(w, HEADER_TEXT);
            if (err == 0)
                err = pb_copy_without(w, text.bytes, drop_text, 1);
            pb_put_u64(w, TEXT_GENERATED, 1);
            end_field(w, text_len_at);
        }
    }
    end_field(w, len_at);
    return err;
}

static bool speaks_for_another(const struct data_packet *d, struct bytes in,
                               const struct member *from, struct bytes *whom)
{
    struct pb_field f, text;

    if (!from->grant.agent && from->kind != LIVEKIT__PARTICIPANT_INFO__KIND__AGENT)
        return false;
    if (d->value != DATA_CHAT &&
        !(d->value == DATA_STREAM_HEADER && pb_field_find(d->body, HEADER_TEXT, &text)))
        return false;
    if (!pb_field_find(in, F_IDENTITY, &f) || f.wire != PB_BYTES || f.bytes.len == 0 ||
        bytes_eq_str(f.bytes, from->identity))
        return false;
    *whom = f.bytes;
    return true;
}

int data_stamp(const struct data_packet *d, struct bytes in, const struct member *from,
               bool reliable, struct wr *w)
{
    uint32_t drop[] = {F_KIND, F_IDENTITY, F_DESTINATIONS, F_SID, 0};
    struct bytes whom;
    bool other = speaks_for_another(d, in, from, &whom);
    bool rebuilt = other || d->value == DATA_USER;
    int err;

    if (rebuilt)
        drop[4] = d->value; /* 0 drops nothing: there is no such field */
    err = pb_copy_without(w, in, drop, ARRAY_LEN(drop));
    if (err == 0 && d->value == DATA_USER)
        err = stamp_user(d, from, w);
    else if (err == 0 && other)
        err = stamp_generated(d, w);
    if (!reliable)
        pb_put_u64(w, F_KIND, LIVEKIT__DATA_PACKET__KIND__LOSSY);
    if (other)
        pb_put_bytes(w, F_IDENTITY, whom);
    else if (!from->grant.hidden)
        pb_put_str(w, F_IDENTITY, from->identity);
    put_dests(w, d, F_DESTINATIONS);
    pb_put_str(w, F_SID, from->sid);
    return err != 0 ? err : wr_ok(w) ? 0 : E_TOO_LARGE;
}

uint64_t data_mark_targets(const struct data_packet *d, struct room *r, const struct member *from)
{
    uint64_t mark = ++r->house->mark;
    bool all = d->dest_n == 0 && d->dest_sid_n == 0;
    struct member *m;

    for (uint32_t i = 0; all && i < r->member_n; i++)
        r->member[i]->mark = mark;
    for (uint32_t i = 0; i < d->dest_n; i++)
        if ((m = map_find(&r->by_identity, d->dest[i])) != NULL)
            m->mark = mark;
    for (uint32_t i = 0; i < d->dest_sid_n; i++)
        for (uint32_t k = 0; k < r->member_n; k++)
            if (bytes_eq_str(d->dest_sid[i], r->member[k]->sid))
                r->member[k]->mark = mark;
    if (from != NULL)
        ((struct member *)from)->mark = 0;
    return mark;
}
