#include "api/whip.h"

#include "api/whep.h"
#include "base/mem.h"
#include "base/test.h"
#include "wire/sdp.h"

enum { BODY_MAX = 65536 };

#define HEAD                                                                                       \
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=setup:actpass\r\n"                         \
    "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:"  \
    "77:88:99:AA:BB:CC:DD:EE:FF\r\n"
#define ICE(ufrag) "a=ice-ufrag:" ufrag "\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"

/* As OBS offers: sound first, no candidates, sendonly. */
#define OBS_MEDIA(pt)                                                                              \
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n"                   \
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 "                                                     \
    "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1\r\n"                                       \
    "m=video 9 UDP/TLS/RTP/SAVPF " pt "\r\na=mid:1\r\na=sendonly\r\na=rtcp-mux\r\n"                \
    "a=rtpmap:" pt " H264/90000\r\na=rtcp-fb:" pt " nack\r\na=rtcp-fb:" pt                         \
    " nack pli\r\na=fmtp:" pt                                                                      \
    " profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n"
static const char obs[] = HEAD ICE("abcd") OBS_MEDIA("96");
static const char obs_again[] = HEAD ICE("efgh") OBS_MEDIA("96");
static const char obs_other[] = HEAD ICE("ijkl") OBS_MEDIA("98");

struct rig {
    struct hub *hub;
    struct node_cfg cfg;
    struct streams all;
    struct ingress_book *book;
    uint64_t conn;
    struct addr from;
    int status;
    char body[BODY_MAX], location[256], etag[64];
};

static void rig_open(struct rig *r)
{
    static const uint8_t fingerprint[32];
    const struct hub_cfg cfg = {.house = {.seed = 3, .shard_n = 1, .departure_timeout_s = 20},
                                .fingerprint = {fingerprint, sizeof fingerprint},
                                .version = "1",
                                .region = "",
                                .key_id = "key",
                                .key_secret = "secret",
                                .auto_create = true,
                                .message_bytes_max = 1 << 20};
    const struct ingress_cfg book = {.seed = 5,
                                     .rtmp_base_url = "",
                                     .whip_base_url = "",
                                     .ws_url = "",
                                     .key_id = "key",
                                     .key_secret = "secret",
                                     .default_key = "default-stream-key"};

    *r = (struct rig){.cfg = {.key = {{"key", "secret"}}, .key_n = 1}};
    EXPECT_EQ(hub_open(&r->hub, &cfg, (struct tick){.now = US_PER_SEC}), 0);
    EXPECT_EQ(ingress_open(&r->book, &book), 0);
    streams_init(&r->all, r->hub, &r->cfg);
    r->all.book = r->book;
}

static void rig_close(struct rig *r)
{
    streams_fini(&r->all);
    hub_free(r->hub);
    ingress_free(r->book);
}

static void copy_header(const char *headers, const char *name, char *out, size_t cap)
{
    const char *at = headers != NULL ? strstr(headers, name) : NULL;

    out[0] = '\0';
    if (at != NULL)
        EXPECT(str_copy(out, cap, bytes_of(at + strlen(name), strcspn(at + strlen(name), "\r"))));
}

static int ask(struct rig *r, const char *method, const char *path, const char *type,
               const char *auth, const char *match, const char *body)
{
    struct http_header h[4];
    struct http_msg m = {.method = method, .path = path, .query = "", .header = h};
    const struct outbox_item *it;

    if (type != NULL)
        h[m.header_n++] = (struct http_header){"content-type", type};
    if (auth != NULL)
        h[m.header_n++] = (struct http_header){"authorization", auth};
    if (match != NULL)
        h[m.header_n++] = (struct http_header){"if-match", match};
    m.body = bytes_str(body != NULL ? body : "");
    r->status = 0;
    r->conn++;
    if (!whep_http(&r->all, r->conn, &m, &r->from) && !whip_http(&r->all, r->conn, &m, &r->from))
        return 0;
    while ((it = outbox_next(&r->hub->out)) != NULL) {
        if (it->kind != OUTBOX_HTTP)
            continue;
        r->status = it->status;
        EXPECT(str_copy(r->body, sizeof r->body, bytes_of(it->frame->data, it->frame->len)));
        copy_header(it->headers, "Location: ", r->location, sizeof r->location);
        copy_header(it->headers, "ETag: ", r->etag, sizeof r->etag);
    }
    return r->status;
}

