#include "client/client.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/ring.h"
#include "client/incoming.h"
#include "client/mailbox.h"
#include "client/messages.h"
#include "client/outgoing.h"
#include "client/section.h"
#include "crypt/cert.h"
#include "rtc/peer.h"
#include "rtc/assoc.h"
#include "wire/pb.h"

#include "livekit_rtc.pb-c.h"

#include <stdio.h>

enum {
    PING_US = 5 * 1000 * 1000,
    REPORT_US = 1000 * 1000,
    UNPACK_BYTES_MAX = 16 << 20,
    RTCP_BYTES_MAX = 1400,
};

struct client {
    struct client_cfg cfg;
    struct rng rng;
    struct sections sections;
    struct incoming *incoming[SECTION_MAX]; /* beside sections.s[]; NULL while unused */
    struct outgoing outgoing[CLIENT_TRACKS_MAX];
    uint32_t send_section[CLIENT_TRACKS_MAX];
    bool sending[CLIENT_TRACKS_MAX]; /* outgoing[] is set up */
    char sid[CLIENT_TRACKS_MAX][SECTION_SID_MAX];
    struct peer *peer;
    struct peer_local local;
    struct assoc *assoc;
    uint16_t reliable_id, lossy_id;
    bool assoc_started;
    struct ring queue; /* a struct path and a datagram each */
    struct mailbox mailbox;
    struct client_event event[CLIENT_EVENTS_MAX];
    uint32_t event_at, event_n;
    bool untold[SECTION_MAX]; /* CLIENT_EVT_TRACK is due: one answer may name more than the queue */
    uint32_t untold_n;
    uint32_t offer_id, request_id;
    us_t ping_at, report_at;
    bool joined, ended, offer_open, offer_wanted;
    bool resuming;            /* the socket is lost, the room and the media are not */
    char me[SECTION_SID_MAX]; /* our participant */
    struct client_stats stats;
};

/* ---- events and messages out ---- */

/* Full: the event is lost and counted; only a flood of remote tracks gets here. */
static void emit(struct client *c, const struct client_event *ev)
{
    if (c->event_n == CLIENT_EVENTS_MAX) {
        c->stats.drops++;
        return;
    }
    c->event[(c->event_at + c->event_n++) % CLIENT_EVENTS_MAX] = *ev;
}

static void end_coded(struct client *c, const char *reason, int code)
{
    if (c->ended)
        return;
    c->ended = true;
    emit(c, &(struct client_event){.kind = CLIENT_EVT_ENDED, .reason = reason, .code = code});
}

static void end(struct client *c, const char *reason)
{
    end_coded(c, reason, 0);
}

static void set_untold(struct client *c, uint32_t at, bool untold)
{
    c->untold_n += untold - c->untold[at];
    c->untold[at] = untold;
}

/* The next remote track that the owner does not know yet. */
static bool tell_track(struct client *c, struct client_event *ev)
{
    uint32_t at = 0;

    if (c->untold_n == 0 || c->ended)
        return false;
    while (!c->untold[at])
        at++;
    set_untold(c, at, false);
    const struct section *s = &c->sections.s[at];
    *ev = (struct client_event){.kind = CLIENT_EVT_TRACK, .track = at, .video = s->video};
    (void)str_copy(ev->sid, sizeof ev->sid, bytes_str(s->track_sid));
    (void)str_copy(ev->identity, sizeof ev->identity, bytes_str(s->publisher_sid));
    return true;
}

bool client_event(struct client *c, struct client_event *ev)
{
    if (c->event_n == 0)
        return tell_track(c, ev);
    *ev = c->event[c->event_at];
    c->event_at = (c->event_at + 1) % CLIENT_EVENTS_MAX;
    c->event_n--;
    return true;
}

/* A server that makes us say more than it reads ends us. */
static struct str *message_new(struct client *c)
{
    struct str *s = mailbox_add(&c->mailbox);

    if (s == NULL)
        end(c, "too many messages wait for the server");
    return s;
}

bool client_message_output(struct client *c, struct bytes *out)
{
    return !c->resuming && mailbox_take(&c->mailbox, out);
}

/* ---- life ---- */

static int channels_open(struct client *c)
{
    struct assoc_channel_cfg reliable = {
        .label = "_reliable", .ordered = true, .max_retransmits = -1};
    struct assoc_channel_cfg lossy = {.label = "_lossy", .max_retransmits = 0};
    int err = assoc_channel_open(c->assoc, &reliable, &c->reliable_id);

    return err ? err : assoc_channel_open(c->assoc, &lossy, &c->lossy_id);
}

