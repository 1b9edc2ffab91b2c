/* bench/load.c - one publisher, N subscribers, real ICE, DTLS and SRTP: the load of `make bench`.
 *
 * Joins everybody over signalling, publishes frames at a fixed rate for a while and prints
 * one JSON line: how many packets reached the subscribers' sockets, how many of the sample
 * were verified, and what the server's threads spent meanwhile.  On loopback the sender pays for
 * the receiver, so nothing here may cost more than a distant client would: most media is dropped
 * in the kernel (drop.h), and nobody sleeps on the media sockets, which would be woken on the
 * server's account (8 us each in a virtual machine); they are looked at 20 times a second.
 * Delays are measured afterwards, by the kernel's own time stamps.
 *
 * Prints "begin" and "end" around the window of the cost, for whoever reads counters.
 * Loopback only.
 */
#include "app/joiner.h"
#include "base/err.h"
#include "base/mem.h"
#include "crypt/cert.h"
#include "crypt/dtls.h"
#include "crypt/token.h"
#include "io/clock.h"
#include "rtc/assoc.h"

#include "drop.h"

#include <dirent.h>
#include <getopt.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

enum {
    SUBSCRIBERS_MAX = 2000,
    PACKET_BYTES = 1150,
    VIDEO_HZ = 90000,
    DELAYS_MAX = 1 << 20,
    JOIN_WAIT_US = 60 * 1000 * 1000,
    SETTLE_US = 2500 * 1000, /* SCTP, which ticks fast for two seconds, has gone quiet */
    SWEEP_US = 50 * 1000,
    DELAY_US = 1000 * 1000, /* of the window for delays */
};

struct load {
    const char *host, *key, *secret, *room;
    uint16_t port;
    int server_pid;
    unsigned subscribers, seconds, fps, per_frame;
    bool sha1;   /* AES128_CM_HMAC_SHA1_80 instead of AES-128-GCM */
    bool spread; /* evenly spaced single packets instead of bursts */
    struct dtls_ctx *dtls;
    struct cert *cert;
    struct joiner *person[SUBSCRIBERS_MAX + 1]; /* [0] publishes */
    bool live[SUBSCRIBERS_MAX + 1];
    unsigned joined, live_n;
    int epoll;
    bool published, connected;
    bool stamped; /* the kernel notes arrivals */
    uint64_t verified, bad;
    uint32_t *delay_us;
    size_t delay_n;
};

struct spent {
    uint64_t cpu_ns;
    uint64_t wait_ns; /* ready to run, but somebody else had the processor */
};

/* Of all threads of the server: the first two fields of each schedstat. */
static struct spent server_spent(int pid)
{
    char dir[64], path[384];
    struct spent sum = {0};

    (void)snprintf(dir, sizeof dir, "/proc/%d/task", pid); /* fits */
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        unsigned long long ns = 0, wait = 0;
        (void)snprintf(path, sizeof path, "%s/%s/schedstat", dir, e->d_name); /* fits */
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f == NULL)
            continue;
        if (fscanf(f, "%llu %llu", &ns, &wait) == 2) {
            sum.cpu_ns += ns;
            sum.wait_ns += wait;
        }
        (void)fclose(f); /* read only */
    }
    if (d != NULL)
        closedir(d);
    return sum;
}

/* Resident and nobody else's, the packet slab included. */
static long server_private_kb(int pid)
{
    char path[64], line[256];
    long kb = 0, sum = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid); /* fits */
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "Private_Clean: %ld", &kb) == 1 ||
            sscanf(line, "Private_Dirty: %ld", &kb) == 1)
            sum += kb;
    }
    if (f != NULL)
        (void)fclose(f); /* read only */
    return sum;
}

static bool mint(const struct load *l, const char *identity, int64_t unix_s, struct str *out)
{
    struct token_claims claims = {.issuer = l->key, .identity = identity, .has_video = true};

    claims.name = claims.metadata = claims.kind = claims.room_preset = claims.sha256 = "";
    claims.video = (struct token_video){.room_join = true, .room = l->room, .destination_room = ""};
    claims.expires_s = unix_s + 3600;
    str_init(out, TOKEN_BYTES_MAX);
    return token_mint(out, &claims, bytes_str(l->secret));
}

static struct joiner *join(struct load *l, const char *identity, bool publish)
{
    struct joiner_cfg cfg = {.url = {.port = l->port}};
    struct joiner *j = NULL;
    struct str token;
    struct tick tick = clock_tick();