static int post(struct rig *r, const char *path, const char *auth, const char *offer)
{
    return ask(r, "POST", path, "application/sdp", auth, NULL, offer);
}

static struct member *live(struct rig *r)
{
    struct room *room = house_find(&r->hub->house, "live");

    return room != NULL ? room_find(room, "live") : NULL;
}

TEST(the_key_says_who_publishes_and_where)
{
    struct rig r;

    rig_open(&r);
    EXPECT_EQ(post(&r, "/live", "Bearer default-stream-key", obs), 201);
    struct member *m = live(&r);
    EXPECT(m != NULL && m->kind == LIVEKIT__PARTICIPANT_INFO__KIND__INGRESS);
    EXPECT(!m->grant.can_subscribe && m->grant.can_publish);
    EXPECT_EQ(m->pub_n, 2);
    EXPECT(strstr(r.body, "m=audio") < strstr(r.body, "m=video"));
    EXPECT(strstr(r.body, "a=recvonly") != NULL);
    EXPECT(strncmp(r.location, "/live/WH_", 9) == 0);
    const struct ingress *i = ingress_by_key(r.book, bytes_str("default-stream-key"));
    EXPECT_EQ(i->state->status, LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_BUFFERING);
    EXPECT_EQ(ask(&r, "DELETE", r.location, NULL, NULL, NULL, NULL), 200);
    EXPECT(live(&r) == NULL);
    EXPECT_EQ(i->state->status, LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE);
    EXPECT_EQ(post(&r, "/x/default-stream-key", NULL, obs), 201);
    EXPECT(strncmp(r.location, "/x/default-stream-key/WH_", 25) == 0);
    rig_close(&r);
}

TEST(wrong_keys_and_names_that_are_taken_are_refused)
{
    struct rig r;

    rig_open(&r);
    EXPECT_EQ(post(&r, "/whip", NULL, obs), 401);
    EXPECT_EQ(post(&r, "/whip", "Bearer default-stream-kez", obs), 401);
    EXPECT_EQ(post(&r, "/whip/default-stream-ke", NULL, obs), 401);
    EXPECT_EQ(post(&r, "/whip/a/b", NULL, obs), 404);
    EXPECT_EQ(post(&r, "/rtc/default-stream-key", NULL, obs), 0); /* not ours */
    EXPECT_EQ(post(&r, "/stream", "default-stream-key", obs), 0);
    EXPECT_EQ(ask(&r, "GET", "/live", NULL, NULL, NULL, NULL), 0);
    EXPECT_EQ(post(&r, "/w", "default-stream-key", "v=0\r\n"), 406);
    EXPECT(live(&r) == NULL);
    rig_close(&r);
}

TEST(where_a_service_decides_on_keys_none_is_taken_unasked)
{
    struct rig r;

    rig_open(&r);
    r.cfg.keys_elsewhere = true;
    EXPECT_EQ(post(&r, "/live", "Bearer default-stream-key", obs), 403);
    EXPECT_EQ(post(&r, "/x/default-stream-key", NULL, obs), 403);
    EXPECT(live(&r) == NULL);
    rig_close(&r);
}

