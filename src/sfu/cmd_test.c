#include "sfu/cmd.h"

#include "base/ring.h"
#include "base/test.h"
#include "sfu/shard_rig.h"

TEST(records_are_as_long_as_what_matters_and_fit_a_ring)
{
    struct cmd c = {.kind = CMD_PEER_DATA};
    struct evt e = {.kind = EVT_PEER_DATA};

    c.peer_data.len = 10;
    EXPECT_EQ(cmd_len(&c), offsetof(struct cmd, peer_data.data) + 10);
    c.peer_data.len = 60000; /* cannot be longer than its struct */
    EXPECT(cmd_len(&c) <= sizeof c);
    e.peer_data.len = 60000;
    EXPECT(evt_len(&e) <= sizeof e);
    for (uint32_t k = 0; k < 20; k++) {
        c.kind = e.kind = k;
        EXPECT(cmd_len(&c) <= sizeof c && cmd_len(&c) <= RING_RECORD_MAX);
        EXPECT(evt_len(&e) <= sizeof e && evt_len(&e) <= RING_RECORD_MAX);
    }
    c.kind = CMD_PEER_CLOSE;
    EXPECT(cmd_urgent(&c));
    e.kind = EVT_SUB_STATS;
    EXPECT(!evt_urgent(&e));
    e.kind = EVT_SUB_GONE;
    EXPECT(evt_urgent(&e));
}

static void text(struct rd *in, char *out, size_t cap)
{
    struct bytes b = rd_bytes(in, size_min(rd_u8(in) % cap, rd_left(in)));

    memcpy(out, b.p, b.len); /* may be without NUL: the shard must not mind */
}

static handle some(struct rd *in)
{
    uint8_t b = rd_u8(in);

    return b == 255 ? 0 : handle_make(b >> 7, b & 7, 1 + (b >> 3 & 1));
}

static void fill_track(struct rd *in, struct cmd_track_open *t)
{
    t->track = some(in);
    t->peer = some(in);
    t->home = rd_u8(in) & 1 ? some(in) : 0;
    t->video = rd_u8(in) & 1;
    t->svc = rd_u8(in) & 1;
    text(in, t->mid, sizeof t->mid);
    t->codec_n = rd_u8(in) % (CMD_CODECS_MAX + 2);
    t->layer_n = rd_u8(in) % (CMD_LAYERS_MAX + 2);
    for (unsigned i = 0; i < 3; i++) {
        t->codec[i] = (struct cmd_codec){.pt = rd_u8(in), .codec = rd_u8(in), .rtx_pt = rd_u8(in)};
        t->layer[i].ssrc = rd_u8(in);
        t->layer[i].rtx_ssrc = rd_u8(in);
        text(in, t->layer[i].rid, sizeof t->layer[i].rid);
    }
}

static void fill_sub(struct rd *in, struct cmd_sub_attach *a)
{
    a->sub = some(in);
    a->track = some(in);
    a->peer = some(in);
    a->ssrc = rd_u8(in) % 16;
    a->rtx_ssrc = rd_u8(in) % 16;
    text(in, a->mid, sizeof a->mid);
    text(in, a->cname, sizeof a->cname);
    a->pt_n = rd_u8(in);
    a->max_spatial = rd_u8(in);
    a->paused = rd_u8(in) & 1;
}

static void fill_peer(struct rd *in, struct cmd *c)
{
    if (c->kind == CMD_PEER_OPEN) {
        text(in, c->peer_open.local.ufrag, sizeof c->peer_open.local.ufrag);
        text(in, c->peer_open.local.pwd, sizeof c->peer_open.local.pwd);
        c->peer_open.setup = rd_u8(in) % 5;
    } else if (c->kind == CMD_PEER_REMOTE) {
        text(in, c->peer_remote.remote.ufrag, sizeof c->peer_remote.remote.ufrag);
        text(in, c->peer_remote.remote.pwd, sizeof c->peer_remote.remote.pwd);
        c->peer_remote.remote.fingerprint.n = rd_u8(in);
    } else if (c->kind == CMD_PEER_RESTART) {
        text(in, c->peer_restart.local.ufrag, sizeof c->peer_restart.local.ufrag);
    } else if (c->kind == CMD_PEER_DATA) {
        c->peer_data.len = rd_u16(in);
    }
}

static void fill(struct rd *in, struct cmd *c)
{
    c->kind = rd_u8(in) % 18;
    if (c->kind == CMD_TRACK_OPEN) {
        fill_track(in, &c->track_open);
    } else if (c->kind == CMD_SUB_ATTACH) {
        fill_sub(in, &c->sub_attach);
    } else if (c->kind == CMD_SUB_SET) {
        c->sub_set.sub = some(in);
        c->sub_set.max_spatial = rd_u8(in);
        c->sub_set.paused = rd_u8(in) & 1;
    } else if (c->kind == CMD_TRACK_SET) {
        c->track_set.track = some(in);
        c->track_set.muted = rd_u8(in) & 1;
    } else if (c->kind == CMD_RELAY_OPEN || c->kind == CMD_RELAY_CLOSE) {
        c->relay.track = some(in);
        c->relay.mirror = some(in);
    } else {
        c->peer_open.peer = some(in);
        fill_peer(in, c);
    }
}

static void drain(struct shard *s)
{
    struct bytes record;
    struct evt e;
    uint8_t to;

    while (shard_event(s, &e))
        EXPECT(e.kind >= EVT_PEER_STATE && e.kind <= EVT_SUB_GONE);
    while (shard_relay_output(s, &to, &record))
        EXPECT(record.len > 0);
    for (struct tx *tx = shard_tx(s); !tx_empty(tx); tx = shard_tx(s))
        tx_clear(tx);
}

/* Each input is a list of commands, with time in between; everything must come back at the end. */
FUZZ(cmd, in)
{
    static struct cert *cert;
    struct tick tick = {.now = 1000};
    struct rd rd = rd_of(in);
    struct shard *s;

    if (cert == NULL)
        EXPECT_EQ(cert_make(&cert, 0), 0);
    struct shard_cfg cfg = {.cert = cert, .pkts_max = 100};
    EXPECT_EQ(shard_open(&s, &cfg), 0);
    while (rd_ok(&rd) && rd_left(&rd) > 0) {
        struct cmd c = {0};
        fill(&rd, &c);
        tick.now += 10000;
        shard_command(s, &c, tick);
        drain(s);
        shard_tick(s, tick);
        drain(s);
        EXPECT(shard_deadline(s) > tick.now);
    }
    shard_free(s);
}

TEST(cmd_a_ufrag_names_its_shard)
{
    for (int i = 0; i < CMD_SHARDS_MAX; i++) {
        char ufrag[] = {cmd_ufrag_letter((uint8_t)i), 'x', 'y', 'z'};
        EXPECT_EQ(cmd_ufrag_shard(bytes_of((uint8_t *)ufrag, sizeof ufrag)), i);
    }
    EXPECT_EQ(cmd_ufrag_shard(bytes_str("-abc")), -1);
    EXPECT_EQ(cmd_ufrag_shard(bytes_str("")), -1);
}
