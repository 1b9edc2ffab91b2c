#include "app/command.h"

#include "api/ingress.h"
#include "app/child.h"
#include "app/filler.h"
#include "app/offer.h"
#include "app/pages.h"
#include "app/server.h"
#include "app/streamkey.h"
#include "base/err.h"
#include "crypt/crypt.h"
#include "io/clock.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WHIP_PORT = 8080, /* as LiveKit Ingress and Lightspeed have it */
    FTL_PORT = 8084,  /* a client of FTL knows no other */
    RTMP_PORT = 1935, /* what rtmp:// stands for */
};

struct up {
    const struct conf *conf;
    const char *dir;
    bool made;
    struct filler filler;
    struct child ingest;
    char bus[4096], ftl_port[8], rtmp_port[8], rtp_port[8], rtp_ports[16];
};

static void print_self_test(const struct server_ready *r, const struct conf *c)
{
    bool outside = false;

    (void)printf("\nSelf-test\n  http      TCP %u open\n  media     UDP", r->http_port);
    for (uint32_t i = 0; i < (r->one_port ? 1 : r->worker_n); i++)
        (void)printf(" %u", r->udp_port[i]);
    if (r->tcp_port != 0)
        (void)printf(", TCP %u", r->tcp_port);
    (void)printf(" open\n");
    if (c->ftl_port != 0)
        (void)printf("  ftl       TCP and UDP %u\n", c->ftl_port);
    if (c->rtmp_port != 0)
        (void)printf("  rtmp      TCP %u\n", c->rtmp_port);
    (void)printf("  offered  ");
    for (uint32_t i = 0; i < r->candidate_n; i++) {
        char text[ADDR_TEXT_MAX];
        if (r->candidate[i].shard != 0)
            break;
        if (r->candidate[i].addr.tcp && !c->force_tcp)
            continue; /* the same addresses again */
        addr_ip_text(&r->candidate[i].addr, text);
        (void)printf(" %s", text);
        outside = outside || !addr_is_loopback(&r->candidate[i].addr);
    }
    (void)printf("\n");
    if (!outside)
        (void)printf("  warning   only this machine can connect: it has no network address; give "
                     "one with --node-ip\n");
}

static void port_text(char out[8], uint32_t port)
{
    if (port == 0)
        (void)snprintf(out, 8, "off"); /* fits */
    else
        (void)snprintf(out, 8, "%u", port & 0xffff); /* fits */
}

static void add_arg(struct child *k, unsigned *n, const char *flag, const char *value)
{
    if (value[0] == '\0')
        return;
    assert(*n + 2 < CHILD_ARGS_MAX);
    k->argv[(*n)++] = flag;
    k->argv[(*n)++] = value;
}

/* The ingress is a process of its own: a fault of a stream's bytes ends no room. */
static void start_ingest(struct up *u)
{
    const struct conf *c = u->conf;
    struct child *k = &u->ingest;
    unsigned n = 3;

    if (c->ftl_port == 0 && c->rtmp_port == 0 && c->rtp_port == 0)
        return;
    (void)snprintf(u->bus, sizeof u->bus, "%s/bus.sock", u->dir); /* cut when long: not found */
    port_text(u->ftl_port, c->ftl_port);
    port_text(u->rtmp_port, c->rtmp_port);
    port_text(u->rtp_port, c->rtp_port);
    if (c->rtp_ports_set)
        (void)snprintf(u->rtp_ports, sizeof u->rtp_ports, "%u-%u", c->rtp_ports.first,
                       c->rtp_ports.last); /* fits */
    *k = (struct child){.name = "ingress", .argv = {"sluice", "ingress", "--with-parent"}};
    add_arg(k, &n, "--bus", u->bus);
    if (c->ftl_port != FTL_PORT) /* else what the ingress's file says */
        add_arg(k, &n, "--ftl-port", u->ftl_port);
    if (c->rtmp_port != RTMP_PORT)
        add_arg(k, &n, "--rtmp-port", u->rtmp_port);
    if (c->rtp_port != 0)
        add_arg(k, &n, "--rtp-port", u->rtp_port);
    add_arg(k, &n, "--rtp-address", c->rtp_address);
    add_arg(k, &n, "--rtp-ports", u->rtp_ports);
    add_arg(k, &n, "--log-level",
            c->log_level == LOG_LEVEL_ERROR  ? "error"
            : c->log_level == LOG_LEVEL_WARN ? "warn"
            : c->log_level == LOG_LEVEL_INFO ? "info"
                                             : "debug");
    add_arg(k, &n, "--on-duplicate", c->on_duplicate);
    add_arg(k, &n, "--address", c->ingest_address);
    add_arg(k, &n, "--log-file", c->log_file);
    if (c->auth_url[0] != '\0' && setenv("AUTH_WS_URL", c->auth_url, 1) != 0)
        return; /* without memory, and without the service nobody may come in */
    k->argv[n++] = "--webrtc-server="; /* whatever the variable says: the rooms are here */
    add_arg(k, &n, "--config", c->ingress_config);
    child_start(k, clock_now());
}

