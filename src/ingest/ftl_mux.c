#include "ingest/ftl_mux.h"

#include "base/cursor.h"

enum { KEY_BYTES = 17 + 4, RTCP_FIRST = 200, RTCP_LAST = 207 };

void ftl_mux_init(struct ftl_mux *m, uint64_t seed)
{
    *m = (struct ftl_mux){0};
    map_init(&m->by_ssrc, seed);
    map_init(&m->by_ip, seed);
}

void ftl_mux_fini(struct ftl_mux *m)
{
    map_fini(&m->by_ssrc);
    map_fini(&m->by_ip);
}

static struct bytes key_of(const struct addr *a, uint32_t ssrc, uint8_t out[KEY_BYTES])
{
    out[0] = a->family;
    memcpy(out + 1, a->ip, 16);
    store_u32(out + 17, ssrc);
    return bytes_of(out, KEY_BYTES);
}

static struct bytes ip_key_of(const struct addr *a, uint8_t out[KEY_BYTES])
{
    return bytes_of(key_of(a, 0, out).p, 17);
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

static bool put_ssrc(struct ftl_mux *m, const struct addr *a, uint32_t ssrc, void *owner)
{
    uint8_t key[KEY_BYTES];

    return map_put(&m->by_ssrc, key_of(a, ssrc, key), owner);
}

static void *find_ssrc(const struct ftl_mux *m, const struct addr *a, uint32_t ssrc)
{
    uint8_t key[KEY_BYTES];

    return map_find(&m->by_ssrc, key_of(a, ssrc, key));
}

static void take_ssrc(struct ftl_mux *m, const struct addr *a, uint32_t ssrc)
{
    uint8_t key[KEY_BYTES];

    (void)map_take(&m->by_ssrc, key_of(a, ssrc, key)); /* the owner is the caller's */
}

enum ftl_code ftl_mux_add(struct ftl_mux *m, const struct addr *peer, const struct ftl_stream *s,
                          void *owner)
{
    if (s->audio && find_ssrc(m, peer, s->audio_ssrc) != NULL)
        return FTL_AUDIO_SSRC;
    if (s->video && find_ssrc(m, peer, s->video_ssrc) != NULL)
        return FTL_VIDEO_SSRC;
    if ((!s->audio || put_ssrc(m, peer, s->audio_ssrc, owner)) &&
        (!s->video || put_ssrc(m, peer, s->video_ssrc, owner)) &&
        set_streams(m, peer, streams_of(m, peer) + 1))
        return FTL_OK;
    take_ssrc(m, peer, s->audio_ssrc);
    take_ssrc(m, peer, s->video_ssrc);
    return FTL_INTERNAL;
}

void ftl_mux_remove(struct ftl_mux *m, const struct addr *peer, const struct ftl_stream *s)
{
    uintptr_t n = streams_of(m, peer);

    if (s->audio)
        take_ssrc(m, peer, s->audio_ssrc);
    if (s->video)
        take_ssrc(m, peer, s->video_ssrc);
    assert(n > 0);
    (void)set_streams(m, peer, n - 1); /* smaller: needs no memory */
}

enum ftl_route ftl_mux_route(struct ftl_mux *m, const struct addr *from, struct bytes d,
                             void **owner)
{
    *owner = NULL;
    if (d.len >= 4 && d.p[0] >> 6 == 2) {
        bool rtcp = d.p[1] >= RTCP_FIRST && d.p[1] <= RTCP_LAST;
        size_t at = rtcp ? 4 : 8;
        if (d.p[1] == FTL_MUX_PING_PT) {
            if (d.len <= FTL_MUX_PING_BYTES_MAX && streams_of(m, from) > 0)
                return FTL_ROUTE_ECHO;
        } else if (d.len >= at + 4) {
            *owner = find_ssrc(m, from, load_u32(d.p + at));
        }
    }
    if (*owner != NULL)
        return FTL_ROUTE_MEDIA;
    m->none_n++;
    return FTL_ROUTE_NONE;
}
