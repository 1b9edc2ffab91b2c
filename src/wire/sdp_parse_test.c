#include "wire/sdp.h"
#include "base/err.h"
#include "base/test.h"

/* As the clients write them; shortened to one of each kind of line. */
#define FP                                                                                         \
    "A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:"   \
    "8F:90"

static const char chromium[] =
    "v=0\r\n"
    "o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n"
    "s=-\r\n"
    "t=0 0\r\n"
    "a=group:BUNDLE 0 1 2\r\n"
    "a=extmap-allow-mixed\r\n"
    "a=msid-semantic: WMS stream1\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n"
    "c=IN IP4 0.0.0.0\r\n"
    "a=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=ice-ufrag:EsAw\r\n"
    "a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\n"
    "a=ice-options:trickle\r\n"
    "a=fingerprint:sha-256 " FP "\r\n"
    "a=setup:actpass\r\n"
    "a=mid:0\r\n"
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
    "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
    "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    "a=sendrecv\r\n"
    "a=msid:stream1 audiotrack\r\n"
    "a=rtcp-mux\r\n"
    "a=rtcp-rsize\r\n"
    "a=rtpmap:111 opus/48000/2\r\n"
    "a=rtcp-fb:111 transport-cc\r\n"
    "a=fmtp:111 minptime=10;useinbandfec=1\r\n"
    "a=rtpmap:63 red/48000/2\r\n"
    "a=fmtp:63 111/111\r\n"
    "a=rtpmap:9 G722/8000\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:13 CN/8000\r\n"
    "a=rtpmap:110 telephone-event/48000\r\n"
    "a=rtpmap:126 telephone-event/8000\r\n"
    "a=ssrc:1001 cname:7zPd\r\n"
    "a=ssrc:1001 msid:stream1 audiotrack\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97 45 46\r\n"
    "c=IN IP4 0.0.0.0\r\n"
    "a=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=candidate:1 1 udp 2122260223 192.168.1.5 50000 typ host generation 0 network-id 1\r\n"
    "a=candidate:2 1 udp 2122260222 0a1b2c3d-aaaa-4bbb-8ccc-112233445566.local 50001 typ host\r\n"
    "a=ice-ufrag:EsAw\r\n"
    "a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\n"
    "a=ice-options:trickle\r\n"
    "a=fingerprint:sha-256 " FP "\r\n"
    "a=setup:actpass\r\n"
    "a=mid:1\r\n"
    "a=extmap:14 urn:ietf:params:rtp-hdrext:toffset\r\n"
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    "a=extmap:10/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
    "a=sendonly\r\n"
    "a=msid:- videotrack\r\n"
    "a=rtcp-mux\r\n"
    "a=rtcp-rsize\r\n"
    "a=rtpmap:96 VP8/90000\r\n"
    "a=rtcp-fb:96 goog-remb\r\n"
    "a=rtcp-fb:96 transport-cc\r\n"
    "a=rtcp-fb:96 ccm fir\r\n"
    "a=rtcp-fb:96 nack\r\n"
    "a=rtcp-fb:96 nack pli\r\n"
    "a=rtpmap:97 rtx/90000\r\n"
    "a=fmtp:97 apt=96\r\n"
    "a=rtpmap:45 AV1/90000\r\n"
    "a=rtcp-fb:45 nack pli\r\n"
    "a=fmtp:45 level-idx=5;profile=0;tier=0\r\n"
    "a=rtpmap:46 rtx/90000\r\n"
    "a=fmtp:46 apt=45\r\n"
    "a=rid:q send\r\n"
    "a=rid:h send\r\n"
    "a=rid:f send max-width=1280;max-height=720\r\n"
    "a=simulcast:send q;~h;f\r\n"
    "a=ssrc-group:FID 2001 2002\r\n"
    "a=ssrc-group:SIM 2001 2003 2005\r\n"
    "a=ssrc:2001 cname:7zPd\r\n"
    "a=ssrc:2002 cname:7zPd\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    "c=IN IP4 0.0.0.0\r\n"
    "a=ice-ufrag:EsAw\r\n"
    "a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\n"
    "a=ice-options:trickle\r\n"
    "a=fingerprint:sha-256 " FP "\r\n"
    "a=setup:actpass\r\n"
    "a=mid:2\r\n"
    "a=sctp-port:5000\r\n"
    "a=max-message-size:262144\r\n";

