#include "signal/transport.h"

#include "base/mem.h"
#include "crypt/crypt.h"
#include "signal/response.h"
#include "signal/rpc.h"
#include "wire/candidate.h"
#include "wire/pb.h"

enum {
    UFRAG_CHARS = 8, /* RFC 8839 s5.4: at least 4 and 22 */
    PWD_CHARS = 24,
};

static const char *const labels[CHANNEL_N] = {"_reliable", "_lossy", "_data_track", ""};

void transport_init(struct transport *t, struct session *s, uint8_t index)
{
    *t = (struct transport){.session = s, .index = index, .connected_at = US_NEVER};
    for (int i = 0; i < CHANNEL_N; i++)
        t->channel[i] = -1;
    t->sdp_id = rng_u64(&s->hub->house.rng) >> 2;
    t->sdp_version = 1;
}

void transport_fini(struct transport *t)
{
    for (uint32_t i = 0; i < t->section_n; i++)
        mem_free(t->section[i].media);
    mem_free(t->section);
    t->section = NULL;
    t->section_n = t->section_cap = 0;
}

static int ice_text(char *out, size_t n)
{
    static const char alphabet[64] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t dice[PWD_CHARS];

    assert(n <= sizeof dice);
    int err = crypt_random(dice, n);
    if (err != 0)
        return err;
    for (size_t i = 0; i < n; i++)
        out[i] = alphabet[dice[i] & 63];
    out[n] = '\0';
    return 0;
}

static int fresh_local(struct transport *t)
{
    struct peer_local local;
    int err = ice_text(local.ufrag, UFRAG_CHARS);

    if (err == 0)
        err = ice_text(local.pwd, PWD_CHARS);
    if (err != 0)
        return err;
    local.ufrag[0] = cmd_ufrag_letter(t->session->member->shard);
    t->local = local;
    return 0;
}

int transport_open(struct transport *t, bool dtls_client)
{
    struct plane *plane = &t->session->hub->house.plane;
    uint8_t shard = t->session->member->shard;
    struct cmd c = {.kind = CMD_PEER_OPEN};

    assert(t->peer == 0);
    int err = fresh_local(t);
    if (err != 0)
        return err;
    peer_id peer = plane_take(plane, shard, PLANE_PEER, t, 0, 0);
    if (peer == 0)
        return E_LIMIT;
    c.peer_open.peer = peer;
    c.peer_open.local = t->local;
    c.peer_open.setup = dtls_client ? PEER_SETUP_DTLS_CLIENT : PEER_SETUP_DTLS_SERVER;
    if (!plane_push(plane, shard, &c)) {
        plane_untake(plane, PLANE_PEER, peer);
        return E_LIMIT;
    }
    t->peer = peer;
    t->dtls_client = dtls_client;
    return 0;
}

int transport_restart(struct transport *t)
{
    struct cmd c = {.kind = CMD_PEER_RESTART};
    int err = fresh_local(t);

    if (err != 0)
        return err;
    c.peer_restart.peer = t->peer;
    c.peer_restart.local = t->local;
    t->failed = false;
    return plane_push(&t->session->hub->house.plane, handle_shard(t->peer), &c) ? 0 : E_LIMIT;
}

int transport_set_remote(struct transport *t, const struct peer_remote *remote, bool *restarted)
{
    struct cmd c = {.kind = CMD_PEER_REMOTE};
    bool known = t->remote.ufrag[0] != '\0';
    bool changed =
        strcmp(t->remote.ufrag, remote->ufrag) != 0 || strcmp(t->remote.pwd, remote->pwd) != 0;

    *restarted = false;
    if (known && !changed)
        return 0;
    if (known && t->index == PC_PUBLISHER) {
        int err = transport_restart(t); /* the client restarted: an answer with new ones of ours */
        if (err != 0)
            return err;
        *restarted = true;
    }
    t->remote = *remote;
    c.peer_remote.peer = t->peer;
    c.peer_remote.remote = *remote;
    return plane_push(&t->session->hub->house.plane, handle_shard(t->peer), &c) ? 0 : E_LIMIT;
}

static void end_association(struct transport *t)
{
    assoc_free(t->assoc);
    t->assoc = NULL;
    for (int i = 0; i < CHANNEL_N; i++)
        t->channel[i] = -1;
}

peer_id transport_renew(struct transport *t)
{
    struct session *s = t->session;
    peer_id peer = t->peer;
    uint8_t index = t->index;

    end_association(t);
    transport_fini(t);
    transport_init(t, s, index);
    return peer;
}

void transport_close(struct transport *t)
{
    end_association(t);
    plane_close(&t->session->hub->house.plane, PLANE_PEER, t->peer);
    t->peer = 0;
    t->connected = false;
}

