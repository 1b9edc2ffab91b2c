#include "client/client.h"

#include "base/test.h"
#include "crypt/cert.h"
#include "crypt/dtls.h"
#include "rtc/assoc.h"

/* What servers say: messages of up to 255 times 16 bytes each behind a byte for their length. */
FUZZ(client_message, in)
{
    static struct dtls_ctx *dtls; /* dear to make; kept for the life of the program */
    struct tick tick = {.now = US_PER_SEC, .wall_off_us = 1700000000 * US_PER_SEC};
    struct client_event ev;
    struct client *c = NULL;
    struct cert *cert = NULL;

    if (dtls == NULL) {
        EXPECT_EQ(cert_make(&cert, 1700000000), 0);
        EXPECT_EQ(dtls_ctx_open(&dtls, cert), 0);
        cert_free(cert);
        EXPECT_EQ(assoc_pool_init(), 0);
    }
    struct client_cfg cfg = {.auto_subscribe = true, .dtls = dtls, .seed = 1, .track_n = 1};
    cfg.fingerprint = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:"
                      "10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";
    cfg.track[0] = (struct client_track){.name = "cam", .codec = CODEC_VP8};
    EXPECT_EQ(client_open(&c, &cfg, tick.now), 0);
    struct str target;
    str_init(&target, 1 << 16);
    EXPECT_EQ(client_target(c, &target), 0);
    str_fini(&target);
    for (size_t at = 0; at < in.len;) {
        size_t n = size_min(in.p[at] * (size_t)16, in.len - at - 1);
        struct bytes out;
        client_message(c, false, bytes_of(in.p + at + 1, n), tick);
        at += 1 + n;
        tick.now += 100 * US_PER_MS;
        client_tick(c, tick);
        while (client_message_output(c, &out))
            EXPECT(out.len <= CLIENT_MESSAGE_BYTES_MAX);
        while (client_event(c, &ev))
            EXPECT(memchr(ev.sid, 0, sizeof ev.sid) != NULL);
        EXPECT(client_deadline(c) > 0);
    }
    client_free(c);
}