static const char firefox[] =
    "v=0\r\n"
    "o=mozilla...THIS_IS_SDPARTA-99.0 7129874920173829473 0 IN IP4 0.0.0.0\r\n"
    "s=-\r\n"
    "t=0 0\r\n"
    "a=fingerprint:sha-256 " FP "\r\n"
    "a=group:BUNDLE 0 1\r\n"
    "a=ice-options:trickle\r\n"
    "a=msid-semantic:WMS *\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 120 124 126 127\r\n"
    "c=IN IP4 0.0.0.0\r\n"
    "a=sendonly\r\n"
    "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    "a=extmap:6/recvonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n"
    "a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1\r\n"
    "a=fmtp:120 max-fs=12288;max-fr=60\r\n"
    "a=fmtp:124 apt=120\r\n"
    "a=fmtp:127 apt=126\r\n"
    "a=ice-pwd:0123456789abcdef0123456789abcdef\r\n"
    "a=ice-ufrag:1a2b3c4d\r\n"
    "a=mid:0\r\n"
    "a=msid:{aaaa} {bbbb}\r\n"
    "a=rid:hi send\r\n"
    "a=rid:lo send\r\n"
    "a=rtcp-fb:120 nack\r\n"
    "a=rtcp-fb:120 nack pli\r\n"
    "a=rtcp-fb:120 ccm fir\r\n"
    "a=rtcp-mux\r\n"
    "a=rtcp-rsize\r\n"
    "a=rtpmap:120 VP8/90000\r\n"
    "a=rtpmap:124 rtx/90000\r\n"
    "a=rtpmap:126 H264/90000\r\n"
    "a=rtpmap:127 rtx/90000\r\n"
    "a=setup:actpass\r\n"
    "a=simulcast:send hi;lo\r\n"
    "a=ssrc:3001 cname:{cccc}\r\n"
    "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    "c=IN IP4 0.0.0.0\r\n"
    "a=bundle-only\r\n"
    "a=ice-pwd:0123456789abcdef0123456789abcdef\r\n"
    "a=ice-ufrag:1a2b3c4d\r\n"
    "a=mid:1\r\n"
    "a=setup:actpass\r\n"
    "a=sctp-port:5000\r\n"
    "a=max-message-size:1073741823\r\n";

static const char gstreamer[] = "v=0\r\n"
                                "o=- 3908183405190187811 0 IN IP4 0.0.0.0\r\n"
                                "s=-\r\n"
                                "t=0 0\r\n"
                                "a=ice-options:trickle\r\n"
                                "a=group:BUNDLE video0\r\n"
                                "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
                                "c=IN IP4 0.0.0.0\r\n"
                                "a=setup:actpass\r\n"
                                "a=ice-ufrag:KcDFyR7tJGfqhGyRUO0oPmQxbfPMTBJ6\r\n"
                                "a=ice-pwd:0r3tqPWU1wzGWKdZoLRBBxPGvpBAvVMO\r\n"
                                "a=rtcp-mux\r\n"
                                "a=rtcp-rsize\r\n"
                                "a=sendonly\r\n"
                                "a=rtpmap:96 H264/90000\r\n"
                                "a=rtcp-fb:* nack\r\n"
                                "a=rtcp-fb:* transport-cc\r\n"
                                "a=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n"
                                "a=ssrc:2718281828 msid:user1@host-1 webrtctransceiver0\r\n"
                                "a=ssrc:2718281828 cname:user1@host-1\r\n"
                                "a=mid:video0\r\n"
                                "a=fingerprint:sha-256 " FP "\r\n"
                                "a=rtcp-mux-only\r\n";