int client_open(struct client **ret, const struct client_cfg *cfg, us_t now)
{
    struct client *c = mem_zero(sizeof *c);
    struct peer_cfg pc = {.role = PEER_CLIENT, .dtls = cfg->dtls, .engine = cfg->engine};

    if (c == NULL)
        return E_NOMEM;
    c->cfg = *cfg;
    c->rng = rng_seed(cfg->seed);
    c->ping_at = c->report_at = US_NEVER;
    int err = section_credentials(&c->local);
    pc.local = c->local;
    pc.seed = rng_u64(&c->rng);
    if (!err)
        err = sections_start(&c->sections, cfg, c->send_section, &c->rng) ? 0 : E_LIMIT;
    if (!err)
        err = ring_init(&c->queue, cfg->track_n > 0 ? CLIENT_QUEUE_BYTES : CLIENT_QUEUE_SMALL_BYTES,
                        0);
    if (!err)
        err = peer_open(&c->peer, &pc, now);
    if (!err)
        err = assoc_open(&c->assoc, true, now);
    if (!err)
        err = channels_open(c);
    if (err) {
        client_free(c);
        return err;
    }
    *ret = c;
    return 0;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    mailbox_fini(&c->mailbox);
    for (uint32_t i = 0; i < CLIENT_TRACKS_MAX; i++)
        outgoing_fini(&c->outgoing[i]);
    for (uint32_t i = 0; i < SECTION_MAX; i++)
        mem_free(c->incoming[i]);
    assoc_free(c->assoc);
    peer_free(c->peer);
    ring_fini(&c->queue);
    mem_free(c);
}

static int make_offer(struct client *c, struct str *sdp)
{
    str_init(sdp, SECTION_OFFER_BYTES_MAX);
    return sections_offer(&c->sections, &c->local, c->cfg.fingerprint, sdp);
}

int client_target(struct client *c, struct str *out)
{
    struct str sdp;

    if (c->resuming)
        return messages_resume(&c->cfg, c->me, out);
    int err = make_offer(c, &sdp);

    if (!err)
        err = messages_target(&c->cfg, &c->sections, str_text(&sdp), out);
    str_fini(&sdp);
    c->offer_id = 1;
    c->offer_open = true;
    return err;
}

void client_add_address(struct client *c, const struct addr *local)
{
    peer_add_local_address(c->peer, local);
}

/* ---- signalling in ---- */

/* One offer at a time; a wish that comes meanwhile waits for the answer. */
static void send_offer(struct client *c)
{
    struct str sdp;

    if (c->offer_open) {
        c->offer_wanted = true;
        return;
    }
    int err = make_offer(c, &sdp);
    struct str *out = err ? NULL : message_new(c);
    if (out != NULL)
        err = messages_offer(str_text(&sdp), ++c->offer_id, out);
    str_fini(&sdp);
    if (err)
        end(c, "could not make an offer");
    c->offer_open = true;
    c->offer_wanted = false;
}

static void on_join(struct client *c, const Livekit__JoinResponse *join, us_t now)
{
    struct client_event ev = {.kind = CLIENT_EVT_JOINED};

    c->joined = true;
    c->ping_at = now + PING_US;
    if (join->participant != NULL) {
        (void)str_copy(ev.sid, sizeof ev.sid, bytes_str(join->participant->sid));
        (void)str_copy(ev.identity, sizeof ev.identity, bytes_str(join->participant->identity));
        memcpy(c->me, ev.sid, sizeof c->me);
    }
    if (join->room != NULL)
        (void)str_copy(ev.room, sizeof ev.room, bytes_str(join->room->sid));
    emit(c, &ev);
}

/* The session goes on; new credentials for the media path, as any client that resumes makes them
 * (livekit-server.md 3.9).  What was said into the lost socket is said again by its owner. */
static void on_reconnect(struct client *c, us_t now)
{
    c->resuming = false;
    c->ping_at = now + PING_US;
    if (section_credentials(&c->local) != 0) {
        end(c, "no randomness");
        return;
    }
    peer_restart(c->peer, &c->local, now);
    c->offer_open = false;
    send_offer(c);
    emit(c, &(struct client_event){.kind = CLIENT_EVT_RESUMED});
}