TEST(who_comes_again_with_the_key_goes_on_with_the_tracks)
{
    struct rig r;
    char sid[2][ROOM_SID_MAX], track[2][ROOM_SID_MAX], first[256];
    track_id id[2];
    size_t n = 0;

    rig_open(&r);
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs), 201);
    struct member *m = live(&r);
    memcpy(sid[0], m->sid, sizeof sid[0]);
    for (struct pub *p = m->pubs; p != NULL; p = p->next, n++) {
        id[n] = p->track;
        EXPECT(str_copy(track[n], sizeof track[n], bytes_str(p->info->sid)));
    }
    memcpy(first, r.location, sizeof first);
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs_again), 201);
    EXPECT(strcmp(first, r.location) != 0);
    EXPECT_STR(live(&r)->sid, sid[0]);
    EXPECT_EQ(live(&r)->pub_n, 2);
    n = 0;
    for (struct pub *p = live(&r)->pubs; p != NULL; p = p->next, n++) {
        EXPECT_EQ(p->track, id[n]);
        EXPECT_STR(p->info->sid, track[n]);
        EXPECT(!p->adrift);
    }
    /* The one before has lost its resource: its good-bye ends nothing. */
    EXPECT_EQ(ask(&r, "DELETE", first, NULL, NULL, NULL, NULL), 404);
    EXPECT(live(&r) != NULL);

    /* Under other payload types it cannot be the same track: it is another one of the same member.
     */
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs_other), 201);
    EXPECT_STR(live(&r)->sid, sid[0]);
    EXPECT_EQ(live(&r)->pub_n, 2);
    EXPECT(pub_find(live(&r), track[0]) != NULL);
    EXPECT(pub_find(live(&r), track[1]) == NULL);
    hub_tick(r.hub);
    rig_close(&r);
}

TEST(a_second_publisher_is_refused_where_that_is_asked_but_not_one_that_comes_back)
{
    struct rig r;

    rig_open(&r);
    r.cfg.refuse_second = true;
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs), 201);
    struct session *s = live(&r)->session;
    struct evt ev = {.kind = EVT_PEER_STATE,
                     .peer_state = {.peer = s->pc[PC_PUBLISHER].peer, .state = PEER_CONNECTED}};
    hub_event(r.hub, &ev);
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs_again), 409);
    ev.peer_state.state = PEER_FAILED;
    hub_event(r.hub, &ev);
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs_again), 201);
    rig_close(&r);
}

TEST(a_connection_that_fails_is_waited_for_and_then_ends)
{
    struct rig r;
    uint64_t heard;
    struct stream *st;

    rig_open(&r);
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs), 201);
    struct session *s = live(&r)->session;
    struct evt up = {.kind = EVT_PEER_STATE,
                     .peer_state = {.peer = s->pc[PC_PUBLISHER].peer, .state = PEER_CONNECTED}};
    hub_event(r.hub, &up);
    hub_tick(r.hub);
    while ((st = stream_news(&r.all, &heard)) != NULL)
        whip_news(st, heard);
    const struct ingress *i = ingress_by_key(r.book, bytes_str("default-stream-key"));
    EXPECT_EQ(i->state->status, LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_PUBLISHING);

    up.peer_state.state = PEER_FAILED;
    hub_event(r.hub, &up);
    hub_time(r.hub, (struct tick){.now = US_PER_SEC + STREAM_GRACE_US - 1});
    hub_tick(r.hub);
    EXPECT(live(&r) != NULL);
    hub_time(r.hub, (struct tick){.now = US_PER_SEC + STREAM_GRACE_US + US_PER_MS});
    hub_tick(r.hub);
    EXPECT(live(&r) == NULL);
    while ((st = stream_news(&r.all, &heard)) != NULL)
        whip_news(st, heard);
    EXPECT_EQ(r.all.n, 0);
    EXPECT_EQ(i->state->status, LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE);
    rig_close(&r);
}

TEST(patches_within_and_beyond_the_budget)
{
    static const char type[] = "application/trickle-ice-sdpfrag";
    static const char frag[] = ICE("abcd") "a=end-of-candidates\r\n", other[] = ICE("zzzz");
    struct rig r;
    char resource[256], tag[64];

    rig_open(&r);
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs), 201);
    memcpy(resource, r.location, sizeof resource);
    memcpy(tag, r.etag, sizeof tag);
    EXPECT_EQ(ask(&r, "PATCH", resource, type, NULL, tag, frag), 204);
    EXPECT_EQ(ask(&r, "PATCH", resource, type, NULL, "*", other), 200);
    EXPECT(strstr(r.body, "a=ice-ufrag:") != NULL);
    EXPECT(strcmp(r.etag, tag) != 0);
    EXPECT_EQ(ask(&r, "PATCH", resource, type, NULL, tag, frag), 412);
    int last = 0;
    for (int i = 0; i < STREAM_ASKS_BURST; i++)
        last = ask(&r, "PATCH", resource, type, NULL, NULL, other);
    EXPECT_EQ(last, 429);
    rig_close(&r);
}

