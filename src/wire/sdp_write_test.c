#include "wire/sdp.h"
#include "base/test.h"

static struct sdp_media *add_video(struct sdp *s)
{
    struct sdp_media *m = sdp_add_media(s, SDP_VIDEO);

    m->mid = "1";
    m->dir = SDP_SENDONLY;
    m->setup = SDP_PASSIVE;
    m->ice_ufrag = "abcd";
    m->ice_pwd = "0123456789012345678901";
    m->rtcp_mux = m->rtcp_rsize = true;
    struct sdp_codec *c = sdp_add_codec(s, m);
    *c = (struct sdp_codec){.pt = 96, .name = "VP8", .clock_hz = 90000};
    EXPECT(sdp_add_fb(s, c, "nack") && sdp_add_fb(s, c, "nack pli"));
    c = sdp_add_codec(s, m);
    *c = (struct sdp_codec){.pt = 97, .name = "rtx", .clock_hz = 90000, .fmtp = "apt=96"};
    EXPECT(sdp_add_ext(s, m, 4, "urn:ietf:params:rtp-hdrext:sdes:mid"));
    EXPECT(sdp_add_msid(s, m, "PA_x|y", "TR_z"));
    struct sdp_ssrc_group *g = sdp_add_group(s, m, "FID");
    g->ssrc[0] = 11;
    g->ssrc[1] = 12;
    g->n = 2;
    struct sdp_ssrc *x = sdp_add_ssrc(s, m, 11);
    x->cname = "c";
    x->stream = "PA_x|y";
    x->track = "TR_z";
    struct sdp_rid *r = sdp_add_rid(s, m, "q");
    r->simulcast = r->paused = true;
    EXPECT(sdp_add_candidate(s, m, "candidate:1 1 udp 1 127.0.0.1 7881 typ host"));
    m->end_of_candidates = true;
    return m;
}

TEST(a_description_is_written_line_by_line)
{
    struct arena a;
    struct sdp s;
    struct str out;
    uint8_t digest[3] = {0xab, 0x01, 0xff};

    arena_init(&a, 1 << 20);
    str_init(&out, 1 << 16);
    sdp_init(&s, &a);
    s.id = 5;
    s.version = 6;
    s.ice_lite = s.extmap_allow_mixed = true;
    s.msid_semantic = "WMS *";
    EXPECT(sdp_add_bundle(&s, "1") && sdp_add_bundle(&s, "2"));
    EXPECT(sdp_add_fingerprint(&s, "sha-256", bytes_of(digest, 3)));
    add_video(&s);
    struct sdp_media *m = sdp_add_media(&s, SDP_APPLICATION);
    m->mid = "2";
    m->sctp_port = 5000;
    m->max_message_size = 65535;
    m = sdp_add_media(&s, SDP_AUDIO);
    m->mid = "3";
    m->rejected = true;
    m->dir = SDP_INACTIVE;
    sdp_write(&s, &out);
    EXPECT_STR(str_text(&out),
               "v=0\r\no=- 5 6 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
               "a=group:BUNDLE 1 2\r\na=ice-lite\r\na=extmap-allow-mixed\r\n"
               "a=msid-semantic:WMS *\r\na=fingerprint:sha-256 AB:01:FF\r\n"
               "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\n"
               "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
               "a=setup:passive\r\na=mid:1\r\n"
               "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendonly\r\n"
               "a=msid:PA_x|y TR_z\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
               "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n"
               "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
               "a=rid:q recv\r\na=simulcast:recv ~q\r\n"
               "a=ssrc-group:FID 11 12\r\na=ssrc:11 cname:c\r\na=ssrc:11 msid:PA_x|y TR_z\r\n"
               "a=candidate:1 1 udp 1 127.0.0.1 7881 typ host\r\na=end-of-candidates\r\n"
               "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
               "a=mid:2\r\na=sendrecv\r\na=sctp-port:5000\r\na=max-message-size:65535\r\n"
               "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n"
               "a=mid:3\r\na=inactive\r\n");
    str_fini(&out);
    arena_fini(&a);
}

TEST(nobody_adds_lines_through_a_name)
{
    struct arena a;
    struct sdp s;
    struct str out;

    arena_init(&a, 1 << 20);
    str_init(&out, 1 << 16);
    sdp_init(&s, &a);
    struct sdp_media *m = add_video(&s);
    m->msid[0].stream = "x\r\na=evil:1";
    m->msid[0].track = "a b";
    m->ssrc[0].cname = "c\na=evil:2";
    m->candidate[0] = "candidate:1\r\na=evil:3";
    sdp_write(&s, &out);
    EXPECT(strstr(str_text(&out), "\na=evil") == NULL);
    EXPECT(strstr(str_text(&out), "a=msid:x__a=evil:1 a_b\r\n") != NULL);
    str_fini(&out);
    arena_fini(&a);
}