static void note_participant(struct client *c, const Livekit__ParticipantInfo *p)
{
    struct client_event ev = {.kind = CLIENT_EVT_PARTICIPANT};

    ev.track = (uint32_t)p->n_tracks;
    ev.left = p->state == LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED;
    (void)str_copy(ev.sid, sizeof ev.sid, bytes_str(p->sid));
    (void)str_copy(ev.identity, sizeof ev.identity, bytes_str(p->identity));
    emit(c, &ev);
}

static void on_speakers(struct client *c, const Livekit__SpeakersChanged *changed)
{
    for (size_t i = 0; i < changed->n_speakers; i++) {
        struct client_event ev = {.kind = CLIENT_EVT_SPEAKER,
                                  .speaks = changed->speakers[i]->active};
        (void)str_copy(ev.sid, sizeof ev.sid, bytes_str(changed->speakers[i]->sid));
        emit(c, &ev);
    }
}

static void start_sending(struct client *c, uint32_t track, const struct section *s)
{
    const struct section_codec *codec = s->active ? section_sending(s) : NULL;

    if (codec == NULL || c->sending[track])
        return;
    if (outgoing_init(&c->outgoing[track], s, codec, &c->rng))
        return;
    c->sending[track] = true;
}

/* True when it is a track that was not received before. */
static bool start_receiving(struct client *c, uint32_t at, const struct section *s)
{
    struct incoming *in = c->incoming[at];

    if (in != NULL && in->ssrc == s->remote_ssrc)
        return false;
    if (in == NULL)
        in = c->incoming[at] = mem_zero(sizeof *in);
    if (in == NULL)
        return false;
    incoming_init(in, s->remote_ssrc, s->out_n > 0 ? s->out[0].clock_hz : 90000);
    set_untold(c, at, true);
    return true;
}

/* All new videos at their best, in one message. */
static void ask_quality(struct client *c, const char *const *sid, uint32_t n)
{
    struct str *out = n > 0 ? message_new(c) : NULL;

    if (out != NULL)
        (void)messages_track_setting(sid, n, out); /* a failed one is skipped by the server */
}

static void apply_sections(struct client *c)
{
    const char *video[SECTION_MAX];
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->sections.n; i++) {
        const struct section *s = &c->sections.s[i];
        if (s->kind == SECTION_RECV && s->active && s->remote_ssrc != 0) {
            if (start_receiving(c, i, s) && s->video && s->track_sid[0] != '\0')
                video[n++] = s->track_sid;
        } else if (s->kind == SECTION_RECV && c->incoming[i] != NULL) {
            c->incoming[i]->ssrc = 0;
            set_untold(c, i, false);
        }
    }
    ask_quality(c, video, n);
    for (uint32_t t = 0; t < c->cfg.track_n; t++)
        start_sending(c, t, &c->sections.s[c->send_section[t]]);
}

static void on_answer(struct client *c, const Livekit__SessionDescription *sd, us_t now)
{
    struct section_transport t;

    if (sd->id != 0 && sd->id != c->offer_id)
        return; /* of an offer that a later one replaced */
    int err = sections_answer(&c->sections, bytes_str(sd->sdp), &t);
    if (err) {
        end(c, "the server's answer cannot be used");
        return;
    }
    c->offer_open = false;
    if (t.remote.ufrag[0] != '\0') {
        peer_set_setup(c->peer, t.setup, now);
        err = peer_set_remote(c->peer, &t.remote, now);
    }
    if (err) {
        end(c, err_text(err));
        return;
    }
    for (uint32_t i = 0; i < t.candidate_n; i++)
        peer_add_remote_candidate(c->peer, &t.candidate[i], t.priority[i]);
    apply_sections(c);
    if (c->offer_wanted)
        send_offer(c);
}

static void on_trickle(struct client *c, const Livekit__TrickleRequest *tr)
{
    struct addr addr;
    uint32_t priority;

    if (section_candidate(tr->candidateinit, &addr, &priority))
        peer_add_remote_candidate(c->peer, &addr, priority);
}

static void on_sections_wanted(struct client *c, const Livekit__MediaSectionsRequirement *m)
{
    bool room = true;

    for (uint32_t i = 0; i < m->num_audios && room; i++)
        room = sections_add_recv(&c->sections, false);
    for (uint32_t i = 0; i < m->num_videos && room; i++)
        room = sections_add_recv(&c->sections, true);
    if (!room)
        end(c, "the room has more tracks than this client follows");
    send_offer(c);
}

