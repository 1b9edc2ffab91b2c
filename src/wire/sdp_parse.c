#include "wire/sdp.h"

#include "base/err.h"

/* The session level is read as one more section, which the others inherit from. */
struct parse {
    struct sdp *s;
    struct arena *a;
    struct sdp_media session;
    struct sdp_media *m; /* the section whose attributes come in; &session before the first */
    bool dir_said;       /* for m */
    bool session_dir_said;
    struct bytes simulcast; /* of m; understood once all its rids are known */
};

typedef int attr_fn(struct parse *p, struct bytes v);

/* ---- words ---- */

/* The next word of a line, empty at its end. */
static struct bytes word(struct bytes *v)
{
    while (v->len > 0 && v->p[0] == ' ') {
        v->p++;
        v->len--;
    }
    struct bytes w = {.p = v->p};
    while (w.len < v->len && v->p[w.len] != ' ')
        w.len++;
    v->p += w.len;
    v->len -= w.len;
    return w;
}

/* Everything up to a separator, which is taken too. */
static struct bytes upto(struct bytes *v, char sep)
{
    struct bytes w = {.p = v->p};

    while (w.len < v->len && v->p[w.len] != (uint8_t)sep)
        w.len++;
    size_t skip = w.len < v->len ? w.len + 1 : w.len;
    v->p += skip;
    v->len -= skip;
    return w;
}

static struct bytes trimmed(struct bytes v)
{
    while (v.len > 0 && v.p[0] == ' ') {
        v.p++;
        v.len--;
    }
    while (v.len > 0 && v.p[v.len - 1] == ' ')
        v.len--;
    return v;
}