    (void)snprintf(cfg.url.host, sizeof cfg.url.host, "%s", l->host); /* a loopback address */
    if (!mint(l, identity, (tick.now + tick.wall_off_us) / US_PER_SEC, &token))
        return NULL;
    cfg.token = str_text(&token);
    cfg.client = (struct client_cfg){
        .auto_subscribe = !publish,
        .no_nack = true,
        .dtls = l->dtls,
        .fingerprint = l->cert->text,
        .seed = (uint64_t)tick.now * 2654435761u,
        .track_n = publish ? 1 : 0,
    };
    cfg.client.track[0] =
        (struct client_track){.name = "load", .codec = CODEC_VP8, .width = 1280, .height = 720};
    int err = joiner_open(&j, &cfg, tick);
    if (err)
        fprintf(stderr, "load: %s: %s\n", identity, err_text(err));
    str_fini(&token);
    return err ? NULL : j;
}

/* From here on nobody sleeps on the media sockets: the sweep reads them. */
static void unwatch_media(struct load *l)
{
    struct dial_wait w[2];

    for (unsigned at = 0; at <= l->subscribers; at++) {
        joiner_waits(l->person[at], w);
        if (epoll_ctl(l->epoll, EPOLL_CTL_DEL, w[1].fd, NULL) != 0)
            perror("load: epoll");
    }
}

static void watch(struct load *l, unsigned at)
{
    struct dial_wait w[2];
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = at};

    joiner_waits(l->person[at], w);
    for (unsigned i = 0; i < 2; i++) {
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, w[i].fd, &ev) != 0)
            perror("load: epoll");
    }
}

static uint64_t checksum(us_t at)
{
    return (uint64_t)at * 0x9e3779b97f4a7c15u;
}

/* VP8 descriptor and frame head, then the send time and a checksum of it. */
static void make_payload(uint8_t *p, bool first, bool key, us_t now)
{
    uint64_t check = checksum(now);

    memset(p, 0x5a, PACKET_BYTES);
    p[0] = first ? 0x10 : 0x00; /* S bit, RFC 7741 s4.2 */
    p[1] = key ? 0x00 : 0x01;   /* RFC 6386 s9.1: P bit */
    if (first && key)
        memcpy(p + 4, "\x9d\x01\x2a\x00\x05\xd0\x02", 7); /* start code, 1280x720 */
    memcpy(p + 20, &now, sizeof now);
    memcpy(p + 28, &check, sizeof check);
}

static void check_media(struct load *l, unsigned at, const struct client_media *m, us_t now)
{
    us_t sent = 0;
    uint64_t check = 0;

    if (m->payload.len == PACKET_BYTES) {
        memcpy(&sent, m->payload.p + 20, sizeof sent);
        memcpy(&check, m->payload.p + 28, sizeof check);
    }
    if (sent == 0 || check != checksum(sent)) {
        l->bad++;
        return;
    }
    l->verified++;
    if (l->delay_n < DELAYS_MAX)
        l->delay_us[l->delay_n++] = (uint32_t)(now - sent);
    l->live_n += !l->live[at];
    l->live[at] = true;
}

/* When the kernel received the datagram that was read last.  Asking once turns it on. */
static us_t arrival(int fd, struct tick tick)
{
    struct timespec ts;

    if (ioctl(fd, SIOCGSTAMPNS, &ts) != 0)
        return tick.now;
    return (us_t)ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000 - tick.wall_off_us;
}

static void service(struct load *l, unsigned at, struct tick tick)
{
    struct joiner *j = l->person[at];
    struct client_media m;
    struct client_event ev;

    while (joiner_media(j, tick, &m))
        check_media(l, at, &m, l->stamped ? arrival(joiner_media_fd(j), tick) : tick.now);
    joiner_pump(j, tick);
    while (joiner_event(j, &ev)) {
        l->published |= at == 0 && ev.kind == CLIENT_EVT_PUBLISHED;
        l->connected |= at == 0 && ev.kind == CLIENT_EVT_CONNECTED;
        l->joined += at > 0 && ev.kind == CLIENT_EVT_CONNECTED;
        if (ev.kind == CLIENT_EVT_ENDED)
            fprintf(stderr, "load: %u ended: %s\n", at, ev.reason);
    }
    joiner_flush(j);
}

/* Serves whoever is ready; everybody each SWEEP_US for the timers. */
static void turn(struct load *l, unsigned people, us_t until, us_t *sweep_at)
{
    struct epoll_event ev[64];
    us_t wait = us_clamp(us_min(until, *sweep_at) - clock_tick().now, 0, SWEEP_US);
    int n = epoll_wait(l->epoll, ev, ARRAY_LEN(ev), (int)(wait / US_PER_MS));
    struct tick tick = clock_tick();

    for (int i = 0; i < n; i++)
        service(l, ev[i].data.u32, tick);
    if (tick.now < *sweep_at)
        return;
    *sweep_at = tick.now + SWEEP_US;
    assoc_pool_tick(tick.now);
    for (unsigned at = 0; at < people; at++)
        service(l, at, tick);
}