/* The two fields that an encoder asks for, for each way in. */
static void print_streaming(const struct conf *c, const struct server_ready *r, const char *host)
{
    char port[8];
    uint16_t whip = r->whip_port != 0 ? r->whip_port : r->http_port;

    (void)printf("Stream      into room 'live'; anybody with the key may\n");
    if (c->ftl_port != 0)
        (void)printf("  FTL       ftl://%s%s\n            key %u-%s\n", host,
                     c->ftl_port == FTL_PORT ? "" : "   (on the port below)",
                     INGRESS_CHANNEL_DEFAULT, c->stream_key);
    port_text(port, c->rtmp_port);
    if (c->rtmp_port != 0)
        (void)printf("  RTMP      rtmp://%s%s%s/live\n            key %s\n", host,
                     c->rtmp_port == RTMP_PORT ? "" : ":", c->rtmp_port == RTMP_PORT ? "" : port,
                     c->stream_key);
    if (c->rtp_port != 0)
        (void)printf("  RTP       UDP %u%s: payload type 96 H.264, 97 Opus\n", c->rtp_port,
                     c->rtp_address[0] == '\0' ? " of this machine" : "");
    (void)printf("  WHIP      http://%s:%u/whip\n            bearer token %s\n", host, whip,
                 c->stream_key);
}

/* The default channel's key, and where the rest is kept. */
static int stream_key(struct up *u, struct conf *c)
{
    struct str text;

    c->data_dir = u->dir;
    str_init(&text, STREAMKEY_MAX + 1);
    int err = c->stream_key[0] == '\0' ? streamkey_load(u->dir, true, &text) : 0;
    if (err == 0 && c->stream_key[0] == '\0') {
        c->stream_key = arena_dup(&c->arena, str_bytes(&text));
        err = c->stream_key != NULL ? 0 : E_NOMEM;
    }
    str_fini(&text);
    if (err == E_MALFORMED)
        return command_misused("up",
                               "%s/hash holds no stream key; delete it, or run `sluice key "
                               "reset`",
                               u->dir);
    return err < 0 ? command_misused("up", "cannot keep the stream key in %s/hash: %s", u->dir,
                                     err_text(err))
                   : 0;
}