/* ---- candidates ---- */

/* Of this shard, and not UDP for those who want TCP where there is some. */
static bool suits(const struct transport *t, const struct hub_candidate *hc)
{
    const struct hub_cfg *cfg = &t->session->hub->cfg;

    if (hc->shard != handle_shard(t->peer))
        return false;
    if (!t->session->tcp_only || hc->addr.tcp != 0)
        return true;
    for (uint32_t i = 0; i < cfg->candidate_n; i++)
        if (cfg->candidate[i].shard == hc->shard && cfg->candidate[i].addr.tcp != 0)
            return false;
    return true;
}

bool transport_candidate(const struct transport *t, uint32_t n, char *out, size_t cap)
{
    const struct hub_cfg *cfg = &t->session->hub->cfg;
    uint32_t seen = 0;

    for (uint32_t i = 0; i < cfg->candidate_n; i++) {
        const struct hub_candidate *hc = &cfg->candidate[i];
        if (!suits(t, hc) || seen++ != n)
            continue;
        struct candidate c = {.component = 1, .type = CANDIDATE_HOST, .addr = hc->addr};
        c.tcp = hc->addr.tcp ? CANDIDATE_TCP_PASSIVE : CANDIDATE_UDP;
        c.addr.tcp = 0;
        uint16_t local_pref = (uint16_t)(hc->addr.tcp ? 8191 - n : 65535 - n);
        c.priority = candidate_priority(CANDIDATE_HOST, local_pref, 1);
        c.foundation[0] = (char)('1' + n % 9);
        (void)str_copy(c.ufrag, sizeof c.ufrag, bytes_str(t->local.ufrag)); /* ours is short */
        return candidate_text(&c, out, cap) > 0;
    }
    return false;
}

void transport_trickle(struct transport *t)
{
    char line[2][CANDIDATE_TEXT_MAX];
    bool have = transport_candidate(t, 0, line[0], sizeof line[0]);

    for (uint32_t n = 0; have; n++) {
        bool more = transport_candidate(t, n + 1, line[(n + 1) % 2], CANDIDATE_TEXT_MAX);
        response_trickle(t->session, line[n % 2], t->index, !more);
        have = more;
    }
}

/* ---- data channels ---- */

bool transport_ready(const struct transport *t)
{
    return t->channel[CHANNEL_RELIABLE] >= 0 && t->channel[CHANNEL_LOSSY] >= 0;
}

static void start_association(struct transport *t)
{
    us_t now = t->session->hub->house.tick.now;

    if (t->assoc != NULL || !t->wants_data)
        return;
    if (assoc_open(&t->assoc, t->dtls_client, now) != 0)
        return; /* no memory: media goes on without data */
    assoc_set_owner(t->assoc, t->peer);
    assoc_start(t->assoc, now);
    if (t->index != PC_SUBSCRIBER)
        return; /* the client opens the channels of its own connection */
    for (int i = 0; i < CHANNEL_RAW; i++) {
        struct assoc_channel_cfg cfg = {.label = labels[i],
                                        .ordered = i == CHANNEL_RELIABLE,
                                        .max_retransmits = i == CHANNEL_RELIABLE ? -1 : 0};
        uint16_t id;
        (void)assoc_channel_open(t->assoc, &cfg, &id); /* refused: that channel never opens */
    }
}

static void flush_held(struct session *s)
{
    while (s->held != NULL) {
        struct held *h = s->held;
        s->held = h->next;
        struct transport *t = session_data_transport(s);
        (void)assoc_send(t->assoc, (uint16_t)t->channel[CHANNEL_RELIABLE],
                         bytes_of(h->data, h->len), true); /* refused: over its queue, dropped */
        mem_free(h);
    }
    s->held_last = NULL;
    s->held_bytes = 0;
}

static void hold(struct session *s, struct bytes packet)
{
    if (s->held_bytes + packet.len > SESSION_HELD_MAX) {
        s->hub->data_refused++;
        return;
    }
    struct held *h = mem_zero(sizeof *h + packet.len);
    if (h == NULL)
        return;
    h->len = packet.len;
    memcpy(h->data, packet.p, packet.len);
    if (s->held_last != NULL)
        s->held_last->next = h;
    else
        s->held = h;
    s->held_last = h;
    s->held_bytes += packet.len;
}

void transport_deliver(struct session *s, bool reliable, struct bytes packet)
{
    struct transport *t = session_data_transport(s);
    int channel = reliable ? CHANNEL_RELIABLE : CHANNEL_LOSSY;

    if (t->assoc == NULL || !transport_ready(t)) {
        if (reliable && (!s->standing || t->wants_data))
            hold(s, packet); /* who offered no channels will never have them */
        return;
    }
    if (assoc_send(t->assoc, (uint16_t)t->channel[channel], packet, true) != 0)
        s->hub->data_refused++;
}