struct pace {
    us_t next_at, frame_us;
    uint32_t frame, ts, sent;
};

static void publish_one(struct load *l, struct pace *p)
{
    uint8_t payload[PACKET_BYTES];
    unsigned at = p->sent % l->per_frame;
    bool last = at + 1 == l->per_frame;
    struct tick tick = clock_tick();

    make_payload(payload, at == 0, p->frame % (l->fps * 2) == 0, tick.now);
    (void)client_send(joiner_client(l->person[0]), 0, bytes_of(payload, sizeof payload), p->ts,
                      last, tick); /* a full queue shows in the count */
    p->sent++;
    p->frame += last;
    p->ts += last ? VIDEO_HZ / l->fps : 0;
}

/* One frame as a burst, or one packet of it when spread. */
static void publish_due(struct load *l, struct pace *p, us_t now)
{
    unsigned n = l->spread ? 1 : l->per_frame;
    us_t step = l->spread ? p->frame_us / l->per_frame : p->frame_us;

    while (now >= p->next_at) {
        for (unsigned i = 0; i < n; i++)
            publish_one(l, p);
        joiner_flush(l->person[0]);
        p->next_at += step;
    }
}

static uint64_t delivered(struct load *l)
{
    uint64_t sum = l->verified;

    for (unsigned at = 1; at <= l->subscribers; at++)
        sum += drop_count(joiner_media_fd(l->person[at]));
    return sum;
}

static void run_until(struct load *l, struct pace *p, us_t until)
{
    us_t sweep_at = 0;

    for (us_t now = clock_tick().now; now < until; now = clock_tick().now) {
        publish_due(l, p, now);
        turn(l, l->subscribers + 1, us_min(until, p->next_at), &sweep_at);
    }
}

