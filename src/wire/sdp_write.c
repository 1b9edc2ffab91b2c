#include "wire/sdp.h"

/* What goes between spaces: whoever chose the text may not begin a line or a word of his own. */
static void add_word(struct str *out, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        str_add_char(out, c <= ' ' || c == 0x7f ? '_' : (char)c);
    }
}

/* What goes to the end of a line: spaces may stay. */
static void add_rest(struct str *out, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        str_add_char(out, c < ' ' || c == 0x7f ? '_' : (char)c);
    }
    str_add(out, "\r\n");
}

/* Nothing when there is no text. */
static void add_attr(struct str *out, const char *name, const char *s)
{
    if (s == NULL)
        return;
    str_printf(out, "a=%s:", name);
    add_rest(out, s);
}

static void add_flag(struct str *out, const char *name, bool set)
{
    if (set)
        str_printf(out, "a=%s\r\n", name);
}

static void add_transport(struct str *out, const char *ufrag, const char *pwd, const char *options)
{
    add_attr(out, "ice-ufrag", ufrag);
    add_attr(out, "ice-pwd", pwd);
    add_attr(out, "ice-options", options);
}

static void add_fingerprints(struct str *out, const struct sdp_fingerprint *f, uint32_t n)
{
    for (; n > 0; n--, f++) {
        str_add(out, "a=fingerprint:");
        add_word(out, f->hash);
        for (unsigned i = 0; i < f->digest_len; i++)
            str_printf(out, "%c%02X", i == 0 ? ' ' : ':', f->digest[i]);
        str_add(out, "\r\n");
    }
}

static void add_setup(struct str *out, enum sdp_setup setup)
{
    static const char *const words[] = {NULL, "actpass", "active", "passive"};

    add_attr(out, "setup", words[setup]);
}

static const char *dir_text(enum sdp_dir dir)
{
    static const char *const words[] = {"inactive", "sendonly", "recvonly", "sendrecv"};

    return words[dir & SDP_SENDRECV];
}

static void add_m_line(struct str *out, const struct sdp_media *m)
{
    unsigned port = m->rejected || m->bundle_only ? 0 : m->port;

    str_add(out, "m=");
    add_word(out, m->kind_text);
    str_printf(out, " %u ", port);
    add_word(out, m->proto);
    for (uint32_t i = 0; i < m->codec_n; i++)
        str_printf(out, " %u", m->codec[i].pt);
    if (m->codec_n == 0) {
        str_add_char(out, ' ');
        add_rest(out, m->fmt_text                  ? m->fmt_text
                      : m->kind == SDP_APPLICATION ? "webrtc-datachannel"
                                                   : "0");
    } else {
        str_add(out, "\r\n");
    }
    str_add(out, "c=IN IP4 0.0.0.0\r\n");
}

static void add_codec(struct str *out, const struct sdp_codec *c)
{
    str_printf(out, "a=rtpmap:%u ", c->pt);
    add_word(out, c->name);
    str_printf(out, "/%u", c->clock_hz);
    if (c->channels > 0)
        str_printf(out, "/%u", c->channels);
    str_add(out, "\r\n");
    for (uint32_t i = 0; i < c->fb_n; i++) {
        str_printf(out, "a=rtcp-fb:%u ", c->pt);
        add_rest(out, c->fb[i]);
    }
    if (c->fmtp != NULL) {
        str_printf(out, "a=fmtp:%u ", c->pt);
        add_rest(out, c->fmtp);
    }
}

static void add_exts(struct str *out, const struct sdp_media *m)
{
    for (uint32_t i = 0; i < m->ext_n; i++) {
        const struct sdp_ext *e = &m->ext[i];
        str_printf(out, "a=extmap:%u", e->id);
        if (e->dir != SDP_SENDRECV)
            str_printf(out, "/%s", dir_text(e->dir));
        str_add_char(out, ' ');
        add_rest(out, e->uri);
    }
}

/* One direction of a=simulcast in the order of simulcast_pos; the first of each id. */
static bool add_layers(struct str *out, const struct sdp_media *m, bool send, bool first)
{
    uint32_t done = 0;

    for (uint32_t pos = 0; pos < SDP_RIDS_MAX; pos++) {
        for (uint32_t i = 0; i < m->rid_n; i++) {
            const struct sdp_rid *r = &m->rid[i];
            if (!r->simulcast || r->send != send || r->simulcast_pos != pos)
                continue;
            if (done++ == 0)
                str_printf(out, "%s%s ", first ? "a=simulcast:" : " ", send ? "send" : "recv");
            else
                str_add_char(out, ';');
            if (r->paused)
                str_add_char(out, '~');
            add_word(out, r->id);
        }
    }
    return done > 0;
}