static void on_published(struct client *c, const Livekit__TrackPublishedResponse *p)
{
    struct client_event ev = {.kind = CLIENT_EVT_PUBLISHED};

    for (uint32_t t = 0; t < c->cfg.track_n; t++) {
        if (strcmp(c->sections.s[c->send_section[t]].cid, p->cid) != 0)
            continue;
        ev.track = t;
        if (p->track != NULL)
            (void)str_copy(ev.sid, sizeof ev.sid, bytes_str(p->track->sid));
        memcpy(c->sid[t], ev.sid, sizeof c->sid[t]);
        emit(c, &ev);
    }
}

static void on_response(struct client *c, const Livekit__SignalResponse *r, us_t now)
{
    switch ((int)r->message_case) {
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN:
        on_join(c, r->join, now);
        for (size_t i = 0; i < r->join->n_other_participants; i++)
            note_participant(c, r->join->other_participants[i]);
        break;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_RECONNECT:
        on_reconnect(c, now);
        break;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ANSWER:
        on_answer(c, r->answer, now);
        break;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRICKLE:
        on_trickle(c, r->trickle);
        break;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_UPDATE:
        for (size_t i = 0; i < r->update->n_participants; i++)
            note_participant(c, r->update->participants[i]);
        break;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SPEAKERS_CHANGED:
        on_speakers(c, r->speakers_changed);
        break;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRACK_PUBLISHED:
        on_published(c, r->track_published);
        break;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_MEDIA_SECTIONS_REQUIREMENT:
        on_sections_wanted(c, r->media_sections_requirement);
        break;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_LEAVE:
        end_coded(c, "the server ended the session", (int)r->leave->reason);
        break;
    default:
        break; /* news that a client of ours has no use for */
    }
}

void client_message(struct client *c, bool text, struct bytes data, struct tick tick)
{
    struct arena a;

    if (c->ended || text)
        return;
    arena_init(&a, UNPACK_BYTES_MAX);
    const Livekit__SignalResponse *r = pb_unpack(&a, &livekit__signal_response__descriptor, data);
    if (r != NULL)
        on_response(c, r, tick.now);
    else
        c->stats.drops++;
    arena_fini(&a);
}

void client_socket_closed(struct client *c)
{
    struct bytes lost;

    if (c->cfg.resumes && c->joined && !c->ended) {
        while (mailbox_take(&c->mailbox, &lost))
            ;
        c->resuming = true;
        c->ping_at = US_NEVER;
        return;
    }
    end(c, c->joined ? "the signalling connection closed" : "the server refused the connection");
}

/* ---- media in ---- */

static void queue_datagram(struct client *c, const struct path *path, const uint8_t *p, size_t len)
{
    uint8_t *slot = ring_reserve(&c->queue, (uint32_t)(sizeof *path + len), false);

    if (slot == NULL) {
        c->stats.drops++;
        return;
    }
    memcpy(slot, path, sizeof *path);
    memcpy(slot + sizeof *path, p, len);
    ring_commit(&c->queue);
}

static void send_rtcp(struct client *c, const struct wr *w)
{
    uint8_t out[RTCP_BYTES_MAX + 64];
    const struct path *path = peer_path(c->peer);

    if (path == NULL || !wr_ok(w) || wr_len(w) == 0)
        return;
    size_t n = peer_seal_rtcp(c->peer, wr_done(w), out, sizeof out);
    if (n > 0)
        queue_datagram(c, path, out, n);
}

static bool send_packet(struct client *c, const struct outgoing_packet *o)
{
    uint8_t out[PEER_DATAGRAM_MAX], body[OUTGOING_PAYLOAD_MAX + 2];
    struct bytes payload = o->payload;
    const struct path *path = peer_path(c->peer);

    if (o->rtx) {
        memcpy(body, o->prefix, 2);
        memcpy(body + 2, payload.p, payload.len);
        payload = bytes_of(body, payload.len + 2);
    }
    size_t n = path == NULL ? 0
                            : peer_seal_rtp(c->peer, bytes_of(o->hdr, o->hdr_len), payload, o->roc,
                                            out, sizeof out);
    if (n == 0)
        return false;
    queue_datagram(c, path, out, n);
    c->stats.tx_packets++;
    c->stats.tx_bytes += n;
    return true;
}

