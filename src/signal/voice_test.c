#include "signal/voice.h"

#include "signal/hub.h"
#include "signal/signal_test.h"

#define ICE                                                                                        \
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"                                   \
    "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:"  \
    "77:88:99:AA:BB:CC:DD:EE:FF\r\n"

static const char viewer_offer[] =
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" ICE
    "a=setup:actpass\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"
    "a=rtpmap:111 opus/48000/2\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\n"
    "a=rtpmap:96 VP8/90000\r\n";

static struct session *speak(struct hub *hub, struct voice *v, bool single)
{
    static struct token_claims claims;
    struct session_cfg cfg = {.conn = hub_voice_conn(hub),
                              .voice = v,
                              .standing = true,
                              .single = single,
                              .sid = "",
                              .auto_subscribe = true,
                              .claims = &claims};
    Livekit__ClientInfo client = LIVEKIT__CLIENT_INFO__INIT;
    struct session_refusal why;

    claims = (struct token_claims){.identity = "viewer",
                                   .name = "",
                                   .metadata = "",
                                   .kind = "",
                                   .room_preset = "",
                                   .sha256 = "",
                                   .has_video = true};
    claims.video.room = "demo";
    client.protocol = 17;
    cfg.client = &client;
    arena_init(&cfg.keep, SESSION_CLAIMS_BYTES);
    EXPECT(session_join(hub, &cfg, &why));
    return hub_session(hub, cfg.conn);
}

static void say_offer(struct hub *hub, uint64_t conn)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;

    d.type = (char *)"offer";
    d.sdp = (char *)viewer_offer;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER;
    r.offer = &d;
    EXPECT(hub_request(hub, conn, &r));
}

static uint32_t count(const char *text, const char *word)
{
    uint32_t n = 0;

    for (const char *p = text; (p = strstr(p, word)) != NULL; p++)
        n++;
    return n;
}

TEST(standing_sections_are_answered_before_there_is_a_track_and_filled_later)
{
    struct hub *hub = open_hub();
    struct voice v;

    voice_init(&v, &hub->voices, VOICE_BIT(ANSWER), NULL);
    struct session *s = speak(hub, &v, true);
    say_offer(hub, s->conn);
    const Livekit__SignalResponse *m = voice_next(&v);
    EXPECT(m != NULL && m->message_case == LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ANSWER);
    EXPECT_EQ(count(m->answer->sdp, "a=sendonly"), 2);
    EXPECT_EQ(count(m->answer->sdp, "a=ssrc"), 0);
    EXPECT_EQ(count(m->answer->sdp, "a=msid:RM_"), 2);

    publish(join(hub, 1, "publisher"));
    EXPECT_EQ(s->member->sub_n, 1);
    v.heard = 0;
    hub_tick(hub);
    EXPECT(v.heard & VOICE_BIT(MEDIA_SECTIONS_REQUIREMENT));
    EXPECT(voice_ready(&hub->voices) == &v);
    EXPECT(voice_ready(&hub->voices) == NULL);
    say_offer(hub, s->conn);
    EXPECT_EQ(s->member->subs->state, SUB_ATTACHED);
    EXPECT_EQ(s->pc[PC_PUBLISHER].section[0].use, SECTION_SEND);

    /* The track ends, and another finds the same section. */
    pub_end(room_find(s->member->room, "publisher")->pubs);
    hub_tick(hub);
    publish(room_find(s->member->room, "publisher")->session);
    hub_tick(hub);
    say_offer(hub, s->conn);
    EXPECT_EQ(s->member->subs->state, SUB_ATTACHED);
    hub_hang_up(hub, s->conn, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
    EXPECT(v.over);
    voice_fini(&v);
    drain_outbox(hub);
    hub_free(hub);
}

TEST(standing_offer_has_picture_then_sound_and_no_data)
{
    struct hub *hub = open_hub();
    struct voice v;

    voice_init(&v, &hub->voices, VOICE_BIT(OFFER), NULL);
    struct session *s = speak(hub, &v, false);
    hub_tick(hub);
    const Livekit__SignalResponse *m = voice_next(&v);
    EXPECT(m != NULL && m->message_case == LIVEKIT__SIGNAL_RESPONSE__MESSAGE_OFFER);
    const char *video = strstr(m->offer->sdp, "m=video"), *audio = strstr(m->offer->sdp, "m=audio");
    EXPECT(video != NULL && audio != NULL && video < audio);
    EXPECT(strstr(video, "a=mid:0") != NULL && strstr(audio, "a=mid:1") != NULL);
    EXPECT_EQ(count(m->offer->sdp, "m="), 2);
    EXPECT_EQ(count(m->offer->sdp, "a=sendonly"), 2);
    EXPECT(strstr(m->offer->sdp, "packetization-mode=1") != NULL);
    (void)s;
    drain_outbox(hub);
    hub_free(hub);
    EXPECT(v.over);
    voice_fini(&v);
}

TEST(voice_that_nobody_hears_is_dropped)
{
    struct hub *hub = open_hub();
    struct voice v;

    voice_init(&v, &hub->voices, VOICE_BIT(ANSWER), NULL);
    struct session *s = speak(hub, &v, true);
    uint64_t conn = s->conn;
    for (int i = 0; i <= VOICE_MESSAGES_MAX; i++)
        say_offer(hub, conn);
    hub_tick(hub);
    EXPECT(v.over);
    EXPECT(hub_session(hub, conn) == NULL);
    voice_fini(&v);
    drain_outbox(hub);
    hub_free(hub);
}
