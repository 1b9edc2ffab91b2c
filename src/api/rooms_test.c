#include "api/node_test.h"

#define PLAYOUT "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

/* Bob's section that carries Alice's picture, in his last answer (one connection) or our last offer
 * (two). */
static const struct sdp_media *sent_section(struct fake *f, uint64_t conn, bool single_pc,
                                            struct sdp *sdp)
{
    Livekit__SignalResponse *m, *last = NULL;

    while ((m = single_pc ? GOT(&f->c[conn], ANSWER) : GOT(&f->c[conn], OFFER)) != NULL)
        last = m;
    EXPECT(last != NULL);
    *sdp = fake_sdp(&f->c[conn], single_pc ? last->answer->sdp : last->offer->sdp);
    for (uint32_t i = 0; i < sdp->media_n; i++)
        if (sdp->media[i].kind == SDP_VIDEO && sdp->media[i].msid_n > 0)
            return &sdp->media[i];
    return NULL;
}

TEST(in_a_room_with_synchronous_streams_a_source_is_one_stream)
{
    struct fake *f = new_fake();
    struct sdp sdp;
    char want[64];

    (void)call(f, "CreateRoom", "{\"name\":\"demo\",\"syncStreams\":true}");
    two_join(f);
    alice_publishes(f);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    const struct sdp_media *v = sent_section(f, 2, true, &sdp);
    EXPECT(v != NULL);
    f->c[1].read_n = 0;
    const char *alice = GOT(&f->c[1], JOIN)->join->participant->sid;
    snprintf(want, sizeof want, "%s|camera", alice);
    EXPECT_STR(v->msid[0].stream, want);
    EXPECT_EQ(strncmp(v->msid[0].track, "TR_", 3), 0);
    EXPECT_STR(v->ssrc[0].cname, want);
    EXPECT_STR(fake_last(f, CMD_SUB_ATTACH)->sub_attach.cname, want);
    end_fake(f);
}

/* She publishes; then Bob comes, and his first offer has a section for her. */
static void alice_first(struct fake *f)
{
    fake_join(f, 1, "alice", fake_recorded(f, single, "alice", 0), NULL);
    fake_state(f, fake_last(f, CMD_PEER_OPEN)->peer_open.peer, PEER_CONNECTED);
    alice_publishes(f);
    fake_join(f, 2, "bob", fake_recorded(f, single, "bob", 0), NULL);
}

TEST(the_playout_delay_of_a_room_is_agreed_on_and_told_to_the_shard)
{
    struct fake *f = new_fake();
    struct sdp sdp;

    (void)call(f, "CreateRoom",
               "{\"name\":\"demo\",\"minPlayoutDelay\":100,\"maxPlayoutDelay\":2000}");
    alice_first(f);
    const struct sdp_media *v = sent_section(f, 2, true, &sdp);
    const struct sdp_ext *e = sdp_find_ext(v, PLAYOUT);
    EXPECT(e != NULL);
    const struct cmd_sub_attach *a = &fake_last(f, CMD_SUB_ATTACH)->sub_attach;
    EXPECT_EQ(a->ext.id[RTP_EXT_PLAYOUT_DELAY], e->id);
    EXPECT_EQ(a->min_playout_ms, 100);
    EXPECT_EQ(a->max_playout_ms, 2000);
    end_fake(f);
}

TEST(without_a_playout_delay_the_element_is_not_agreed_on)
{
    struct fake *f = new_fake();
    struct sdp sdp;

    alice_first(f);
    EXPECT(sdp_find_ext(sent_section(f, 2, true, &sdp), PLAYOUT) == NULL);
    EXPECT_EQ(fake_last(f, CMD_SUB_ATTACH)->sub_attach.ext.id[RTP_EXT_PLAYOUT_DELAY], 0);
    end_fake(f);
}