static struct outgoing *find_outgoing(struct client *c, uint32_t ssrc, uint32_t *track)
{
    for (uint32_t t = 0; t < c->cfg.track_n; t++) {
        if (c->sending[t] && c->outgoing[t].ssrc == ssrc) {
            *track = t;
            return &c->outgoing[t];
        }
    }
    return NULL;
}

static void on_nack(struct client *c, const struct rtcp_fb *fb, us_t now)
{
    struct rtcp_nack_iter it;
    struct outgoing_packet o;
    uint32_t track;
    uint16_t seq;
    struct outgoing *out = find_outgoing(c, fb->media, &track);

    rtcp_nack_init(&it, fb);
    while (out != NULL && rtcp_nack_next(&it, &seq)) {
        if (outgoing_resend(out, seq, now, &o))
            (void)send_packet(c, &o); /* lost again at worst */
    }
}

static void on_keyframe_wanted(struct client *c, uint32_t ssrc)
{
    uint32_t track;

    if (find_outgoing(c, ssrc, &track) != NULL)
        emit(c, &(struct client_event){.kind = CLIENT_EVT_KEYFRAME, .track = track});
}

static struct incoming *find_incoming(struct client *c, uint32_t ssrc, uint32_t *at)
{
    for (uint32_t i = 0; i < c->sections.n; i++) {
        if (c->incoming[i] != NULL && c->incoming[i]->ssrc == ssrc && ssrc != 0) {
            *at = i;
            return c->incoming[i];
        }
    }
    return NULL;
}

static void on_rtcp_packet(struct client *c, const struct rtcp_pkt *pkt, us_t now)
{
    struct rtcp_fb fb;
    struct rtcp_sr sr;
    struct rtcp_fir fir[RTCP_FIR_MAX];
    uint32_t at;

    if (rtcp_parse_sr(pkt, &sr) == 0) {
        struct incoming *in = find_incoming(c, sr.ssrc, &at);
        if (in != NULL)
            report_rx_sr(&in->report, &sr, now);
    } else if (rtcp_is_fir(pkt)) {
        for (unsigned n = rtcp_parse_fir(pkt, fir); n > 0; n--)
            on_keyframe_wanted(c, fir[n - 1].ssrc);
    } else if (rtcp_parse_fb(pkt, &fb) == 0) {
        if (rtcp_is_nack(pkt))
            on_nack(c, &fb, now);
        else if (rtcp_is_pli(pkt))
            on_keyframe_wanted(c, fb.media);
    }
}

static void on_rtcp(struct client *c, uint8_t *p, size_t len, us_t now)
{
    struct rtcp_iter it;
    struct rtcp_pkt pkt;

    if (peer_open_rtcp(c->peer, p, &len, now)) {
        c->stats.drops++;
        return;
    }
    rtcp_iter_init(&it, bytes_of(p, len));
    while (rtcp_next(&it, &pkt))
        on_rtcp_packet(c, &pkt, now);
}

/* A retransmission (RFC 4588) becomes the packet that was lost. */
static struct incoming *unwrap_rtx(struct client *c, struct rtp_view *v, const uint8_t *p,
                                   uint32_t *at)
{
    for (uint32_t i = 0; i < c->sections.n; i++) {
        if (c->incoming[i] != NULL && section_unwrap(&c->sections.s[i], v, p)) {
            *at = i;
            return c->incoming[i];
        }
    }
    return NULL;
}

static bool on_rtp(struct client *c, uint8_t *p, size_t len, us_t now, struct client_media *media)
{
    struct rtp_view v;
    uint32_t at = 0;

    if (peer_open_rtp(c->peer, p, &len, now) || rtp_parse(&v, bytes_of(p, len), NULL)) {
        c->stats.drops++;
        return false;
    }
    struct incoming *in = find_incoming(c, v.ssrc, &at);
    if (in == NULL)
        in = unwrap_rtx(c, &v, p, &at);
    const struct section_codec *codec =
        in != NULL ? section_find_pt(&c->sections.s[at], v.pt) : NULL;
    if (codec == NULL) {
        c->stats.drops++;
        return false;
    }
    in->report.clock_hz = codec->clock_hz;
    (void)nack_seen(&in->nack, v.seq, now);              /* what was missing is no longer */
    (void)report_rx_seen(&in->report, v.seq, v.ts, now); /* the extended number is not needed */
    c->stats.rx_packets++;
    c->stats.rx_bytes += len;
    *media = (struct client_media){
        .track = at,
        .codec = codec->codec,
        .seq = v.seq,
        .ts = v.ts,
        .marker = rtp_marker(&v),
        .payload = rtp_payload(&v, p),
    };
    return !rtp_pad_only(&v);
}

