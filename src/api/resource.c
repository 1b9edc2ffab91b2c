#include "api/resource.h"

#include "base/json.h"
#include "base/mem.h"
#include "wire/sdp.h"

static const char plain[] = "text/plain; charset=utf-8";
static const char sdpfrag_type[] = "application/trickle-ice-sdpfrag";

/* ---- reading ---- */

bool resource_read(struct resource_ask *q)
{
    const char *p = q->req->path;

    q->seg_n = 0;
    if (*p != '/' || strlen(p) > RESOURCE_PATH_MAX)
        return false;
    while (*p == '/') {
        size_t n = strcspn(++p, "/");
        if (n == 0 && p[n] == '\0' && q->seg_n > 0)
            break; /* one slash at the end does no harm */
        if (n == 0 || q->seg_n == RESOURCE_SEGMENTS_MAX)
            return false;
        q->seg[q->seg_n] = http_decode(q->arena, bytes_of(p, n), false);
        if (q->seg[q->seg_n] == NULL)
            return false;
        q->seg_n++;
        p += n;
    }
    return q->seg_n > 0;
}

bool resource_method(const struct resource_ask *q, const char *method)
{
    return strcmp(q->req->method, method) == 0;
}

bool resource_type(const struct resource_ask *q, const char *type)
{
    const char *have = http_header_get(q->req, "content-type");

    return have != NULL && str_ieq(bytes_of(have, strcspn(have, "; \t")), type);
}

const char *resource_bearer(const struct resource_ask *q)
{
    const char *h = http_header_get(q->req, "authorization");

    if (h == NULL)
        return NULL;
    if (strlen(h) >= 7 && str_ieq(bytes_of(h, 7), "bearer "))
        h += 7;
    h += strspn(h, " ");
    return *h != '\0' ? h : NULL;
}

/* ---- answering ---- */

void resource_send(const struct resource_ask *q, int status, const char *type, const char *headers,
                   struct bytes body)
{
    struct str h;

    str_init(&h, RESOURCE_HEADERS_MAX);
    if (http_header_get(q->req, "origin") == NULL) /* else the door says it */
        str_add(&h, "Access-Control-Allow-Origin: *\r\n"
                    "Access-Control-Expose-Headers: Location, ETag, Link\r\n");
    if (headers != NULL)
        str_add(&h, headers);
    outbox_http_headers(&q->all->hub->out, q->conn, status, type, h.failed ? NULL : str_text(&h),
                        body);
    str_fini(&h);
}

void resource_answer(const struct resource_ask *q, int status, const char *text)
{
    const char *ask = status == 401 ? "WWW-Authenticate: Bearer\r\n" : NULL;
    struct str body;

    str_init(&body, 1024);
    if (text != NULL && q->json) {
        str_add(&body, "{\"error\":");
        json_add_text(&body, bytes_str(text));
        str_add(&body, "}");
    } else if (text != NULL) {
        str_printf(&body, "%s\n", text);
    }
    resource_send(q, status,
                  text == NULL ? NULL
                  : q->json    ? "application/json"
                               : plain,
                  ask, str_bytes(&body));
    str_fini(&body);
}

/* RFC 9725 s4.6.  OBS chokes on TURN (users of it say so) and needs none here. */
static void add_links(const struct resource_ask *q, struct str *h)
{
    const struct hub_cfg *cfg = &q->all->hub->cfg;
    const char *agent = http_header_get(q->req, "user-agent");
    bool obs = agent != NULL && strstr(agent, "OBS") != NULL;

    for (size_t i = 0; i < cfg->ice_server_n; i++) {
        const Livekit__ICEServer *s = cfg->ice_server[i];
        for (size_t k = 0; k < s->n_urls; k++) {
            bool turn = strncmp(s->urls[k], "turn", 4) == 0;
            if (strpbrk(s->urls[k], "<>\"\r\n") != NULL || (turn && obs) ||
                h->len + strlen(s->urls[k]) > RESOURCE_HEADERS_MAX / 2)
                continue;
            str_printf(h, "Link: <%s>; rel=\"ice-server\"", s->urls[k]);
            if (*s->username != '\0' && strpbrk(s->username, "\"\\\r\n") == NULL &&
                strpbrk(s->credential, "\"\\\r\n") == NULL)
                str_printf(h, "; username=\"%s\"; credential=\"%s\"; credential-type=\"password\"",
                           s->username, s->credential);
            str_add(h, "\r\n");
        }
    }
}

void resource_created(const struct resource_ask *q, const struct stream *st, const char *base,
                      const char *more_headers, const struct str *answer)
{
    size_t n = strlen(base);
    struct str h;

    str_init(&h, RESOURCE_HEADERS_MAX);
    while (n > 1 && base[n - 1] == '/')
        n--;
    str_add(&h, "Location: ");
    str_add_bytes(&h, bytes_of(base, n));
    str_printf(&h, "/%s\r\nETag: %s\r\nAccept-Patch: %s\r\n", st->id, st->etag, sdpfrag_type);
    if (more_headers != NULL)
        str_add(&h, more_headers);
    add_links(q, &h);
    resource_send(q, 201, "application/sdp", str_text(&h), str_bytes(answer));
    str_fini(&h);
}

void resource_options(const struct resource_ask *q, bool is_resource)
{
    struct str h;

    str_init(&h, RESOURCE_HEADERS_MAX);
    if (http_header_get(q->req, "access-control-request-method") == NULL)
        str_printf(&h, "Access-Control-Allow-Methods: %s\r\nAccess-Control-Allow-Headers: *\r\n",
                   is_resource ? "PATCH, OPTIONS, DELETE" : "POST, OPTIONS");
    if (is_resource) {
        str_printf(&h, "Accept-Patch: %s\r\n", sdpfrag_type);
    } else {
        str_add(&h, "Accept-Post: application/sdp\r\n");
        add_links(q, &h);
    }
    resource_send(q, 204, NULL, str_text(&h), (struct bytes){0});
    str_fini(&h);
}