TEST(our_own_offers_bring_the_playout_delay_too)
{
    struct fake *f = new_fake();
    struct sdp sdp;

    (void)call(f, "CreateRoom", "{\"name\":\"demo\",\"maxPlayoutDelay\":2000}");
    fake_join(f, 1, "alice", fake_recorded(f, single, "alice", 0), NULL);
    fake_state(f, fake_last(f, CMD_PEER_OPEN)->peer_open.peer, PEER_CONNECTED);
    alice_publishes(f);
    fake_join_dual(f, 2, "bob", "");
    fake_pass(f, 300 * US_PER_MS);
    const struct sdp_media *v = sent_section(f, 2, false, &sdp);
    EXPECT(v != NULL);
    EXPECT(sdp_find_ext(v, PLAYOUT) != NULL);
    end_fake(f);
}

static void sip_admin(struct token_claims *c)
{
    c->has_video = false;
    c->sip_admin = true;
}

static void recorder_of_rooms(struct token_claims *c)
{
    c->video.room_record = true;
}

static void both_rooms(struct token_claims *c)
{
    all_grants(c);
    c->video.destination_room = "other";
}

static void same_room(struct token_claims *c)
{
    all_grants(c);
    c->video.destination_room = "demo";
}

/* What an original server of version 1.13.3 answers, word for word. */
TEST(errors_are_the_originals_to_the_letter)
{
    static const struct {
        const char *method;
        void (*rights)(struct token_claims *);
        const char *body; /* %s: 1,200 characters */
        int status;
        const char *answer;
    } rows[] = {
        {"RoomService/CreateRoom", all_grants, "{\"name\":\"q\",\"metadata\":\"%s\"}", 400,
         "{\"code\":\"invalid_argument\",\"msg\":\"metadata size exceeds limits 1000\",\"meta\":{"
         "\"argument\":\"metadata size exceeds limits\"}}"},
        {"RoomService/CreateRoom", all_grants, "{\"name\":\"%s\"}", 400,
         "{\"code\":\"invalid_argument\",\"msg\":\"twirp error unknown: room name length exceeds "
         "limits: max length 256\"}"},
        {"RoomService/UpdateParticipant", all_grants,
         "{\"room\":\"demo\",\"identity\":\"alice\",\"name\":\"%s\"}", 400,
         "{\"code\":\"invalid_argument\",\"msg\":\"name length exceeds limits 256\",\"meta\":{"
         "\"argument\":\"name length exceeds limits\"}}"},
        {"RoomService/UpdateParticipant", all_grants,
         "{\"room\":\"demo\",\"identity\":\"alice\",\"attributes\":{\"a\":\"%s\"}}", 400,
         "{\"code\":\"invalid_argument\",\"msg\":\"attribute size exceeds limits 1000\",\"meta\":{"
         "\"argument\":\"attribute size exceeds limits\"}}"},
        {"RoomService/SendData", all_grants,
         "{\"room\":\"demo\",\"data\":\"aGk=\",\"nonce\":\"AAAA\"}", 400,
         "{\"code\":\"invalid_argument\",\"msg\":\"nonce should be 16-bytes or not present, got: 3 "
         "bytes\"}"},
        {"RoomService/PerformRpc", all_grants, "{\"room\":\"demo\",\"method\":\"m\"}", 400,
         "{\"code\":\"invalid_argument\",\"msg\":\"twirp error unknown: destination identity is "
         "required\"}"},
        {"RoomService/MoveParticipant", same_room,
         "{\"room\":\"demo\",\"identity\":\"alice\",\"destinationRoom\":\"demo\"}", 400,
         "{\"code\":\"invalid_argument\",\"msg\":\"destination room cannot be the same as source "
         "room \",\"meta\":{\"argument\":\"destination room cannot be the same as source room\"}}"},
        {"RoomService/MoveParticipant", both_rooms,
         "{\"room\":\"demo\",\"identity\":\"alice\",\"destinationRoom\":\"other\"}", 500,
         "{\"code\":\"unknown\",\"msg\":\"twirp error unknown: not implemented\"}"},
        {"Egress/ListEgress", recorder_of_rooms, "{}", 500,
         "{\"code\":\"internal\",\"msg\":\"twirp error unknown: egress not connected (redis "
         "required)\"}"},
        {"Egress/ListEgress", all_grants, "{}", 401,
         "{\"code\":\"unauthenticated\",\"msg\":\"permissions denied\"}"},
        {"SIP/ListSIPInboundTrunk", sip_admin, "{}", 500,
         "{\"code\":\"internal\",\"msg\":\"twirp error unknown: sip not connected (redis "
         "required)\"}"},
        {"SIP/ListSIPInboundTrunk", all_grants, "{}", 401,
         "{\"code\":\"unauthenticated\",\"msg\":\"permissions denied\"}"},
    };
    struct fake *f = new_fake();
    char large[1201], body[1400];

    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    fake_join(f, 1, "alice", NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *hole = strstr(rows[i].body, "%s");
        if (hole == NULL)
            snprintf(body, sizeof body, "%s", rows[i].body);
        else
            snprintf(body, sizeof body, "%.*s%s%s", (int)(hole - rows[i].body), rows[i].body, large,
                     hole + 2);
        EXPECT_STR(fake_call(f, rows[i].method, body, rows[i].rights), rows[i].answer);
        EXPECT_EQ(f->c[8].status, rows[i].status);
    }
    end_fake(f);
}