static void add_rids(struct str *out, const struct sdp_media *m)
{
    for (uint32_t i = 0; i < m->rid_n; i++) {
        const struct sdp_rid *r = &m->rid[i];
        str_add(out, "a=rid:");
        add_word(out, r->id);
        str_add(out, r->send ? " send" : " recv");
        if (r->params != NULL)
            str_add_char(out, ' ');
        add_rest(out, r->params ? r->params : "");
    }
    bool any = add_layers(out, m, true, true);
    any |= add_layers(out, m, false, !any);
    if (any)
        str_add(out, "\r\n");
}

static void add_ssrcs(struct str *out, const struct sdp_media *m)
{
    for (uint32_t i = 0; i < m->group_n; i++) {
        const struct sdp_ssrc_group *g = &m->group[i];
        str_add(out, "a=ssrc-group:");
        add_word(out, g->semantics);
        for (uint32_t k = 0; k < g->n; k++)
            str_printf(out, " %u", g->ssrc[k]);
        str_add(out, "\r\n");
    }
    for (uint32_t i = 0; i < m->ssrc_n; i++) {
        const struct sdp_ssrc *x = &m->ssrc[i];
        if (x->cname != NULL) {
            str_printf(out, "a=ssrc:%u cname:", x->ssrc);
            add_rest(out, x->cname);
        }
        if (x->stream == NULL)
            continue;
        str_printf(out, "a=ssrc:%u msid:", x->ssrc);
        add_word(out, x->stream);
        if (x->track != NULL) {
            str_add_char(out, ' ');
            add_word(out, x->track);
        }
        str_add(out, "\r\n");
    }
}

static void add_msids(struct str *out, const struct sdp_media *m)
{
    for (uint32_t i = 0; i < m->msid_n; i++) {
        str_add(out, "a=msid:");
        add_word(out, m->msid[i].stream);
        if (m->msid[i].track != NULL) {
            str_add_char(out, ' ');
            add_word(out, m->msid[i].track);
        }
        str_add(out, "\r\n");
    }
}

static void add_media(struct str *out, const struct sdp_media *m)
{
    add_m_line(out, m);
    add_transport(out, m->ice_ufrag, m->ice_pwd, m->ice_options);
    add_fingerprints(out, m->fingerprint, m->fingerprint_n);
    add_setup(out, m->setup);
    add_attr(out, "mid", m->mid);
    add_flag(out, "bundle-only", m->bundle_only);
    add_flag(out, "extmap-allow-mixed", m->extmap_allow_mixed);
    add_exts(out, m);
    str_printf(out, "a=%s\r\n", dir_text(m->dir));
    add_msids(out, m);
    add_flag(out, "rtcp-mux", m->rtcp_mux);
    add_flag(out, "rtcp-rsize", m->rtcp_rsize);
    for (uint32_t i = 0; i < m->codec_n; i++)
        add_codec(out, &m->codec[i]);
    add_rids(out, m);
    add_ssrcs(out, m);
    if (m->sctp_port > 0)
        str_printf(out, "a=sctp-port:%u\r\n", m->sctp_port);
    if (m->max_message_size > 0)
        str_printf(out, "a=max-message-size:%u\r\n", m->max_message_size);
    for (uint32_t i = 0; i < m->candidate_n; i++) {
        str_add(out, "a=");
        add_rest(out, m->candidate[i]);
    }
    add_flag(out, "end-of-candidates", m->end_of_candidates);
}

void sdp_write(const struct sdp *s, struct str *out)
{
    str_printf(out, "v=0\r\no=- %llu %llu IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
               (unsigned long long)s->id, (unsigned long long)s->version);
    if (s->bundle_n > 0) {
        str_add(out, "a=group:BUNDLE");
        for (uint32_t i = 0; i < s->bundle_n; i++) {
            str_add_char(out, ' ');
            add_word(out, s->bundle[i]);
        }
        str_add(out, "\r\n");
    }
    add_flag(out, "ice-lite", s->ice_lite);
    add_flag(out, "extmap-allow-mixed", s->extmap_allow_mixed);
    add_attr(out, "msid-semantic", s->msid_semantic);
    add_transport(out, s->ice_ufrag, s->ice_pwd, s->ice_options);
    add_fingerprints(out, s->fingerprint, s->fingerprint_n);
    add_setup(out, s->setup);
    for (uint32_t i = 0; i < s->media_n && !out->failed; i++)
        add_media(out, &s->media[i]);
}