static void on_ready(void *owner, const struct server_ready *r)
{
    struct up *u = owner;
    const struct conf *c = u->conf;
    char host[ADDR_TEXT_MAX];

    offer_host(r->candidate, r->candidate_n, host);
    (void)printf("sluice %s  ready in %lld ms\n", SLUICE_VERSION,
                 (long long)(r->start_us / US_PER_MS));
    (void)printf("  data      %s%s\n\n", u->dir, u->made ? "  (made now)" : "");
    if (pages_find("/meet/demo") != NULL)
        (void)printf("Meet        http://localhost:%u/meet/demo%s%s\n", r->http_port,
                     c->meet_open ? "" : "#key=", c->meet_open ? "" : c->meet_secret);
    if (pages_find("/watch/demo") != NULL)
        (void)printf("Watch       http://localhost:%u/watch/live\n", r->http_port);
    if (pages_find("/admin") != NULL)
        (void)printf("Channels    http://localhost:%u/admin#key=%s\n", r->http_port,
                     c->admin_secret);
    (void)printf("API         ws://%s:%u\n", host, r->http_port);
    (void)printf("  key       %s\n  secret    %s\n", c->key[0].id, c->key[0].secret);
    if (c->dev)
        (void)printf("  WARNING   these keys are known to everybody: development only\n");
    print_streaming(c, r, host);
    print_self_test(r, c);
    (void)printf("\nA test picture with a tone is in room 'live' until somebody publishes there.\n"
                 "Ctrl-C stops.\n");
    (void)fflush(stdout);
    start_ingest(u);
    filler_start(&u->filler, c, r->http_port);
}

static void on_child(void *owner)
{
    struct up *u = owner;

    filler_child(&u->filler);
    child_reap(&u->ingest, clock_now());
}

static void on_stopping(void *owner)
{
    struct up *u = owner;

    child_stop(&u->ingest);
    filler_stop(&u->filler);
}

static us_t on_round(void *owner, us_t now)
{
    struct up *u = owner;

    child_tick(&u->ingest, now);
    return child_deadline(&u->ingest);
}

static int keys(struct up *u, struct conf *c)
{
    if (c->key_n > 0 || c->dev)
        return 0;
    int err = creds_keys(u->dir, c, true, &u->made);
    if (err < 0)
        return command_misused("up", "cannot keep keys in %s: %s; choose another with --data-dir",
                               u->dir, c->error[0] != '\0' ? c->error : err_text(err));
    return 0;
}

/* The invitation key of the meet page, kept beside the keys: whoever has the link may talk.  And
 * the secret of /admin. */
static int secrets(struct up *u, struct conf *c)
{
    const char *file = "invitation";
    int err = 0;

    if (!c->meet_open && c->meet_secret[0] == '\0' && !c->dev)
        err = creds_secret(u->dir, file, c, &c->meet_secret);
    if (err == 0)
        err = creds_secret(u->dir, file = "admin", c, &c->admin_secret);
    return err < 0 ? command_misused("up", "cannot keep a secret in %s/%s: %s", u->dir, file,
                                     err_text(err))
                   : 0;
}

int command_up(const struct command_args *given)
{
    const char *argv[COMMAND_ARGS_MAX];
    struct command_args all, *a = &all;
    char error[SERVER_ERROR_MAX] = "";
    struct str dir;
    struct up up = {0};
    struct conf c;

    conf_init(&c);
    str_init(&dir, 4000);
    c.log_level = LOG_LEVEL_WARN; /* the screen is for people; --log-level info says more */
    int ret = command_theirs(given, argv, ARRAY_LEN(argv), &c.arena, a);
    if (ret == 0)
        ret = command_conf("up", a, &c);
    if (ret == 0)
        ret = creds_data_dir(a, c.data_dir, &dir);
    if (!c.whip_port_set)
        c.whip_port = WHIP_PORT;
    up.conf = &c;
    up.dir = str_text(&dir);
    if (ret == 0)
        ret = keys(&up, &c);
    if (ret == 0)
        ret = secrets(&up, &c);
    if (ret == 0)
        ret = stream_key(&up, &c);
    if (ret == 0)
        ret = command_conf_finish(&c);
    struct server_hooks hooks = {
        .owner = &up,
        .ready = on_ready,
        .child = on_child,
        .stopping = on_stopping,
        .round = on_round,
    };
    if (ret == 0 && c.egress_config[0] != '\0')
        (void)fprintf(stderr, "--egress-config: recording is not in this version; %s is not read\n",
                      c.egress_config);
    if (ret == 0 && server_run(&c, &hooks, error) < 0)
        ret = command_misused("up", "%s", error[0] != '\0' ? error : "out of memory");
    str_fini(&dir);
    conf_fini(&c);
    return ret;
}