void transport_relay(struct room *r, uint64_t mark, bool reliable, struct bytes packet)
{
    for (uint32_t i = 0; i < r->member_n; i++) {
        struct member *m = r->member[i];
        if (m->mark == mark && m->session != NULL)
            transport_deliver(m->session, reliable, packet);
    }
}

static void on_packet(struct transport *t, bool reliable, struct bytes in)
{
    struct session *s = t->session;
    struct hub *hub = s->hub;
    struct room *r = s->member->room;
    struct data_packet d;

    hub->data_packets++;
    if (data_read(&d, in) != 0 || !data_accept(&d, s->member, reliable) ||
        rpc_answered(hub, s->member, &d)) {
        hub->data_refused++;
        return;
    }
    uint64_t mark = data_mark_targets(&d, r, s->member);
    struct wr w = wr_of(hub->packet, sizeof hub->packet);
    if (data_stamp(&d, in, s->member, reliable, &w) != 0) {
        hub->data_refused++;
        return;
    }
    transport_relay(r, mark, reliable, wr_done(&w));
}

/* Bytes on a channel without a name come wrapped as user data (section 4.7). */
static void on_raw(struct transport *t, struct bytes in)
{
    Livekit__UserPacket u = LIVEKIT__USER_PACKET__INIT;
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;
    struct str packet;

    u.payload.data = (uint8_t *)in.p;
    u.payload.len = in.len;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_USER;
    p.user = &u;
    str_init(&packet, DATA_PACKET_MAX);
    pb_pack(&p.base, &packet);
    if (!packet.failed)
        on_packet(t, true, str_bytes(&packet));
    str_fini(&packet);
}

static void on_open(struct transport *t, const struct assoc_event *ev)
{
    struct session *s = t->session;

    for (int i = 0; i < CHANNEL_N; i++)
        if (strcmp(ev->label, labels[i]) == 0)
            t->channel[i] = ev->id; /* opened again: the newer one counts */
    if (transport_ready(t) && t == session_data_transport(s))
        flush_held(s);
}

static void on_event(struct transport *t, const struct assoc_event *ev)
{
    switch (ev->kind) {
    case ASSOC_EVT_OPEN:
        on_open(t, ev);
        break;
    case ASSOC_EVT_CHANNEL_CLOSED:
        for (int i = 0; i < CHANNEL_N; i++)
            if (t->channel[i] == ev->id)
                t->channel[i] = -1;
        break;
    case ASSOC_EVT_MESSAGE:
        if (t->channel[CHANNEL_RELIABLE] == ev->id)
            on_packet(t, true, ev->data);
        else if (t->channel[CHANNEL_LOSSY] == ev->id)
            on_packet(t, false, ev->data);
        else if (t->channel[CHANNEL_RAW] == ev->id)
            on_raw(t, ev->data);
        break;
    case ASSOC_EVT_UP:
    case ASSOC_EVT_DOWN:
        break;
    }
}

void transport_drain(struct transport *t)
{
    struct assoc_event ev;
    bool down = false;

    while (t->assoc != NULL && !t->session->ended && assoc_event(t->assoc, &ev)) {
        down |= ev.kind == ASSOC_EVT_DOWN;
        on_event(t, &ev);
    }
    while (t->assoc != NULL) {
        uint8_t buf[ASSOC_PACKET_MAX];
        struct wr w = wr_of(buf, sizeof buf);
        if (!assoc_output(t->assoc, &w))
            break;
        plane_push_data(&t->session->hub->house.plane, t->peer, wr_done(&w));
    }
    if (down)
        end_association(t);
}

void transport_data(struct transport *t, struct bytes packet)
{
    start_association(t);
    if (t->assoc == NULL)
        return;
    assoc_input(t->assoc, packet, t->session->hub->house.tick.now);
    transport_drain(t);
}

void transport_state(struct transport *t, const struct evt_peer_state *ev)
{
    bool was = t->connected;

    t->connected = ev->state == PEER_CONNECTED;
    t->failed = ev->state == PEER_FAILED || ev->state == PEER_CLOSED;
    t->silent = ev->state == PEER_FAILED && ev->reason == PEER_REASON_SILENT;
    if (t->connected)
        t->over_tcp = ev->remote.tcp != 0;
    if (t->connected && !t->ever_connected)
        t->connected_at = t->session->hub->house.tick.now;
    t->ever_connected |= t->connected;
    if (t->connected && !was)
        start_association(t);
    session_transport_changed(t->session, t);
}