static int parse(struct sdp *s, struct arena *a, const char *text)
{
    return sdp_parse(s, bytes_str(text), a);
}

TEST(a_chromium_offer_is_read)
{
    struct arena a;
    struct sdp s;

    arena_init(&a, 1 << 20);
    EXPECT_EQ(parse(&s, &a, chromium), 0);
    EXPECT_EQ(s.id, 4611731400430051336);
    EXPECT_EQ(s.version, 2);
    EXPECT_EQ(s.bundle_n, 3);
    EXPECT_STR(s.bundle[2], "2");
    EXPECT(s.extmap_allow_mixed && !s.ice_lite);
    EXPECT_STR(s.msid_semantic, "WMS stream1");
    EXPECT_EQ(s.media_n, 3);

    const struct sdp_media *m = &s.media[0];
    EXPECT(m->kind == SDP_AUDIO && m->port == 9 && !m->rejected && m->dir == SDP_SENDRECV);
    EXPECT_STR(m->mid, "0");
    EXPECT_STR(m->ice_ufrag, "EsAw");
    EXPECT_STR(m->ice_pwd, "bP+XJMM09aR8AiX1jdukzR6Y");
    EXPECT(m->setup == SDP_ACTPASS && m->rtcp_mux && m->rtcp_rsize && m->extmap_allow_mixed);
    EXPECT_EQ(m->fingerprint_n, 1);
    EXPECT_STR(m->fingerprint[0].hash, "sha-256");
    EXPECT_EQ(m->fingerprint[0].digest[1], 0xb2);
    EXPECT_EQ(m->codec_n, 8);
    EXPECT_STR(m->codec[0].name, "opus");
    EXPECT(m->codec[0].clock_hz == 48000 && m->codec[0].channels == 2);
    EXPECT(sdp_has_fb(&m->codec[0], "transport-cc") && !sdp_has_fb(&m->codec[0], "nack"));
    EXPECT(bytes_eq_str(sdp_fmtp_get(m->codec[0].fmtp, "useinbandfec"), "1"));
    EXPECT(sdp_fmtp_get(m->codec[0].fmtp, "stereo").p == NULL);
    EXPECT_EQ(m->ext_n, 4);
    EXPECT_EQ(sdp_find_ext(m, "urn:ietf:params:rtp-hdrext:sdes:mid")->id, 4);
    EXPECT_STR(sdp_find_ssrc(m, 1001)->cname, "7zPd");
    EXPECT_STR(sdp_find_ssrc(m, 1001)->track, "audiotrack");
    EXPECT_STR(m->msid[0].stream, "stream1");
    EXPECT_STR(m->msid[0].track, "audiotrack");

    m = sdp_find_mid(&s, "1");
    EXPECT(m == &s.media[1] && m->kind == SDP_VIDEO && m->dir == SDP_SENDONLY);
    EXPECT_EQ(m->candidate_n, 2);
    EXPECT_STR(m->candidate[0],
               "candidate:1 1 udp 2122260223 192.168.1.5 50000 typ host generation 0 network-id 1");
    EXPECT_EQ(sdp_find_rtx(m, 96)->pt, 97);
    EXPECT_EQ(sdp_find_rtx(m, 45)->pt, 46);
    EXPECT(sdp_find_rtx(m, 97) == NULL);
    EXPECT_EQ(sdp_find_pt(m, 96)->fb_n, 5);
    EXPECT_EQ(m->ext[2].dir, SDP_RECVONLY);
    EXPECT_EQ(m->group_n, 2);
    EXPECT_STR(m->group[1].semantics, "SIM");
    EXPECT(m->group[1].n == 3 && m->group[1].ssrc[2] == 2005);
    EXPECT_EQ(m->rid_n, 3);
    EXPECT(m->rid[1].send && m->rid[1].simulcast && m->rid[1].paused && !m->rid[0].paused);
    EXPECT_EQ(m->rid[2].simulcast_pos, 2);
    EXPECT_STR(m->rid[2].params, "max-width=1280;max-height=720");

    m = &s.media[2];
    EXPECT(m->kind == SDP_APPLICATION && m->sctp_port == 5000 && m->max_message_size == 262144);
    EXPECT_STR(m->fmt_text, "webrtc-datachannel");
    arena_fini(&a);
}

