/* bench/fanout.c - what forwarding costs inside one shard: nanoseconds per packet sent, from the
 * received datagram (parse, decrypt, store) to the sealed one, without sockets.
 *
 * Clients are real client halves over a handshake in virtual time; packets are sealed beforehand,
 * so that only the shard is timed.  "cold" is with caches emptied before each burst, as
 * they are when the kernel or a neighbour ran in between.  Reports; asserts nothing about speed.
 */
#include "sfu/shard_rig.h"

#include <stdlib.h>
#include <time.h>

enum { PAYLOAD = 1100, PACKETS = 4096, COLD_BYTES = 16 << 20 };

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct sealed {
    uint16_t len;
    uint8_t data[1400];
};

static struct sealed sealed[PACKETS];

static void seal_all(struct rig_client *pub)
{
    uint8_t buf[PAYLOAD + 8], hdr[RTP_HEADER_OUT_MAX];

    for (unsigned i = 0; i < PACKETS; i++) {
        struct rtp_header h = {.ts = i * 3000, .ssrc = 77, .pt = 96, .seq = (uint16_t)pub->seq++};
        struct rtp_ext_val ext = {.id = 1, .len = 1, .data = (const uint8_t *)"0"};
        size_t n = rtp_write_header(hdr, sizeof hdr, &h, &ext, 1);
        struct bytes payload = rig_vp8(buf, PAYLOAD, i == 0, (uint16_t)(i & 0x7fff), 1);
        sealed[i].len = (uint16_t)peer_seal_rtp(pub->peer, bytes_of(hdr, n), payload,
                                                (uint32_t)(pub->seq >> 17), sealed[i].data, 1400);
    }
}

/* Puts other bytes into the place of whatever a second-level cache holds. */
static void chill(void)
{
    static uint8_t other[COLD_BYTES];

    for (size_t i = 0; i < sizeof other; i += 64)
        other[i]++;
}

static double feed(struct rig *r, struct rig_client *pub, unsigned at, unsigned burst)
{
    struct pkt *batch[64];
    double begin = cpu_s();
    unsigned n = shard_lend(r->shard, batch, burst);

    for (unsigned k = 0; k < n; k++, at++) {
        batch[k]->path = (struct path){.local = pub->path.remote, .remote = pub->path.local};
        batch[k]->len = sealed[at].len;
        memcpy(batch[k]->data, sealed[at].data, sealed[at].len);
    }
    r->tick.now += 1000;
    shard_input(r->shard, batch, n, r->tick);
    (void)rig_flush(r);
    return cpu_s() - begin;
}

/* Bursts of `burst` packets until `PACKETS` were fed, or `most` packets sent. */
static void measure(struct rig *r, struct rig_client *pub, unsigned subs, unsigned burst, bool cold)
{
    uint64_t sent = r->sent_n, trains = r->train_n;
    unsigned total = PACKETS - 1, most = cold ? 100000 : 400000;
    double took = 0;

    if (total * subs > most)
        total = most / subs;
    for (unsigned at = 1; at + burst <= total; at += burst) {
        if (cold)
            chill();
        took += feed(r, pub, at, burst);
    }
    sent = r->sent_n - sent;
    trains = r->train_n - trains;
    printf("%5u %6u %s %9llu %9.1f %9.2f\n", subs, burst, cold ? "cold" : "warm",
           (unsigned long long)sent, took * 1e9 / (double)sent,
           (double)sent / (double)(trains > 0 ? trains : 1));
}

static int run(unsigned subs, unsigned burst, bool cold)
{
    static struct rig r;
    struct cmd c;

    if (rig_open(&r, 0, NULL) != 0)
        return 1;
    for (unsigned i = 0; i <= subs; i++) {
        if (rig_join(&r, 0) == NULL)
            return 1;
    }
    rig_run(&r, US_PER_SEC);
    struct rig_client *pub = r.client[0];
    c = rig_video_track(&r, handle_make(0, 1, 1), pub->id);
    rig_command(&r, &c);
    for (unsigned i = 1; i <= subs; i++) {
        c = rig_subscription(&r, handle_make(0, i, 1), handle_make(0, 1, 1), r.client[i]->id,
                             1000 * i);
        rig_command(&r, &c);
    }
    r.skim = true;
    pub->seq &= 0xffff;
    seal_all(pub);
    rig_to_shard(&r, &pub->path, bytes_of(sealed[0].data, sealed[0].len));
    rig_pump(&r);
    if (r.sent_n < subs)
        return 1;
    measure(&r, pub, subs, burst, cold);
    rig_close(&r, false);
    return 0;
}

int main(int argc, char **argv)
{
    static const unsigned subs[] = {1, 10, 40, 200, 500};
    static const unsigned bursts[] = {1, 8};
    unsigned only = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    printf("subs  burst  cache  packets   ns/packet  packets/train\n");
    for (unsigned b = 0; b < ARRAY_LEN(bursts) * 2; b++) {
        for (unsigned i = 0; i < ARRAY_LEN(subs); i++) {
            if ((only == 0 || only == subs[i]) && run(subs[i], bursts[b / 2], b % 2 == 1) != 0)
                return 1;
        }
    }
    return 0;
}
