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