static void drain_peer(struct client *c, us_t now)
{
    struct peer_event ev;

    while (peer_event(c->peer, &ev)) {
        if (ev.kind == PEER_EVT_DATA)
            assoc_input(c->assoc, ev.data, now);
        if (ev.kind != PEER_EVT_STATE)
            continue;
        if (ev.state == PEER_CONNECTED && !c->assoc_started) {
            c->assoc_started = true;
            c->report_at = now + REPORT_US;
            assoc_start(c->assoc, now);
            emit(c, &(struct client_event){.kind = CLIENT_EVT_CONNECTED});
        } else if (ev.state == PEER_FAILED || ev.state == PEER_CLOSED) {
            end(c, "the media connection was lost");
        }
    }
}

static void drain_assoc(struct client *c, us_t now)
{
    uint8_t buf[ASSOC_PACKET_MAX + 64];
    struct wr w = wr_of(buf, sizeof buf);

    while (assoc_output(c->assoc, &w)) {
        (void)peer_send_data(c->peer, wr_done(&w), now); /* SCTP repeats what is lost */
        w = wr_of(buf, sizeof buf);
    }
}

bool client_datagram(struct client *c, const struct path *path, uint8_t *p, size_t len,
                     struct tick tick, struct client_media *media)
{
    bool got = false;

    switch (rtp_demux_kind(bytes_of(p, len))) {
    case RTP_DEMUX_RTP:
        return on_rtp(c, p, len, tick.now, media);
    case RTP_DEMUX_RTCP:
        on_rtcp(c, p, len, tick.now);
        break;
    case RTP_DEMUX_STUN:
    case RTP_DEMUX_DTLS:
        if (peer_input(c->peer, path, p, len, tick.now))
            c->stats.drops++;
        drain_peer(c, tick.now);
        drain_assoc(c, tick.now);
        break;
    default:
        c->stats.drops++;
    }
    return got;
}

bool client_datagram_output(struct client *c, struct path *path, struct wr *w)
{
    if (peer_output(c->peer, path, w))
        return true;
    struct bytes b = ring_peek(&c->queue);
    if (b.p == NULL)
        return false;
    memcpy(path, b.p, sizeof *path);
    wr_bytes(w, bytes_of(b.p + sizeof *path, b.len - sizeof *path));
    ring_release(&c->queue);
    return true;
}

/* ---- media and data out ---- */

int client_send(struct client *c, uint32_t track, struct bytes payload, uint32_t ts, bool marker,
                struct tick tick)
{
    struct outgoing_packet o;

    assert(track < c->cfg.track_n);
    if (!c->sending[track] || peer_state(c->peer) != PEER_CONNECTED)
        return E_STATE;
    int err = outgoing_make(&c->outgoing[track], payload, ts, marker, tick.now, &o);
    if (err)
        return err;
    return send_packet(c, &o) ? 0 : E_LIMIT;
}

void client_skip(struct client *c, uint32_t track, uint32_t n)
{
    assert(track < c->cfg.track_n);
    if (c->sending[track])
        outgoing_skip(&c->outgoing[track], n);
}

void client_level(struct client *c, uint32_t track, uint8_t minus_dbov)
{
    assert(track < c->cfg.track_n);
    c->outgoing[track].level = 0x80 | (minus_dbov & 0x7f); /* RFC 6464 s3: with voice */
}

void client_clock(struct client *c, uint32_t track, uint32_t ts, us_t at)
{
    assert(track < c->cfg.track_n);
    if (c->sending[track])
        outgoing_clock(&c->outgoing[track], ts, at);
}

int client_send_data(struct client *c, bool reliable, struct bytes packet, us_t now)
{
    int err = assoc_send(c->assoc, reliable ? c->reliable_id : c->lossy_id, packet, true);

    drain_assoc(c, now);
    return err;
}