static int join_all(struct load *l)
{
    char identity[32] = "publisher";
    us_t sweep_at = 0, give_up = clock_tick().now + JOIN_WAIT_US;

    for (unsigned at = 0; at <= l->subscribers; at++) {
        l->person[at] = join(l, identity, at == 0);
        if (l->person[at] == NULL)
            return 1;
        if (at > 0 && drop_attach(joiner_media_fd(l->person[at])) != 0)
            perror("load: socket filter");
        watch(l, at);
        do
            turn(l, at + 1, give_up, &sweep_at);
        while (!(l->published && l->connected) && clock_tick().now < give_up);
        (void)snprintf(identity, sizeof identity, "sub-%u", at + 1); /* fits */
    }
    while (l->joined < l->subscribers && clock_tick().now < give_up)
        turn(l, l->subscribers + 1, give_up, &sweep_at);
    return l->published && l->connected && l->joined == l->subscribers ? 0 : 1;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t percentile(struct load *l, unsigned pct)
{
    return l->delay_n > 0 ? l->delay_us[(l->delay_n - 1) * pct / 100] : 0;
}

/* Delays of a sample, by the kernel's clock; apart, because noting them costs the server. */
static void measure_delays(struct load *l, struct pace *p)
{
    struct tick tick = clock_tick();

    for (unsigned at = 1; at <= l->subscribers; at++)
        (void)arrival(joiner_media_fd(l->person[at]), tick); /* turns it on */
    l->stamped = true;
    run_until(l, p, tick.now + 2 * SWEEP_US); /* what came before carries no stamp */
    l->delay_n = 0;
    run_until(l, p, clock_tick().now + DELAY_US);
    qsort(l->delay_us, l->delay_n, sizeof *l->delay_us, by_value);
}

struct window {
    struct spent spent;
    uint64_t got, verified, due;
    double s;
    long private_kb;
};

static void measure_cost(struct load *l, struct pace *p, struct window *w)
{
    struct spent before = server_spent(l->server_pid);
    uint64_t got = delivered(l), verified = l->verified;
    uint32_t sent = p->sent;
    us_t t0 = clock_tick().now;

    run_until(l, p, t0 + (us_t)l->seconds * US_PER_SEC);
    w->spent = server_spent(l->server_pid);
    w->spent.cpu_ns -= before.cpu_ns;
    w->spent.wait_ns -= before.wait_ns;
    w->got = delivered(l) - got;
    w->verified = l->verified - verified;
    w->due = (uint64_t)(p->sent - sent) * l->subscribers;
    w->s = (double)(clock_tick().now - t0) / 1e6;
    w->private_kb = server_private_kb(l->server_pid);
}

static int measure(struct load *l)
{
    struct pace p = {.frame_us = US_PER_SEC / (us_t)l->fps, .next_at = clock_tick().now};
    struct window w;

    unwatch_media(l);
    run_until(l, &p, p.next_at + SETTLE_US);
    puts("begin");
    fflush(stdout);
    measure_cost(l, &p, &w);
    puts("end");
    fflush(stdout);
    measure_delays(l, &p);
    printf("{\"subscribers\":%u,\"sha1\":%s,\"spread\":%s,\"seconds\":%.2f,\"due\":%llu,"
           "\"delivered\":%llu,\"verified\":%llu,\"bad\":%llu,\"ns_per_packet\":%.0f,"
           "\"pps_out\":%.0f,\"cpu_share\":%.4f,\"wait_share\":%.4f,\"private_kb\":%ld,"
           "\"delay_p50_us\":%u,\"delay_p99_us\":%u,\"live\":%u}\n",
           l->subscribers, l->sha1 ? "true" : "false", l->spread ? "true" : "false", w.s,
           (unsigned long long)w.due, (unsigned long long)w.got, (unsigned long long)w.verified,
           (unsigned long long)l->bad, w.got > 0 ? (double)w.spent.cpu_ns / (double)w.got : 0.0,
           (double)w.got / w.s, (double)w.spent.cpu_ns / (w.s * 1e9),
           (double)w.spent.wait_ns / (w.s * 1e9), w.private_kb, percentile(l, 50),
           percentile(l, 99), l->live_n);
    return w.got * 100 >= w.due * 98 && l->bad == 0 ? 0 : 3;
}

static int usage(void)
{
    fprintf(stderr, "usage: load --port P --key K --secret S --server-pid PID [--subscribers N] "
                    "[--seconds S] [--fps 30] [--per-frame 9] [--spread] [--sha1] [--room R]\n");
    return 2;
}

static bool option(struct load *l, int c, const char *text)
{
    unsigned v = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 0;

    switch (c) {
    case 'p':
        l->port = (uint16_t)v;
        return true;
    case 'k':
        l->key = text;
        return true;
    case 's':
        l->secret = text;
        return true;
    case 'i':
        l->server_pid = (int)v;
        return true;
    case 'n':
        l->subscribers = v;
        return true;
    case 't':
        l->seconds = v;
        return true;
    case 'f':
        l->fps = v;
        return true;
    case 'b':
        l->per_frame = v;
        return true;
    case 'e':
        l->spread = true;
        return true;
    case '1':
        l->sha1 = true;
        return true;
    case 'r':
        l->room = text;
        return true;
    default:
        return false;
    }
}

static int parse(struct load *l, int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},       {"key", 1, NULL, 'k'},         {"secret", 1, NULL, 's'},
        {"server-pid", 1, NULL, 'i'}, {"subscribers", 1, NULL, 'n'}, {"seconds", 1, NULL, 't'},
        {"fps", 1, NULL, 'f'},        {"per-frame", 1, NULL, 'b'},   {"spread", 0, NULL, 'e'},
        {"room", 1, NULL, 'r'},       {"sha1", 0, NULL, '1'},        {NULL, 0, NULL, 0}};

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (!option(l, c, optarg))
            return usage();
    }
    bool ok = l->port != 0 && l->key != NULL && l->secret != NULL && l->server_pid != 0 &&
              l->subscribers <= SUBSCRIBERS_MAX && l->fps > 0 && l->per_frame > 0;
    return ok ? 0 : usage();
}

int main(int argc, char **argv)
{
    static struct load l = {.host = "127.0.0.1",
                            .room = "bench",
                            .subscribers = 10,
                            .seconds = 10,
                            .fps = 30,
                            .per_frame = 9};
    int err = parse(&l, argc, argv);

    if (err)
        return err;
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.delay_us = mem_array(DELAYS_MAX, sizeof *l.delay_us);
    struct tick tick = clock_tick();
    if (l.epoll < 0 || l.delay_us == NULL || assoc_pool_init() != 0 ||
        cert_make(&l.cert, (tick.now + tick.wall_off_us) / US_PER_SEC) != 0 ||
        dtls_ctx_open(&l.dtls, l.cert) != 0 ||
        (l.sha1 && dtls_ctx_restrict(l.dtls, SRTP_PROFILE_CM_SHA1_80) != 0)) {
        fprintf(stderr, "load: set-up failed\n");
        return 1;
    }
    err = join_all(&l);
    if (err)
        fprintf(stderr, "load: %u of %u joined, published %d\n", l.joined, l.subscribers,
                l.published);
    else
        err = measure(&l);
    for (unsigned at = 0; at <= l.subscribers; at++)
        joiner_free(l.person[at]);
    dtls_ctx_free(l.dtls);
    cert_free(l.cert);
    mem_free(l.delay_us);
    return err;
}
