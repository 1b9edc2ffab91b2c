#include "app/join.h"

#include "app/joiner.h"
#include "base/err.h"
#include "base/mem.h"
#include "client/recorder.h"
#include "client/source.h"
#include "crypt/cert.h"
#include "crypt/crypt.h"
#include "crypt/dtls.h"
#include "io/clock.h"
#include "rtc/assoc.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REMOTE_MAX = 128, /* tracks numbered by the client */
    PEOPLE_MAX = 256,
    POLL_US = 50 * 1000,
    NAME_MAX_CHARS = 512,
};

struct remote {
    bool seen, failed;
    char sid[32];
    struct recorder recorder;
    bool recording;
    int fd;
};

/* Somebody in the room, to tell who a track is from; later ones are known by sid alone. */
struct person {
    char sid[32], identity[256];
    uint32_t tracks;
};

struct join {
    const struct join_options *o;
    struct cert *cert;
    struct dtls_ctx *dtls;
    struct joiner *joiner;
    struct rng rng;
    struct source source[JOIN_FILES_MAX];
    unsigned source_n;
    struct remote remote[REMOTE_MAX];
    struct person person[PEOPLE_MAX];
    char own_sid[32];
    bool connected, ended;
    bool pool;   /* of SCTP, to be given back */
    bool silent; /* yielding to others */
    int code;
};

static void say(const struct join *j, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void say(const struct join *j, const char *fmt, ...)
{
    va_list ap;

    if (j->o->quiet)
        return;
    va_start(ap, fmt);
    (void)vprintf(fmt, ap); /* a closed pipe is no reason to stop */
    va_end(ap);
    (void)putchar('\n');  /* likewise */
    (void)fflush(stdout); /* likewise */
}

/* Maps the whole file; the mapping lives as long as the process. */
static int map_file(const char *path, struct bytes *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0) {
        fprintf(stderr, "sluice join: %s: %s\n", path, err_text(-errno));
        if (fd >= 0)
            (void)close(fd); /* read only */
        return E_NOENT;
    }
    *out = (struct bytes){0};
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        *out = bytes_of(p != MAP_FAILED ? p : NULL, p != MAP_FAILED ? (size_t)st.st_size : 0);
    }
    (void)close(fd); /* the mapping stays */
    return 0;
}

static int add_source(struct join *j, struct bytes file, bool video, const char *name)
{
    char why[SOURCE_WHY_MAX];
    int err = source_open(&j->source[j->source_n], file, video, &j->rng, why);

    if (err) {
        fprintf(stderr, "sluice join: %s %s\n", name, why[0] != '\0' ? why : err_text(err));
        return err;
    }
    j->source_n++;
    return 0;
}

static int open_sources(struct join *j)
{
    const struct join_options *o = j->o;

    for (unsigned i = 0; i < o->file_n; i++) {
        struct bytes file;
        int err = map_file(o->file[i], &file);
        if (!err)
            err = add_source(j, file, o->video[i], o->file[i]);
        if (err)
            return err;
    }
    int err = 0;
    if (o->sample_video.p != NULL)
        err = add_source(j, o->sample_video, true, "the sample picture");
    if (!err && o->sample_audio.p != NULL)
        err = add_source(j, o->sample_audio, false, "the sample tone");
    return err;
}

static void fill_client(const struct join *j, struct client_cfg *cfg, uint64_t seed)
{
    *cfg = (struct client_cfg){
        .auto_subscribe = !j->o->no_subscribe,
        .dtls = j->dtls,
        .fingerprint = j->cert->text,
        .seed = seed,
        .track_n = j->source_n,
    };
    for (unsigned i = 0; i < j->source_n; i++) {
        const struct source *s = &j->source[i];
        bool video = codec_is_video(s->codec);
        cfg->track[i] = (struct client_track){
            .name = video ? "video" : "audio",
            .codec = s->codec,
            .width = video && s->width > 0 ? s->width
                     : video               ? 1280
                                           : 0,
            .height = video && s->height > 0 ? s->height
                      : video                ? 720
                                             : 0,
        };
    }
}