TEST(a_firefox_offer_is_read)
{
    struct arena a;
    struct sdp s;

    arena_init(&a, 1 << 20);
    EXPECT_EQ(parse(&s, &a, firefox), 0);
    EXPECT_EQ(s.media_n, 2);
    EXPECT_EQ(s.media[0].fingerprint_n, 1); /* from the session */
    EXPECT_STR(s.media[1].ice_options, "trickle");
    EXPECT(s.media[1].bundle_only && !s.media[1].rejected);
    EXPECT_EQ(s.media[1].max_message_size, 1073741823);
    /* fmtp lines before their rtpmap */
    EXPECT(
        bytes_eq_str(sdp_fmtp_get(sdp_find_pt(&s.media[0], 126)->fmtp, "packetization-mode"), "1"));
    EXPECT_EQ(sdp_find_rtx(&s.media[0], 120)->pt, 124);
    EXPECT(s.media[0].rid[0].simulcast && s.media[0].rid[1].simulcast_pos == 1);
    arena_fini(&a);
}

TEST(a_gstreamer_offer_is_read)
{
    struct arena a;
    struct sdp s;

    arena_init(&a, 1 << 20);
    EXPECT_EQ(parse(&s, &a, gstreamer), 0);
    EXPECT_STR(s.media[0].mid, "video0");
    EXPECT(sdp_has_fb(&s.media[0].codec[0], "nack")); /* of rtcp-fb:* */
    EXPECT_STR(s.media[0].ssrc[0].stream, "user1@host-1");
    EXPECT_STR(s.media[0].ice_options, "trickle");
    arena_fini(&a);
}

#define HEAD  "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
#define VIDEO HEAD "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"

TEST(lenient_where_it_costs_nothing)
{
    static const char *const good[] = {
        HEAD,
        "v=0\n" /* bare line feeds, as some write */ "m=audio 9 UDP/TLS/RTP/SAVPF 0\n",
        VIDEO "a=unknown\r\na=unknown:with value\r\na=\r\nb=AS:100\r\nk=x\r\n\r\n",
        VIDEO "a=rtpmap:97 rtx/90000\r\n", /* not in the m-line */
        VIDEO "a=fingerprint:md5 00\r\n",
        HEAD "m=text 9 RTP/AVP 98\r\n",  /* not ours: to be refused in the answer */
        HEAD "m=video 0 RTP/AVP 31\r\n", /* refused already */
        HEAD "m=audio 9/2 RTP/SAVPF 0\r\n",
        HEAD "m=application 9 DTLS/SCTP 5000\r\na=sctpmap:5000 webrtc-datachannel 256\r\n",
        "v=0\r\no=- x y IN IP4 0\r\n",
        VIDEO "a=simulcast: send rid=a;b,c recv x\r\na=rid:a send\r\na=rid:b send\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena a;
        struct sdp s;

        arena_init(&a, 1 << 20);
        int err = parse(&s, &a, good[i]);
        if (err)
            print_error("%s\n", good[i]);
        EXPECT_EQ(err, 0);
        arena_fini(&a);
    }
}