TEST(an_ingress_that_changes_under_its_session_ends_it)
{
    struct rig r;

    rig_open(&r);
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs), 201);
    const struct ingress *i = ingress_by_key(r.book, bytes_str("default-stream-key"));
    whip_stop(&r.all, "IN_other", i->state->resource_id);
    whip_stop(&r.all, i->info->ingress_id, "WH_before");
    EXPECT(live(&r) != NULL);
    whip_stop(&r.all, i->info->ingress_id, i->state->resource_id);
    EXPECT(live(&r) == NULL);
    rig_close(&r);
}

TEST(strangers_who_never_connect_are_bounded_by_their_address)
{
    static const char viewer[] = HEAD ICE(
        "abcd") "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"
                "a=rtpmap:96 H264/90000\r\na=fmtp:96 "
                "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n";
    struct rig r;
    uint64_t heard;
    struct stream *st;

    rig_open(&r);
    EXPECT(addr_parse_ip(&r.from, bytes_str("192.0.2.7"), 1));
    for (int i = 0; i < STREAM_PENDING_MAX; i++)
        EXPECT_EQ(post(&r, "/whep/live", NULL, viewer), 201);
    EXPECT_EQ(post(&r, "/whep/live", NULL, viewer), 429);
    EXPECT(addr_parse_ip(&r.from, bytes_str("192.0.2.8"), 1));
    EXPECT_EQ(post(&r, "/whep/live", NULL, viewer), 201);
    EXPECT_EQ(ask(&r, "GET", r.location, NULL, NULL, NULL, NULL), 200);
    EXPECT(strstr(r.body, "\"viewers\":65") != NULL);
    EXPECT_EQ(house_find(&r.hub->house, "live")->member_n, STREAM_PENDING_MAX + 1);
    hub_time(r.hub, (struct tick){.now = US_PER_SEC + STREAM_CONNECT_US + US_PER_MS});
    hub_tick(r.hub);
    while ((st = stream_news(&r.all, &heard)) != NULL)
        whep_news(st, heard);
    EXPECT_EQ(r.all.n, 0);
    rig_close(&r);
}

TEST(viewers_see_an_ingress_then_who_is_not_muted_then_who_came_first)
{
    struct rig r;

    rig_open(&r);
    EXPECT_EQ(post(&r, "/whip", "default-stream-key", obs), 201);
    struct member *m = live(&r);
    const struct room *room = m->room;
    EXPECT(stream_publisher(room) == m);
    struct member other = *m; /* the room as two members see it */
    struct member *both[] = {&other, m}, **was = m->room->member;
    m->room->member = both;
    m->room->member_n = 2;
    other.kind = LIVEKIT__PARTICIPANT_INFO__KIND__STANDARD;
    EXPECT(stream_publisher(room) == m);
    m->kind = LIVEKIT__PARTICIPANT_INFO__KIND__STANDARD;
    EXPECT(stream_publisher(room) == &other);
    struct pub quiet = *other.pubs;
    Livekit__TrackInfo info = *quiet.info;
    info.muted = true;
    quiet.info = &info;
    quiet.next = NULL;
    other.pubs = &quiet;
    EXPECT(stream_publisher(room) == m);
    other.grant.hidden = m->grant.hidden = true;
    EXPECT(stream_publisher(room) == NULL);
    m->room->member = was;
    m->room->member_n = 1;
    rig_close(&r);
}

/* The body decides everything else. */
FUZZ(whip_offer, in)
{
    struct rig r;
    char *text = mem_dup(in.p, in.len);

    rig_open(&r);
    int status = post(&r, "/whip", "default-stream-key", text);
    EXPECT(status == 201 || status == 400 || status == 406 || status == 413 || status == 429);
    EXPECT(status == 201 || live(&r) == NULL);
    rig_close(&r);
    mem_free(text);
}