static int open_all(struct join *j)
{
    struct joiner_cfg cfg = {.token = j->o->token};
    struct tick tick = clock_tick();
    uint64_t seed = 0;
    int err = url_parse(&cfg.url, j->o->url);

    if (err) {
        fprintf(stderr, "sluice join: --url %s: %s\n", j->o->url, err_text(err));
        return err;
    }
    if (!err)
        err = crypt_random(&seed, sizeof seed);
    j->rng = rng_seed(seed);
    if (!err)
        err = open_sources(j);
    if (err)
        return err;
    err = assoc_pool_init();
    j->pool = err == 0;
    if (!err)
        err = cert_make(&j->cert, (tick.now + tick.wall_off_us) / US_PER_SEC);
    if (!err)
        err = dtls_ctx_open(&j->dtls, j->cert);
    if (!err) {
        fill_client(j, &cfg.client, seed);
        err = joiner_open(&j->joiner, &cfg, tick);
    }
    if (err)
        fprintf(stderr, "sluice join: cannot reach %s: %s\n", j->o->url, err_text(err));
    return err;
}

static void close_all(struct join *j)
{
    for (unsigned i = 0; i < REMOTE_MAX; i++) {
        if (!j->remote[i].recording)
            continue;
        recorder_close(&j->remote[i].recorder);
        if (j->remote[i].fd >= 0)
            (void)close(j->remote[i].fd); /* every write was checked */
    }
    joiner_free(j->joiner);
    dtls_ctx_free(j->dtls);
    cert_free(j->cert);
    if (j->pool)
        assoc_pool_fini();
}

/* ---- what arrives ---- */

static void record_start(struct join *j, struct remote *r, enum codec codec)
{
    char path[NAME_MAX_CHARS];
    int err = recorder_open(&r->recorder, codec);

    r->fd = -1;
    r->recording = true;
    if (err) {
        fprintf(stderr, "sluice join: %s cannot be recorded: %s\n", r->sid, err_text(err));
        r->failed = true;
        return;
    }
    (void)snprintf(path, sizeof path, "%s/%s%s", j->o->record_dir, r->sid,
                   recorder_ending(codec)); /* cut when long: then open fails and says so */
    r->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (r->fd < 0) {
        fprintf(stderr, "sluice join: %s: %s\n", path, err_text(-errno));
        r->failed = true;
        j->code = 1;
        return;
    }
    say(j, "recording %s", path);
}

static void record(struct join *j, struct remote *r, const struct client_media *m, us_t now)
{
    if (!r->recording)
        record_start(j, r, m->codec);
    if (r->failed)
        return;
    recorder_push(&r->recorder, m, now);
    for (struct bytes b = recorder_take(&r->recorder); b.len > 0;) {
        ssize_t n = write(r->fd, b.p, b.len);
        if (n <= 0) {
            fprintf(stderr, "sluice join: recording %s stops: %s\n", r->sid, err_text(-errno));
            r->failed = true;
            j->code = 1;
            return;
        }
        b.p += n;
        b.len -= (size_t)n;
    }
}

static void on_media(struct join *j, const struct client_media *m, us_t now)
{
    struct remote *r = &j->remote[m->track % REMOTE_MAX];

    if (!r->seen) {
        r->seen = true;
        say(j, "media %s %s", r->sid, codec_mime(m->codec));
    }
    if (j->o->record_dir != NULL)
        record(j, r, m, now);
}

static struct person *find_person(struct join *j, const char *sid)
{
    for (unsigned i = 0; i < PEOPLE_MAX; i++) {
        if (strcmp(j->person[i].sid, sid) == 0)
            return &j->person[i];
    }
    return NULL;
}

/* Each update names everybody anew: only comings and goings are printed. */
static void on_participant(struct join *j, const struct client_event *ev)
{
    struct person *p = find_person(j, ev->sid);

    if (p != NULL)
        p->tracks = ev->track;
    if (strcmp(ev->sid, j->own_sid) == 0 || (p != NULL) != ev->left)
        return;
    say(j, "participant %s (%s) %s", ev->identity, ev->sid, ev->left ? "left" : "is here");
    if (ev->left) {
        *p = (struct person){0};
        return;
    }
    p = find_person(j, "");
    if (p == NULL)
        return;
    p->tracks = ev->track;
    memcpy(p->sid, ev->sid, sizeof p->sid);
    memcpy(p->identity, ev->identity, sizeof p->identity);
}

static void on_track(struct join *j, const struct client_event *ev)
{
    struct remote *r = &j->remote[ev->track % REMOTE_MAX];

    r->seen = false;
    memcpy(r->sid, ev->sid, sizeof r->sid);
    const struct person *from = find_person(j, ev->identity);
    say(j, "track %s from %s %s", ev->sid, from != NULL ? from->identity : ev->identity,
        ev->video ? "video" : "audio");
    if (ev->video)
        client_ask_keyframe(joiner_client(j->joiner), ev->track, clock_tick().now);
}

