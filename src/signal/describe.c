#include "signal/describe.h"

#include "signal/response.h"
#include "signal/transport.h"
#include "wire/candidate.h"
#include "wire/pb.h"

int describe_begin(struct transport *t, struct sdp *sdp, struct arena *a)
{
    sdp_init(sdp, a);
    sdp->id = t->sdp_id;
    sdp->version = t->sdp_version++;
    sdp->ice_lite = true;
    sdp->extmap_allow_mixed = true;
    sdp->msid_semantic = "WMS *";
    return sdp_add_fingerprint(sdp, "sha-256", t->session->hub->cfg.fingerprint) ? 0 : E_NOMEM;
}

int describe_common(struct transport *t, struct sdp *sdp, struct sdp_media *m, enum sdp_setup setup,
                    bool *candidates)
{
    char line[CANDIDATE_TEXT_MAX];

    m->setup = setup;
    m->ice_ufrag = t->local.ufrag;
    m->ice_pwd = t->local.pwd;
    m->rtcp_mux = m->rtcp_rsize = m->kind != SDP_APPLICATION;
    if (*candidates)
        return 0;
    *candidates = true; /* the first of the bundle speaks for all */
    for (uint32_t n = 0; transport_candidate(t, n, line, sizeof line); n++) {
        const char *copy = arena_dup_str(sdp->arena, line);
        if (copy == NULL || !sdp_add_candidate(sdp, m, copy))
            return E_NOMEM;
    }
    m->end_of_candidates = true;
    return 0;
}

void describe_data(struct sdp_media *m)
{
    m->proto = "UDP/DTLS/SCTP";
    m->fmt_text = "webrtc-datachannel";
    m->sctp_port = 5000;
    m->max_message_size = ASSOC_MESSAGE_MAX;
    m->dir = SDP_SENDRECV;
}

void describe_send(struct session *s, struct transport *t, const struct sdp *sdp, bool answer,
                   uint32_t id)
{
    Livekit__SignalResponse m = LIVEKIT__SIGNAL_RESPONSE__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;
    struct arena *a = sdp->arena;
    struct str text;

    str_init(&text, SDP_BYTES_MAX);
    sdp_write(sdp, &text);
    d.type = (char *)(answer ? "answer" : "offer");
    d.sdp = (char *)str_text(&text);
    d.id = id;
    d.mid_to_track_id = arena_array(a, t->section_n + 1, sizeof *d.mid_to_track_id);
    for (uint32_t i = 0; i < t->section_n && d.mid_to_track_id != NULL; i++) {
        const struct section *sec = &t->section[i];
        const struct sub *sub =
            sec->use == SECTION_SEND ? sub_find_serial(s->member, sec->sub) : NULL;
        Livekit__SessionDescription__MidToTrackIdEntry *e;
        if (sub == NULL ||
            (e = pb_new(a, &livekit__session_description__mid_to_track_id_entry__descriptor)) ==
                NULL)
            continue;
        e->key = (char *)sec->mid;
        e->value = sub->pub->info->sid;
        d.mid_to_track_id[d.n_mid_to_track_id++] = e;
    }
    m.message_case =
        answer ? LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ANSWER : LIVEKIT__SIGNAL_RESPONSE__MESSAGE_OFFER;
    if (answer)
        m.answer = &d;
    else
        m.offer = &d;
    if (!text.failed)
        response_send(s, &m);
    str_fini(&text);
}