void client_ask_keyframe(struct client *c, uint32_t track, us_t now)
{
    uint8_t buf[RTCP_BYTES_MAX];
    struct wr w = wr_of(buf, sizeof buf);

    (void)now; /* the throttle is the server's */
    if (track >= c->sections.n || c->incoming[track] == NULL || c->incoming[track]->ssrc == 0)
        return;
    rtcp_write_rr(&w, INCOMING_SENDER, NULL, 0);
    rtcp_write_pli(&w, INCOMING_SENDER, c->incoming[track]->ssrc);
    send_rtcp(c, &w);
}

void client_mute(struct client *c, uint32_t track, bool muted)
{
    assert(track < c->cfg.track_n);
    struct str *out = c->ended || c->sid[track][0] == '\0' ? NULL : message_new(c);

    if (out != NULL)
        (void)messages_mute(c->sid[track], muted, out); /* a failed one leaves things as they are */
}

void client_set_attribute(struct client *c, const char *name, const char *value)
{
    struct str *out = c->ended ? NULL : message_new(c);

    if (out != NULL)
        (void)messages_attribute(name, value, ++c->request_id, out); /* likewise */
}

void client_leave(struct client *c, us_t now)
{
    struct str *out = c->ended ? NULL : message_new(c);

    if (out != NULL)
        (void)messages_leave(out); /* the closed socket says the same */
    peer_close(c->peer, now);
    end(c, "left");
}

/* ---- time ---- */

static void report_sent(struct client *c, struct tick tick)
{
    for (uint32_t t = 0; t < c->cfg.track_n; t++) {
        uint8_t buf[RTCP_BYTES_MAX];
        struct wr w = wr_of(buf, sizeof buf);
        struct rtcp_sr sr;
        if (!c->sending[t] || !outgoing_report(&c->outgoing[t], tick, &sr))
            continue;
        rtcp_write_sr(&w, &sr, NULL, 0);
        rtcp_write_sdes(&w, sr.ssrc, bytes_str("sluice"), (struct bytes){0});
        send_rtcp(c, &w);
    }
}

static void report_received(struct client *c, us_t now)
{
    uint8_t buf[RTCP_BYTES_MAX];
    struct wr w = wr_of(buf, sizeof buf);

    if (incoming_report(c->incoming, c->sections.n, now, &w))
        send_rtcp(c, &w);
}

static void ask_missing(struct client *c, us_t now)
{
    for (uint32_t i = 0; i < c->sections.n; i++) {
        uint8_t buf[RTCP_BYTES_MAX];
        struct wr w = wr_of(buf, sizeof buf);
        if (c->incoming[i] != NULL && incoming_ask(c->incoming[i], now, &w))
            send_rtcp(c, &w);
    }
}

static void ping(struct client *c, struct tick tick)
{
    struct str *out = message_new(c);

    c->ping_at = tick.now + PING_US;
    if (out != NULL)
        (void)messages_ping((tick.now + tick.wall_off_us) / US_PER_MS, out); /* the next one may */
}

void client_tick(struct client *c, struct tick tick)
{
    peer_tick(c->peer, tick.now);
    drain_peer(c, tick.now);
    if (c->ended)
        return;
    if (tick.now >= c->ping_at)
        ping(c, tick);
    if (tick.now >= c->report_at) {
        c->report_at = tick.now + REPORT_US;
        report_sent(c, tick);
        report_received(c, tick.now);
    }
    if (!c->cfg.no_nack)
        ask_missing(c, tick.now);
    drain_assoc(c, tick.now);
    struct assoc_event ev;
    while (assoc_event(c->assoc, &ev)) {
        if (ev.kind != ASSOC_EVT_MESSAGE)
            continue;
        emit(c, &(struct client_event){
                    .kind = CLIENT_EVT_DATA, .data = ev.data, .reliable = ev.id == c->reliable_id});
        return; /* its bytes are valid until the next call only: the rest at the next tick */
    }
}

us_t client_deadline(const struct client *c)
{
    us_t at = us_min(peer_deadline(c->peer), us_min(c->ping_at, c->report_at));

    if (c->ended)
        return peer_deadline(c->peer);
    for (uint32_t i = 0; i < c->sections.n && !c->cfg.no_nack; i++) {
        if (c->incoming[i] != NULL)
            at = us_min(at, nack_deadline(&c->incoming[i]->nack));
    }
    return at;
}

void client_get_stats(const struct client *c, struct client_stats *out)
{
    *out = c->stats;
    for (uint32_t i = 0; i < c->sections.n; i++)
        out->lost += c->incoming[i] != NULL ? report_rx_lost(&c->incoming[i]->report) : 0;
}