TEST(malformed_descriptions_are_refused)
{
    static const struct {
        const char *text;
        int err;
    } bad[] = {
        {"", E_MALFORMED},
        {"\r\n", E_MALFORMED},
        {"v=1\r\n", E_MALFORMED},
        {"o=- 1 2 IN IP4 0.0.0.0\r\n", E_MALFORMED},
        {HEAD "x\r\n", E_MALFORMED},
        {HEAD "m=video\r\n", E_MALFORMED},
        {HEAD "m=video 9\r\n", E_MALFORMED},
        {HEAD "m=video 65536 UDP/TLS/RTP/SAVPF 96\r\n", E_MALFORMED},
        {HEAD "m=video 9 UDP/TLS/RTP/SAVPF 128\r\n", E_MALFORMED},
        {HEAD "m=video 9 UDP/TLS/RTP/SAVPF x\r\n", E_MALFORMED},
        {HEAD "m=video 9 RTP/AVP 96\r\n", E_UNSUPPORTED},
        {HEAD "m=audio 9 RTP/AVPF 96\r\n", E_UNSUPPORTED},
        {HEAD "m=audio 9 UDP/DTLS/SCTP 96\r\n", E_UNSUPPORTED},
        {HEAD "m=application 9 UDP/TLS/RTP/SAVPF 96\r\n", E_UNSUPPORTED},
        {VIDEO "a=rtpmap:96\r\n", E_MALFORMED},
        {VIDEO "a=rtpmap:96 VP8\r\n", E_MALFORMED},
        {VIDEO "a=rtpmap:96 VP8/0\r\n", E_MALFORMED},
        {VIDEO "a=rtpmap:96 VP8/90000/256\r\n", E_MALFORMED},
        {VIDEO "a=rtpmap:960 VP8/90000\r\n", E_MALFORMED},
        {VIDEO "a=extmap:0 urn:x\r\n", E_MALFORMED},
        {VIDEO "a=extmap:1\r\n", E_MALFORMED},
        {VIDEO "a=extmap:1/up urn:x\r\n", E_MALFORMED},
        {VIDEO "a=extmap:65536 urn:x\r\n", E_MALFORMED},
        {VIDEO "a=setup:holdup\r\n", E_MALFORMED},
        {VIDEO "a=fingerprint:sha-256 00\r\n", E_MALFORMED},
        {VIDEO "a=fingerprint:sha-256 " FP ":00\r\n", E_MALFORMED},
        {VIDEO "a=ice-ufrag:abc\r\n", E_MALFORMED},
        {VIDEO "a=ice-pwd:short\r\n", E_MALFORMED},
        {VIDEO "a=mid:a\r\na=mid:b\r\n", E_MALFORMED},
        {VIDEO "a=mid:a\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\n", E_MALFORMED},
        {VIDEO "a=mid:\r\n", E_MALFORMED},
        {VIDEO "a=ssrc:x cname:y\r\n", E_MALFORMED},
        {VIDEO "a=ssrc:4294967296 cname:y\r\n", E_MALFORMED},
        {VIDEO "a=ssrc-group:FID\r\n", E_MALFORMED},
        {VIDEO "a=ssrc-group:FID 1 x\r\n", E_MALFORMED},
        {VIDEO "a=ssrc-group:SIM 1 2 3 4 5 6 7 8 9\r\n", E_TOO_LARGE},
        {VIDEO "a=rid:a\r\n", E_MALFORMED},
        {VIDEO "a=rid:a both\r\n", E_MALFORMED},
        {VIDEO "a=msid:\r\n", E_MALFORMED},
        {VIDEO "a=sctp-port:70000\r\n", E_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a;
        struct sdp s = {.id = 42};

        arena_init(&a, 1 << 20);
        int err = parse(&s, &a, bad[i].text);
        if (err != bad[i].err)
            print_error("%s\n", bad[i].text);
        EXPECT_EQ(err, bad[i].err);
        EXPECT_EQ(s.id, 42); /* untouched */
        arena_fini(&a);
    }
    struct arena a;
    struct sdp s;
    arena_init(&a, 1 << 20);
    EXPECT_EQ(sdp_parse(&s, bytes_of("v=0\r\ns=\0\r\n", 11), &a), E_MALFORMED);
    arena_fini(&a);
}

/* `line` over and over after a head. */
static int parse_bomb(const char *head, const char *line, int times, size_t arena_max)
{
    struct arena a;
    struct str text;
    struct sdp s;

    arena_init(&a, arena_max);
    str_init(&text, 4 << 20);
    str_add(&text, head);
    for (int i = 0; i < times; i++)
        str_printf(&text, "%s", line);
    int err = sdp_parse(&s, str_bytes(&text), &a);
    EXPECT(a.used_bytes <= arena_max);
    str_fini(&text);
    arena_fini(&a);
    return err;
}

TEST(bombs_end_at_the_limits)
{
    EXPECT_EQ(parse_bomb(HEAD, "m=video 0 X 0\r\n", 10000, 16 << 20), E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(HEAD, "m=video 9 UDP/TLS/RTP/SAVPF 0\r\n", 256, 16 << 20), 0);
    EXPECT_EQ(parse_bomb(HEAD, "m=video 9 UDP/TLS/RTP/SAVPF 0\r\n", 257, 16 << 20), E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(VIDEO, "a=extmap:1 u\r\n", 1000, 16 << 20), E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(VIDEO, "a=msid:a b\r\n", 1000, 16 << 20), E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(VIDEO, "a=rid:a send\r\n", 1000, 16 << 20), E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(VIDEO, "a=ssrc-group:FID 1 2\r\n", 1000, 16 << 20), E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(VIDEO, "a=fingerprint:sha-256 " FP "\r\n", 9, 16 << 20), E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(VIDEO, "a=candidate:x\r\n", 1000, 16 << 20), 0); /* the rest is lost */
    EXPECT_EQ(parse_bomb(HEAD, "a=x\r\n", SDP_LINES_MAX, 16 << 20), E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(HEAD, "a=group:BUNDLE a\r\n", 10000, 16 << 20), 0);
    EXPECT_EQ(
        parse_bomb(HEAD, "a=tool:0123456789012345678901234567890123456789\r\n", 12000, 16 << 20),
        E_TOO_LARGE);
    EXPECT_EQ(parse_bomb(HEAD, "a=msid-semantic:0123456789\r\n", 10000, 64 << 10), E_TOO_LARGE);

    struct str line;
    str_init(&line, 1 << 20);
    str_add(&line, "a=x:");
    for (int i = 0; i < SDP_LINE_BYTES_MAX; i++)
        str_add_char(&line, 'x');
    EXPECT_EQ(parse_bomb(HEAD, str_text(&line), 1, 16 << 20), E_TOO_LARGE);
    str_fini(&line);
}

TEST(parsing_survives_every_refused_allocation)
{
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct arena a;
        struct sdp s;
        int64_t before = mem_live();

        arena_init(&a, 1 << 20);
        mem_refuse_nth(nth);
        int err = parse(&s, &a, chromium);
        mem_refuse_nth(0);
        EXPECT(err == 0 || err == E_TOO_LARGE);
        EXPECT(err == 0 || a.failed);
        arena_fini(&a);
        EXPECT_EQ(mem_live(), before);
    }
}

/* What was read can be written, and reads as the same again. */
FUZZ(sdp_parse, in)
{
    struct arena a;
    struct sdp s, again;
    struct str once, twice;

    arena_init(&a, 16 << 20);
    str_init(&once, 4 << 20);
    str_init(&twice, 4 << 20);
    if (sdp_parse(&s, in, &a) == 0) {
        sdp_write(&s, &once);
        EXPECT(!once.failed);
        int err = sdp_parse(&again, str_bytes(&once), &a);
        EXPECT(err == 0 || err == E_TOO_LARGE); /* inherited lines may pass the limits */
        if (err == 0) {
            EXPECT_EQ(again.media_n, s.media_n);
            sdp_write(&again, &twice);
            EXPECT_STR(str_text(&once), str_text(&twice));
        }
    }
    str_fini(&twice);
    str_fini(&once);
    arena_fini(&a);
}