char *resource_sdp(const struct resource_ask *q)
{
    if (!resource_type(q, "application/sdp")) {
        resource_answer(q, q->json ? 400 : 415, "the offer must come as application/sdp");
        return NULL;
    }
    if (q->req->body.len > STREAM_SDP_MAX) {
        resource_answer(q, 413, "the offer is too large");
        return NULL;
    }
    if (q->req->body.len == 0 || memchr(q->req->body.p, 0, q->req->body.len) != NULL) {
        resource_answer(q, 400, "the offer is no SDP");
        return NULL;
    }
    char *sdp = arena_dup(q->arena, q->req->body);
    if (sdp == NULL)
        resource_answer(q, 503, "out of memory");
    return sdp;
}

/* ---- the resource ---- */

/* The fragment that answers an ICE restart, from the whole answer. */
static bool write_fragment(struct str *out, const struct str *answer)
{
    struct arena a;
    struct sdp d;

    arena_init(&a, STREAM_ARENA_BYTES);
    bool ok = sdp_parse(&d, str_bytes(answer), &a) == 0;
    for (uint32_t i = 0; ok && i < d.media_n; i++) {
        const struct sdp_media *m = &d.media[i];
        if (m->rejected || m->ice_ufrag == NULL || m->ice_pwd == NULL || m->mid == NULL)
            continue;
        str_printf(out,
                   "a=ice-lite\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\nm=%s 9 %s 0\r\na=mid:%s\r\n"
                   "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n",
                   m->ice_ufrag, m->ice_pwd, m->kind_text, m->proto, m->mid, m->ice_ufrag,
                   m->ice_pwd);
        for (uint32_t k = 0; k < m->candidate_n; k++)
            str_printf(out, "a=%s\r\n", m->candidate[k]);
        str_add(out, "a=end-of-candidates\r\n");
        arena_fini(&a);
        return !out->failed;
    }
    arena_fini(&a);
    return false;
}

void resource_tag(struct stream *st)
{
    const struct session *s = stream_session(st);

    (void)str_copy(st->etag, sizeof st->etag, bytes_str(s->pc[PC_PUBLISHER].local.ufrag)); /* 8 */
}

static void restart(const struct resource_ask *q, struct stream *st, const struct sdpfrag *f)
{
    struct str offer, answer, fragment, headers;

    str_init(&offer, STREAM_SDP_MAX * 2);
    str_init(&answer, SDP_BYTES_MAX);
    str_init(&fragment, SDPFRAG_BYTES_MAX);
    str_init(&headers, 256);
    sdpfrag_replace(&offer, bytes_str(st->said), f->ufrag, f->pwd);
    if (offer.failed || stream_offer(st, str_text(&offer), &answer) != 0) {
        resource_answer(q, 400, "the connection cannot be restarted");
    } else if (!write_fragment(&fragment, &answer)) {
        resource_answer(q, 500, "out of memory");
    } else {
        if (q->json)
            resource_tag(st);
        else
            stream_retag(st);
        str_printf(&headers, "ETag: %s\r\n", st->etag);
        resource_send(q, 200, sdpfrag_type, str_text(&headers), str_bytes(&fragment));
    }
    str_fini(&offer);
    str_fini(&answer);
    str_fini(&fragment);
    str_fini(&headers);
}

/* Quotes and a "W/" before them are not looked at. */
static bool same_tag(const char *a, const char *b)
{
    size_t n = strlen(b);

    if (strncmp(a, "W/", 2) == 0)
        a += 2;
    a += *a == '"';
    b += *b == '"';
    n = strcspn(b, "\"");
    return strncmp(a, b, n) == 0 && (a[n] == '\0' || strcmp(a + n, "\"") == 0);
}

void resource_patch(const struct resource_ask *q, struct stream *st)
{
    const char *match = http_header_get(q->req, "if-match");
    struct sdpfrag f;

    if (!stream_charge(st)) {
        resource_answer(q, 429, "too many requests for this resource");
        return;
    }
    if (!resource_type(q, sdpfrag_type)) {
        resource_answer(q, 415, "only application/trickle-ice-sdpfrag can be applied");
        return;
    }
    int err = sdpfrag_read(&f, q->req->body);
    if (err != 0) {
        resource_answer(q, err == E_TOO_LARGE ? 413 : 400, "the fragment is malformed");
        return;
    }
    bool other = f.ufrag.len > 0 && !bytes_eq_str(f.ufrag, st->ufrag);
    if (match == NULL && (other || q->json)) {
        resource_answer(q, 428, "If-Match is missing");
    } else if (match != NULL && strcmp(match, "*") != 0 && !same_tag(match, st->etag)) {
        resource_answer(q, 412, "this is not the ICE session that is running");
    } else if (other && st->said != NULL) {
        restart(q, st, &f);
    } else if (match != NULL && strcmp(match, "*") == 0 && f.ufrag.len == 0) {
        resource_answer(q, 422, "an ICE restart needs ice-ufrag and ice-pwd");
    } else {
        resource_send(q, 204, NULL, NULL, (struct bytes){0}); /* we are ICE lite: candidates are
                                                                 learnt from checks */
    }
}

void resource_delete(const struct resource_ask *q, struct stream *st)
{
    stream_end(st, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
    resource_send(q, 200, NULL, NULL, (struct bytes){0});
}