static bool to_u32(struct bytes text, uint32_t max, uint32_t *out)
{
    uint64_t v;

    if (!str_to_u64(text, max, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

/* Copies text into the arena and a field; E_TOO_LARGE when that is full. */
static int keep(struct parse *p, struct bytes text, const char **out)
{
    const char *copy = arena_dup(p->a, text);

    if (copy == NULL)
        return E_TOO_LARGE;
    *out = copy;
    return 0;
}

/* ---- attributes ---- */

static int attr_group(struct parse *p, struct bytes v)
{
    if (p->m != &p->session || p->s->bundle_n > 0 || !bytes_eq_str(word(&v), "BUNDLE"))
        return 0;
    for (struct bytes w = word(&v); w.len > 0; w = word(&v)) {
        const char *mid;
        int err = keep(p, w, &mid);
        if (err)
            return err;
        if (!sdp_add_bundle(p->s, mid))
            return E_TOO_LARGE;
    }
    return 0;
}

static int attr_ice_lite(struct parse *p, struct bytes v UNUSED)
{
    p->s->ice_lite = true;
    return 0;
}

static int attr_allow_mixed(struct parse *p, struct bytes v UNUSED)
{
    p->m->extmap_allow_mixed = true;
    return 0;
}

static int attr_msid_semantic(struct parse *p, struct bytes v)
{
    return keep(p, trimmed(v), &p->s->msid_semantic);
}

/* RFC 8839 s5.4: 4 to 256 and 22 to 256 characters. */
static int attr_ufrag(struct parse *p, struct bytes v)
{
    if (v.len < 4 || v.len > 256)
        return E_MALFORMED;
    return keep(p, v, &p->m->ice_ufrag);
}

static int attr_pwd(struct parse *p, struct bytes v)
{
    if (v.len < 22 || v.len > 256)
        return E_MALFORMED;
    return keep(p, v, &p->m->ice_pwd);
}

static int attr_ice_options(struct parse *p, struct bytes v)
{
    return keep(p, v, &p->m->ice_options);
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "AB:CD:..." of exactly `len` bytes. */
static bool hex_digest(struct bytes v, uint8_t *out, size_t len)
{
    if (v.len != len * 3 - 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = hex_value(v.p[i * 3]), lo = hex_value(v.p[i * 3 + 1]);
        if (hi < 0 || lo < 0 || (i + 1 < len && v.p[i * 3 + 2] != ':'))
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static int attr_fingerprint(struct parse *p, struct bytes v)
{
    static const struct {
        const char *name;
        uint8_t len;
    } hashes[] = {
        {"sha-256", 32}, {"sha-1", 20}, {"sha-224", 28}, {"sha-384", 48}, {"sha-512", 64},
    };
    struct bytes name = word(&v);
    struct sdp_media *m = p->m;

    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        if (!str_ieq(name, hashes[i].name))
            continue;
        struct sdp_fingerprint f = {.hash = hashes[i].name, .digest_len = hashes[i].len};
        if (!hex_digest(word(&v), f.digest, f.digest_len))
            return E_MALFORMED;
        if (m->fingerprint_n == SDP_FINGERPRINTS_MAX)
            return E_TOO_LARGE;
        if (m->fingerprint == NULL) /* of the fixed limit at once: few have more than one */
            m->fingerprint = arena_array(p->a, SDP_FINGERPRINTS_MAX, sizeof f);
        if (m->fingerprint == NULL)
            return E_TOO_LARGE;
        m->fingerprint[m->fingerprint_n++] = f;
        return 0;
    }
    return 0; /* a hash that nobody has to support (RFC 8122 s5) */
}

static int attr_setup(struct parse *p, struct bytes v)
{
    if (bytes_eq_str(v, "actpass"))
        p->m->setup = SDP_ACTPASS;
    else if (bytes_eq_str(v, "active"))
        p->m->setup = SDP_ACTIVE;
    else if (bytes_eq_str(v, "passive"))
        p->m->setup = SDP_PASSIVE;
    else
        return E_MALFORMED;
    return 0;
}

static int attr_mid(struct parse *p, struct bytes v)
{
    if (v.len == 0 || v.len > 64 || p->m == &p->session || p->m->mid != NULL)
        return E_MALFORMED;
    for (uint32_t i = 0; i < p->s->media_n; i++) {
        if (p->s->media[i].mid != NULL && bytes_eq_str(v, p->s->media[i].mid))
            return E_MALFORMED; /* two sections of one name */
    }
    return keep(p, v, &p->m->mid);
}

static bool dir_of(struct bytes v, enum sdp_dir *out)
{
    if (bytes_eq_str(v, "sendrecv"))
        *out = SDP_SENDRECV;
    else if (bytes_eq_str(v, "sendonly"))
        *out = SDP_SENDONLY;
    else if (bytes_eq_str(v, "recvonly"))
        *out = SDP_RECVONLY;
    else if (bytes_eq_str(v, "inactive"))
        *out = SDP_INACTIVE;
    else
        return false;
    return true;
}

static int attr_rtcp_mux(struct parse *p, struct bytes v UNUSED)
{
    p->m->rtcp_mux = true;
    return 0;
}

static int attr_rtcp_rsize(struct parse *p, struct bytes v UNUSED)
{
    p->m->rtcp_rsize = true;
    return 0;
}

static int attr_bundle_only(struct parse *p, struct bytes v UNUSED)
{
    p->m->bundle_only = true;
    return 0;
}

static int attr_end_of_candidates(struct parse *p, struct bytes v UNUSED)
{
    p->m->end_of_candidates = true;
    return 0;
}

/* The codec that a line speaks of; NULL for one that the m-line does not list. */
static int codec_of(struct parse *p, struct bytes pt_text, struct sdp_codec **out)
{
    uint32_t pt;

    if (!to_u32(pt_text, 127, &pt))
        return E_MALFORMED;
    *out = sdp_find_pt(p->m, (uint8_t)pt);
    return 0;
}

static int attr_rtpmap(struct parse *p, struct bytes v)
{
    struct sdp_codec *c;
    uint32_t clock = 0, channels = 0;
    int err = codec_of(p, word(&v), &c);

    if (err || c == NULL)
        return err;
    v = trimmed(v);
    struct bytes name = upto(&v, '/'), clock_text = upto(&v, '/');
    if (name.len == 0 || !to_u32(clock_text, UINT32_MAX, &clock) || clock == 0)
        return E_MALFORMED;
    if (v.len > 0 && !to_u32(v, 255, &channels))
        return E_MALFORMED;
    c->clock_hz = clock;
    c->channels = (uint8_t)channels;
    return keep(p, name, &c->name);
}

static int attr_fmtp(struct parse *p, struct bytes v)
{
    struct sdp_codec *c;
    int err = codec_of(p, word(&v), &c);

    if (err || c == NULL)
        return err;
    return keep(p, trimmed(v), &c->fmtp);
}

static int attr_rtcp_fb(struct parse *p, struct bytes v)
{
    struct bytes pt = word(&v);
    struct sdp_codec *only = NULL;
    const char *text;
    int err;

    bool all = bytes_eq_str(pt, "*");
    if (!all) {
        err = codec_of(p, pt, &only);
        if (err || only == NULL)
            return err;
    }
    err = keep(p, trimmed(v), &text);
    for (uint32_t i = 0; i < p->m->codec_n && !err; i++) {
        struct sdp_codec *c = &p->m->codec[i];
        if ((all || c == only) && !sdp_has_fb(c, text) && !sdp_add_fb(p->s, c, text))
            err = E_TOO_LARGE;
    }
    return err;
}

static int attr_extmap(struct parse *p, struct bytes v)
{
    struct bytes id_dir = word(&v), uri = word(&v);
    struct bytes id_text = upto(&id_dir, '/');
    enum sdp_dir dir = SDP_SENDRECV;
    const char *kept;
    uint32_t id;

    if (!to_u32(id_text, UINT16_MAX, &id) || id == 0 || uri.len == 0)
        return E_MALFORMED;
    if (id_dir.len > 0 && !dir_of(id_dir, &dir))
        return E_MALFORMED;
    int err = keep(p, uri, &kept);
    if (err)
        return err;
    if (!sdp_add_ext(p->s, p->m, (uint16_t)id, kept))
        return E_TOO_LARGE;
    p->m->ext[p->m->ext_n - 1].dir = dir;
    return 0;
}

static int attr_ssrc(struct parse *p, struct bytes v)
{
    struct bytes id = word(&v);
    uint32_t ssrc;

    if (!to_u32(id, UINT32_MAX, &ssrc))
        return E_MALFORMED;
    struct sdp_ssrc *x = sdp_find_ssrc(p->m, ssrc);
    if (x == NULL)
        x = sdp_add_ssrc(p->s, p->m, ssrc);
    if (x == NULL)
        return E_TOO_LARGE;
    v = trimmed(v);
    struct bytes name = upto(&v, ':');
    if (bytes_eq_str(name, "cname"))
        return keep(p, v, &x->cname);
    if (!bytes_eq_str(name, "msid"))
        return 0;
    struct bytes stream = word(&v), track = word(&v);
    if (stream.len == 0)
        return E_MALFORMED;
    int err = keep(p, stream, &x->stream);
    if (!err && track.len > 0)
        err = keep(p, track, &x->track);
    return err;
}

static int attr_ssrc_group(struct parse *p, struct bytes v)
{
    const char *semantics;
    int err = keep(p, word(&v), &semantics);

    if (err)
        return err;
    struct sdp_ssrc_group *g = sdp_add_group(p->s, p->m, semantics);
    if (g == NULL)
        return E_TOO_LARGE;
    for (struct bytes w = word(&v); w.len > 0; w = word(&v)) {
        if (g->n == SDP_GROUP_IDS_MAX)
            return E_TOO_LARGE;
        if (!to_u32(w, UINT32_MAX, &g->ssrc[g->n++]))
            return E_MALFORMED;
    }
    return g->semantics[0] != '\0' && g->n > 0 ? 0 : E_MALFORMED;
}

static int attr_rid(struct parse *p, struct bytes v)
{
    struct bytes id = word(&v), dir = word(&v);
    const char *kept;
    int err;

    if (id.len == 0 || id.len > 255)
        return E_MALFORMED;
    if (!bytes_eq_str(dir, "send") && !bytes_eq_str(dir, "recv"))
        return E_MALFORMED;
    err = keep(p, id, &kept);
    if (err)
        return err;
    struct sdp_rid *r = sdp_add_rid(p->s, p->m, kept);
    if (r == NULL)
        return E_TOO_LARGE;
    r->send = dir.p[0] == 's';
    v = trimmed(v);
    return v.len > 0 ? keep(p, v, &r->params) : 0;
}

static int attr_simulcast(struct parse *p, struct bytes v)
{
    p->simulcast = v;
    return 0;
}

/* RFC 8853 s5.1: of alternatives ("a,b") the first counts.  Older Firefox wrote "rid=" first. */
static void mark_layers(struct sdp_media *m, struct bytes list, bool send)
{
    for (uint16_t pos = 0; list.len > 0 && pos < SDP_RIDS_MAX; pos++) {
        struct bytes layer = upto(&list, ';');
        struct bytes id = upto(&layer, ',');
        bool paused = id.len > 0 && id.p[0] == '~';
        if (paused)
            id = bytes_of(id.p + 1, id.len - 1);
        for (uint32_t i = 0; i < m->rid_n; i++) {
            struct sdp_rid *r = &m->rid[i];
            if (r->send != send || r->simulcast || !bytes_eq_str(id, r->id))
                continue;
            r->simulcast = true;
            r->paused = paused;
            r->simulcast_pos = pos;
            break;
        }
    }
}

static void apply_simulcast(struct parse *p)
{
    struct bytes v = p->simulcast;

    if (v.p == NULL)
        return; /* none was said */
    for (struct bytes dir = word(&v); dir.len > 0; dir = word(&v)) {
        struct bytes list = word(&v);
        if (list.len > 4 && memcmp(list.p, "rid=", 4) == 0)
            list = bytes_of(list.p + 4, list.len - 4);
        if (bytes_eq_str(dir, "send") || bytes_eq_str(dir, "recv"))
            mark_layers(p->m, list, dir.p[0] == 's');
    }
    p->simulcast = (struct bytes){0};
}

static int attr_msid(struct parse *p, struct bytes v)
{
    struct bytes stream = word(&v), track = word(&v);
    const char *s = NULL, *t = NULL;

    if (stream.len == 0)
        return E_MALFORMED;
    int err = keep(p, stream, &s);
    if (!err && track.len > 0)
        err = keep(p, track, &t);
    if (err)
        return err;
    return sdp_add_msid(p->s, p->m, s, t) ? 0 : E_TOO_LARGE;
}

/* Hosts with more addresses than we keep lose the last ones, not the call. */
static int attr_candidate(struct parse *p, struct bytes v)
{
    if (p->m->candidate_n == SDP_CANDIDATES_MAX)
        return 0;
    const char *text = arena_printf(p->a, "candidate:%.*s", (int)v.len, (const char *)v.p);
    return text != NULL && sdp_add_candidate(p->s, p->m, text) ? 0 : E_TOO_LARGE;
}

static int attr_sctp_port(struct parse *p, struct bytes v)
{
    uint32_t port;

    if (!to_u32(word(&v), UINT16_MAX, &port)) /* the first word: also of an old sctpmap */
        return E_MALFORMED;
    p->m->sctp_port = (uint16_t)port;
    return 0;
}

static int attr_max_message_size(struct parse *p, struct bytes v)
{
    uint64_t size;

    if (!str_to_u64(v, UINT64_MAX, &size))
        return E_MALFORMED;
    p->m->max_message_size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
    return 0;
}

static const struct {
    const char *name;
    attr_fn *read;
} attrs[] = {
    {"candidate", attr_candidate},
    {"ssrc", attr_ssrc},
    {"rtpmap", attr_rtpmap},
    {"rtcp-fb", attr_rtcp_fb},
    {"fmtp", attr_fmtp},
    {"extmap", attr_extmap},
    {"mid", attr_mid},
    {"msid", attr_msid},
    {"setup", attr_setup},
    {"ice-ufrag", attr_ufrag},
    {"ice-pwd", attr_pwd},
    {"ice-options", attr_ice_options},
    {"fingerprint", attr_fingerprint},
    {"rtcp-mux", attr_rtcp_mux},
    {"rtcp-rsize", attr_rtcp_rsize},
    {"ssrc-group", attr_ssrc_group},
    {"rid", attr_rid},
    {"simulcast", attr_simulcast},
    {"bundle-only", attr_bundle_only},
    {"end-of-candidates", attr_end_of_candidates},
    {"sctp-port", attr_sctp_port},
    {"sctpmap", attr_sctp_port},
    {"max-message-size", attr_max_message_size},
    {"group", attr_group},
    {"ice-lite", attr_ice_lite},
    {"extmap-allow-mixed", attr_allow_mixed},
    {"msid-semantic", attr_msid_semantic},
};

static int attribute(struct parse *p, struct bytes v)
{
    struct bytes name = upto(&v, ':');

    if (dir_of(name, &p->m->dir)) {
        p->dir_said = true;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(attrs); i++) {
        if (bytes_eq_str(name, attrs[i].name))
            return attrs[i].read(p, v);
    }
    return 0;
}

/* ---- sections ---- */

/* Payload types that mean something without a rtpmap (RFC 3551 s6). */
static void static_codec(struct sdp_codec *c)
{
    if (c->pt != 0 && c->pt != 8 && c->pt != 9)
        return;
    c->name = c->pt == 0 ? "PCMU" : c->pt == 8 ? "PCMA" : "G722";
    c->clock_hz = 8000;
}

static int formats(struct parse *p, struct bytes v)
{
    uint32_t pt;
    int err = keep(p, trimmed(v), &p->m->fmt_text);

    if (err || (p->m->kind != SDP_AUDIO && p->m->kind != SDP_VIDEO))
        return err;
    for (struct bytes w = word(&v); w.len > 0; w = word(&v)) {
        if (!to_u32(w, 127, &pt))
            return E_MALFORMED;
        if (sdp_find_pt(p->m, (uint8_t)pt) != NULL)
            continue;
        struct sdp_codec *c = sdp_add_codec(p->s, p->m);
        if (c == NULL)
            return E_TOO_LARGE;
        c->pt = (uint8_t)pt;
        if (p->m->kind == SDP_AUDIO)
            static_codec(c);
    }
    return 0;
}

static bool profile_ok(enum sdp_kind kind, const char *proto)
{
    static const char *const media[] = {"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP",
                                        "TCP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVP",
                                        "RTP/SAVPF",         "RTP/SAVP"};
    static const char *const data[] = {"UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"};
    bool is_data = kind == SDP_APPLICATION;
    size_t n = is_data ? ARRAY_LEN(data) : ARRAY_LEN(media);

    for (size_t i = 0; i < n; i++) {
        if (strcmp(proto, is_data ? data[i] : media[i]) == 0)
            return true;
    }
    return kind == SDP_OTHER;
}

static enum sdp_kind kind_of(struct bytes w)
{
    if (bytes_eq_str(w, "audio"))
        return SDP_AUDIO;
    if (bytes_eq_str(w, "video"))
        return SDP_VIDEO;
    return bytes_eq_str(w, "application") ? SDP_APPLICATION : SDP_OTHER;
}

/* A codec that nobody named is of no use. */
static void end_section(struct parse *p)
{
    struct sdp_media *m = p->m;
    uint32_t kept = 0;

    apply_simulcast(p);
    if (m == &p->session) {
        p->session_dir_said = p->dir_said;
        return;
    }
    for (uint32_t i = 0; i < m->codec_n; i++) {
        if (m->codec[i].name != NULL)
            m->codec[kept++] = m->codec[i];
    }
    m->codec_n = kept;
    m->rejected = m->port == 0 && !m->bundle_only;
    if (!p->dir_said && p->session_dir_said)
        m->dir = p->session.dir;
}

/* m=<media> <port>[/<n>] <proto> <fmt> ... */
static int m_line(struct parse *p, struct bytes v)
{
    struct bytes kind = word(&v), port_n = word(&v), proto = word(&v);
    struct bytes port_text = upto(&port_n, '/');
    uint32_t port;

    end_section(p);
    if (kind.len == 0 || proto.len == 0 || !to_u32(port_text, UINT16_MAX, &port))
        return E_MALFORMED;
    p->m = sdp_add_media(p->s, kind_of(kind));
    if (p->m == NULL)
        return E_TOO_LARGE;
    p->dir_said = false;
    p->m->port = (uint16_t)port;
    int err = keep(p, kind, &p->m->kind_text);
    if (!err)
        err = keep(p, proto, &p->m->proto);
    if (err)
        return err;
    if (port > 0 && !profile_ok(p->m->kind, p->m->proto))
        return E_UNSUPPORTED;
    return formats(p, v);
}

/* o=<user> <id> <version> ...; some write ids that are no numbers: then 0. */
static void o_line(struct parse *p, struct bytes v)
{
    (void)word(&v);
    (void)str_to_u64(word(&v), UINT64_MAX, &p->s->id);
    (void)str_to_u64(word(&v), UINT64_MAX, &p->s->version);
}

static int one_line(struct parse *p, struct bytes line, bool first)
{
    if (line.len > SDP_LINE_BYTES_MAX)
        return E_TOO_LARGE;
    if (line.len < 2 || line.p[1] != '=')
        return E_MALFORMED;
    struct bytes v = bytes_of(line.p + 2, line.len - 2);
    if (first)
        return line.p[0] == 'v' && bytes_eq_str(v, "0") ? 0 : E_MALFORMED;
    switch (line.p[0]) {
    case 'm':
        return m_line(p, v);
    case 'a':
        return attribute(p, v);
    case 'o':
        if (p->m == &p->session)
            o_line(p, v);
        return 0;
    default:
        return 0; /* s, t, c, b, k, ... say nothing that matters here */
    }
}

static int lines(struct parse *p, struct bytes text)
{
    uint32_t n = 0;

    while (text.len > 0) {
        struct bytes line = upto(&text, '\n');
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0)
            continue;
        if (n == SDP_LINES_MAX)
            return E_TOO_LARGE;
        int err = one_line(p, line, n++ == 0);
        if (err)
            return err;
    }
    return n > 0 ? 0 : E_MALFORMED;
}

static void inherit(struct sdp *s, const struct sdp_media *from)
{
    s->ice_ufrag = from->ice_ufrag;
    s->ice_pwd = from->ice_pwd;
    s->ice_options = from->ice_options;
    s->fingerprint = from->fingerprint;
    s->fingerprint_n = from->fingerprint_n;
    s->setup = from->setup;
    s->extmap_allow_mixed = from->extmap_allow_mixed;
    for (uint32_t i = 0; i < s->media_n; i++) {
        struct sdp_media *m = &s->media[i];
        if (m->ice_ufrag == NULL)
            m->ice_ufrag = from->ice_ufrag;
        if (m->ice_pwd == NULL)
            m->ice_pwd = from->ice_pwd;
        if (m->ice_options == NULL)
            m->ice_options = from->ice_options;
        if (m->fingerprint_n == 0) {
            m->fingerprint = from->fingerprint;
            m->fingerprint_n = from->fingerprint_n;
        }
        if (m->setup == SDP_SETUP_NONE)
            m->setup = from->setup;
        if (m->ext_n == 0) {
            m->ext = from->ext;
            m->ext_n = from->ext_n;
        }
        m->extmap_allow_mixed |= from->extmap_allow_mixed;
    }
}

int sdp_parse(struct sdp *out, struct bytes text, struct arena *a)
{
    struct sdp s;
    struct parse p = {.s = &s, .a = a, .session.dir = SDP_SENDRECV};

    if (text.len > SDP_BYTES_MAX)
        return E_TOO_LARGE;
    if (text.len == 0 || memchr(text.p, 0, text.len) != NULL)
        return E_MALFORMED;
    sdp_init(&s, a);
    p.m = &p.session;
    int err = lines(&p, text);
    if (err)
        return err;
    end_section(&p);
    inherit(&s, &p.session);
    *out = s;
    return 0;
}