TEST(a_call_to_a_participant_ends_in_the_originals_words)
{
    struct fake *f = new_fake();

    fake_join(f, 1, "alice", NULL, NULL);
    (void)call(f, "PerformRpc",
               "{\"room\":\"demo\",\"destinationIdentity\":\"alice\",\"method\":\"m\"}");
    EXPECT_EQ(f->c[8].status, 0); /* it waits */
    fake_pass(f, 3 * US_PER_SEC);
    EXPECT_EQ(f->c[8].status, 408);
    EXPECT_STR(f->c[8].body, "{\"code\":\"canceled\",\"msg\":\"twirp error unknown: RpcError 1501: "
                             "Connection timeout\"}");
    (void)call(f, "PerformRpc",
               "{\"room\":\"demo\",\"destinationIdentity\":\"alice\",\"method\":\"m\"}");
    node_conn_closed(f->node, 1, f->tick);
    fake_step(f);
    EXPECT_EQ(f->c[8].status, 503);
    EXPECT_STR(f->c[8].body, "{\"code\":\"unavailable\",\"msg\":\"twirp error unknown: RpcError "
                             "1503: Recipient disconnected\"}");
    end_fake(f);
}

static void set_quality(struct fake *f, uint64_t conn, const char *sid, Livekit__VideoQuality q)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__UpdateTrackSettings t = LIVEKIT__UPDATE_TRACK_SETTINGS__INIT;
    char *sids[1] = {(char *)sid};

    t.track_sids = sids;
    t.n_track_sids = 1;
    t.quality = q;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_TRACK_SETTING;
    r.track_setting = &t;
    fake_say(f, conn, &r);
}

static void subscribe(struct fake *f, uint64_t conn, const char *sid, bool wanted)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__UpdateSubscription u = LIVEKIT__UPDATE_SUBSCRIPTION__INIT;
    char *sids[1] = {(char *)sid};

    u.track_sids = sids;
    u.n_track_sids = 1;
    u.subscribe = wanted;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SUBSCRIPTION;
    r.subscription = &u;
    fake_say(f, conn, &r);
}

TEST(a_setting_made_before_the_subscription_holds_from_its_first_packet)
{
    struct fake *f = new_fake();

    two_join(f);
    alice_publishes(f);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    EXPECT_EQ(fake_last(f, CMD_SUB_ATTACH)->sub_attach.max_spatial, 2);
    const char *sid = GOT(&f->c[1], TRACK_PUBLISHED)->track_published->track->sid;
    subscribe(f, 2, sid, false);
    set_quality(f, 2, sid, LIVEKIT__VIDEO_QUALITY__LOW);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 3);
    subscribe(f, 2, sid, true);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 4);
    EXPECT_EQ(fake_commands(f, CMD_SUB_ATTACH), 2);
    EXPECT_EQ(fake_last(f, CMD_SUB_ATTACH)->sub_attach.max_spatial, 0);
    /* And once more without a word: what was wished last still holds. */
    subscribe(f, 2, sid, false);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 5);
    subscribe(f, 2, sid, true);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 6);
    EXPECT_EQ(fake_last(f, CMD_SUB_ATTACH)->sub_attach.max_spatial, 0);
    end_fake(f);
}
