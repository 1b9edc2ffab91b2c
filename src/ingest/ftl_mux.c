#include "ingest/ftl_mux.h"

#include "base/cursor.h"

enum { KEY_BYTES = 17 + 5, RTCP_FIRST = 200, RTCP_LAST = 207 };

void ftl_mux_init(struct ftl_mux *m, uint64_t seed)
{
    *m = (struct ftl_mux){0};
    map_init(&m->by_ssrc, seed);
    map_init(&m->by_port, seed);
    map_init(&m->by_ip, seed);
}

void ftl_mux_fini(struct ftl_mux *m)
{
    map_fini(&m->by_ssrc);
    map_fini(&m->by_port);
    map_fini(&m->by_ip);
}

static struct bytes ip_key_of(const struct addr *a, uint8_t out[KEY_BYTES])
{
    out[0] = a->family;
    memcpy(out + 1, a->ip, 16);
    return bytes_of(out, 17);
}

static struct bytes port_key_of(const struct addr *a, uint8_t out[KEY_BYTES])
{
    (void)ip_key_of(a, out); /* its bytes are wanted, not its span */
    store_u16(out + 17, a->port);
    return bytes_of(out, 19);
}

static struct bytes ssrc_key_of(const struct addr *a, uint32_t ssrc, uint8_t pt,
                                uint8_t out[KEY_BYTES])
{
    (void)ip_key_of(a, out); /* likewise */
    store_u32(out + 17, ssrc);
    out[21] = pt & 0x7f;
    return bytes_of(out, KEY_BYTES);
}

/* The count rides in the pointer. */
static uintptr_t streams_of(const struct ftl_mux *m, const struct addr *a)
{
    uint8_t key[KEY_BYTES];

    return (uintptr_t)map_find(&m->by_ip, ip_key_of(a, key));
}

static bool set_streams(struct ftl_mux *m, const struct addr *a, uintptr_t n)
{
    uint8_t key[KEY_BYTES];

    if (n > 0)
        return map_put(&m->by_ip, ip_key_of(a, key), (void *)n);
    (void)map_take(&m->by_ip, ip_key_of(a, key)); /* it held the count */
    return true;
}

static bool put_ssrc(struct ftl_mux *m, const struct addr *a, uint32_t ssrc, uint8_t pt,
                     void *owner)
{
    uint8_t key[KEY_BYTES];

    return map_put(&m->by_ssrc, ssrc_key_of(a, ssrc, pt, key), owner);
}

static void *find_ssrc(const struct ftl_mux *m, const struct addr *a, uint32_t ssrc, uint8_t pt)
{
    uint8_t key[KEY_BYTES];

    return map_find(&m->by_ssrc, ssrc_key_of(a, ssrc, pt, key));
}

static void take_ssrc(struct ftl_mux *m, const struct addr *a, uint32_t ssrc, uint8_t pt)
{
    uint8_t key[KEY_BYTES];

    (void)map_take(&m->by_ssrc, ssrc_key_of(a, ssrc, pt, key)); /* the owner is the caller's */
}

enum ftl_code ftl_mux_add(struct ftl_mux *m, const struct addr *peer, const struct ftl_stream *s,
                          void *owner)
{
    if (s->audio && find_ssrc(m, peer, s->audio_ssrc, s->audio_pt) != NULL)
        return FTL_AUDIO_SSRC;
    if (s->video && find_ssrc(m, peer, s->video_ssrc, s->video_pt) != NULL)
        return FTL_VIDEO_SSRC;
    if ((!s->audio || put_ssrc(m, peer, s->audio_ssrc, s->audio_pt, owner)) &&
        (!s->video || put_ssrc(m, peer, s->video_ssrc, s->video_pt, owner)) &&
        set_streams(m, peer, streams_of(m, peer) + 1))
        return FTL_OK;
    take_ssrc(m, peer, s->audio_ssrc, s->audio_pt);
    take_ssrc(m, peer, s->video_ssrc, s->video_pt);
    return FTL_INTERNAL;
}

bool ftl_mux_pin(struct ftl_mux *m, const struct addr *from, void *owner)
{
    uint8_t key[KEY_BYTES];

    return map_put(&m->by_port, port_key_of(from, key), owner);
}

void ftl_mux_remove(struct ftl_mux *m, const struct addr *peer, const struct ftl_stream *s,
                    const struct addr *from, us_t now)
{
    uintptr_t n = streams_of(m, peer);
    uint8_t key[KEY_BYTES];

    if (s->audio)
        take_ssrc(m, peer, s->audio_ssrc, s->audio_pt);
    if (s->video)
        take_ssrc(m, peer, s->video_ssrc, s->video_pt);
    if (from->family != 0) {
        (void)map_take(&m->by_port, port_key_of(from, key)); /* the owner is the caller's */
        m->stale[m->stale_at] =
            (struct ftl_mux_stale){.from = *from, .until = now + FTL_MUX_STALE_US};
        m->stale_at = (m->stale_at + 1) % FTL_MUX_STALE_MAX;
    }
    assert(n > 0);
    (void)set_streams(m, peer, n - 1); /* smaller: needs no memory */
}

static bool is_stale(const struct ftl_mux *m, const struct addr *from, us_t now)
{
    for (unsigned i = 0; i < FTL_MUX_STALE_MAX; i++) {
        if (now < m->stale[i].until && addr_eq(&m->stale[i].from, from))
            return true;
    }
    return false;
}

/* Whose port it is; else, of RTP, whose number. */
static void *find(const struct ftl_mux *m, const struct addr *from, struct bytes d, us_t now)
{
    uint8_t key[KEY_BYTES];
    void *owner = map_find(&m->by_port, port_key_of(from, key));
    bool rtcp = d.p[1] >= RTCP_FIRST && d.p[1] <= RTCP_LAST;

    if (owner != NULL || rtcp || d.len < 12 || is_stale(m, from, now))
        return owner;
    return find_ssrc(m, from, load_u32(d.p + 8), d.p[1]);
}

enum ftl_route ftl_mux_route(struct ftl_mux *m, const struct addr *from, struct bytes d, us_t now,
                             void **owner)
{
    *owner = NULL;
    if (d.len >= 4 && d.p[0] >> 6 == 2) {
        if (d.p[1] == FTL_MUX_PING_PT) {
            if (d.len <= FTL_MUX_PING_BYTES_MAX && streams_of(m, from) > 0)
                return FTL_ROUTE_ECHO;
        } else {
            *owner = find(m, from, d, now);
        }
    }
    if (*owner != NULL)
        return FTL_ROUTE_MEDIA;
    m->none_n++;
    return FTL_ROUTE_NONE;
}