static void on_ended(struct join *j, const char *reason)
{
    const char *text;
    int status = joiner_refusal(j->joiner, &text);

    j->ended = true;
    if (strcmp(reason, "left") == 0)
        return;
    if (status != 0)
        fprintf(stderr, "sluice join: the server answered %d: %s\n", status, text);
    else
        fprintf(stderr, "sluice join: %s\n", reason);
    j->code = 1;
}

static void on_event(struct join *j, const struct client_event *ev, us_t now)
{
    switch (ev->kind) {
    case CLIENT_EVT_JOINED:
        memcpy(j->own_sid, ev->sid, sizeof j->own_sid);
        say(j, "joined as %s (%s)", ev->identity, ev->sid);
        break;
    case CLIENT_EVT_CONNECTED:
        j->connected = true;
        say(j, "connected");
        break;
    case CLIENT_EVT_RESUMED: /* we dial anew instead */
    case CLIENT_EVT_SPEAKER:
        break;
    case CLIENT_EVT_PUBLISHED:
        say(j, "published %s %s", ev->sid, codec_mime(j->source[ev->track].codec));
        break;
    case CLIENT_EVT_PARTICIPANT:
        on_participant(j, ev);
        break;
    case CLIENT_EVT_TRACK:
        on_track(j, ev);
        break;
    case CLIENT_EVT_KEYFRAME:
        source_keyframe(&j->source[ev->track], now);
        break;
    case CLIENT_EVT_DATA:
        say(j, "data %zu bytes", ev->data.len);
        break;
    case CLIENT_EVT_ENDED:
        on_ended(j, ev->reason);
        break;
    }
}

/* ---- what leaves ---- */

static void publish(struct join *j, unsigned at, struct tick tick)
{
    struct source *s = &j->source[at];
    uint8_t buf[PACKETIZE_PAYLOAD_MAX];

    if (s->start_at == US_NEVER)
        source_start(s, tick.now);
    for (unsigned frames = 0; frames < 4 && source_due(s, tick.now); frames++) {
        struct wr w = wr_of(buf, sizeof buf);
        uint32_t ts;
        bool marker;
        while (source_payload(s, &w, &ts, &marker)) {
            (void)client_send(joiner_client(j->joiner), at, wr_done(&w), ts, marker,
                              tick); /* lost like any packet */
            w = wr_of(buf, sizeof buf);
        }
    }
}

/* The test picture of a room: silent, and known to be, while anybody else publishes. */
static void yield(struct join *j)
{
    bool others = false;

    for (unsigned i = 0; i < PEOPLE_MAX && j->o->yield; i++)
        others = others || j->person[i].tracks > 0;
    if (others == j->silent)
        return;
    j->silent = others;
    for (unsigned i = 0; i < j->source_n; i++)
        client_mute(joiner_client(j->joiner), i, others);
}

static us_t next_deadline(const struct join *j, us_t now)
{
    us_t at = us_min(now + POLL_US, joiner_deadline(j->joiner));

    for (unsigned i = 0; i < j->source_n && j->connected; i++)
        at = us_min(at, source_deadline(&j->source[i]));
    return at;
}

static void turn(struct join *j)
{
    struct dial_wait wait[2];
    struct client_event ev;
    struct client_media media;
    struct tick tick = clock_tick();

    joiner_waits(j->joiner, wait);
    (void)dial_wait(wait, 2, next_deadline(j, tick.now) - tick.now); /* an error is a short nap */
    tick = clock_tick();
    while (joiner_media(j->joiner, tick, &media))
        on_media(j, &media, tick.now);
    joiner_pump(j->joiner, tick);
    assoc_pool_tick(tick.now);
    while (joiner_event(j->joiner, &ev))
        on_event(j, &ev, tick.now);
    yield(j);
    for (unsigned i = 0; i < j->source_n && j->connected && !j->silent; i++)
        publish(j, i, tick);
    joiner_flush(j->joiner);
}

int join_run(const struct join_options *o, const volatile sig_atomic_t *stop)
{
    struct join *j = mem_zero(sizeof *j);

    if (j == NULL)
        return 1;
    j->o = o;
    if (open_all(j)) {
        close_all(j);
        mem_free(j);
        return 1;
    }
    us_t begin = clock_tick().now;
    while (!j->ended && !*stop &&
           (o->duration_us == 0 || clock_tick().now - begin < o->duration_us))
        turn(j);
    if (!j->ended) {
        client_leave(joiner_client(j->joiner), clock_tick().now);
        joiner_flush(j->joiner);
    }
    int code = j->code;
    close_all(j);
    mem_free(j);
    return code;
}
