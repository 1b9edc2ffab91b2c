#include "io/fetch.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <curl/curl.h>

enum { TAKEN_HEADER_MAX = 32 << 10, PART_MAX = 64 << 10 };

/* One request, from fetch_start() until its answer was taken. */
struct flight {
    struct flight *next; /* in one of the lists */
    struct fetch *fetch;
    uint32_t tag;
    uint64_t id;
    CURL *curl;
    struct curl_slist *header;
    uint8_t *body;
    size_t body_len, answer_max;
    us_t until;
    struct str answer;
    bool too_large;
    int err, status;
    us_t retry_after_us;
};

struct list {
    struct flight *first, *last;
    uint32_t n;
};

/* A descriptor of libcurl's. */
struct spot {
    struct spot *next;
    struct fetch *fetch;
    struct loop_watch *watch;
    curl_socket_t fd;
};

struct fetch {
    struct fetch_cfg cfg;
    CURLM *multi;
    struct list waiting, done;
    uint32_t flying_n;
    struct flight *flying; /* a plain chain */
    struct flight *lent;   /* its answer is with the owner */
    struct spot *spots;
    size_t bytes;
    us_t curl_at; /* when libcurl wants to be called */
    us_t now;
};

/* ---- lists ---- */

static void list_add(struct list *l, struct flight *f)
{
    f->next = NULL;
    if (l->last != NULL)
        l->last->next = f;
    else
        l->first = f;
    l->last = f;
    l->n++;
}

static struct flight *list_take(struct list *l)
{
    struct flight *f = l->first;

    if (f == NULL)
        return NULL;
    l->first = f->next;
    if (l->first == NULL)
        l->last = NULL;
    l->n--;
    return f;
}

static void flight_free(struct flight *f)
{
    if (f == NULL)
        return;
    if (f->curl != NULL)
        curl_easy_cleanup(f->curl);
    for (struct curl_slist *h = f->header; h != NULL; h = h->next)
        mem_wipe(h->data, strlen(h->data)); /* tokens */
    curl_slist_free_all(f->header);
    if (f->fetch != NULL)
        f->fetch->bytes -= f->body_len;
    mem_free(f->body);
    str_fini(&f->answer);
    mem_free(f);
}

/* ---- what libcurl asks of the loop ---- */

static void drain_multi(struct fetch *f);

/* Asked for after each call, since the callback for timers is silent when libcurl finds that it
 * was called too early. */
static void renew_timer(struct fetch *f)
{
    long ms = -1;

    (void)curl_multi_timeout(f->multi, &ms); /* cannot fail for a multi of ours */
    f->curl_at = ms < 0 ? US_NEVER : loop_tick(f->cfg.loop).now + ms * US_PER_MS;
}

static void on_ready(void *owner, unsigned events)
{
    struct spot *s = owner;
    struct fetch *f = s->fetch;
    int running, mask = 0;

    if (events & LOOP_READ)
        mask |= CURL_CSELECT_IN;
    if (events & LOOP_WRITE)
        mask |= CURL_CSELECT_OUT;
    f->now = loop_tick(f->cfg.loop).now;
    (void)curl_multi_socket_action(f->multi, s->fd, mask,
                                   &running); /* each handle says how it ends */
    drain_multi(f);
    renew_timer(f);
}

static void spot_end(struct fetch *f, struct spot *s)
{
    struct spot **at = &f->spots;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    loop_unwatch(s->watch);
    mem_free(s);
}

static int on_socket(CURL *curl UNUSED, curl_socket_t fd, int what, void *owner, void *known)
{
    struct fetch *f = owner;
    struct spot *s = known;
    unsigned events =
        (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);

    if (what == CURL_POLL_REMOVE) {
        if (s != NULL)
            spot_end(f, s);
        (void)curl_multi_assign(f->multi, fd, NULL); /* it is ours to forget */
        return 0;
    }
    if (s != NULL) {
        loop_watch_set(s->watch, events);
        return 0;
    }
    s = mem_zero(sizeof *s);
    if (s == NULL)
        return 0; /* unwatched: its request runs out of time; an error here would end them all */
    s->fetch = f;
    s->fd = fd;
    if (loop_watch(f->cfg.loop, &s->watch, fd, events, on_ready, s) < 0) {
        mem_free(s);
        return 0;
    }
    s->next = f->spots;
    f->spots = s;
    if (curl_multi_assign(f->multi, fd, s) != CURLM_OK)
        spot_end(f, s);
    return 0;
}

/* ---- life ---- */

int fetch_open(struct fetch **ret, const struct fetch_cfg *cfg)
{
    struct fetch *f = mem_zero(sizeof *f);

    if (f == NULL)
        return E_NOMEM;
    f->cfg = *cfg;
    if (f->cfg.flying_max == 0)
        f->cfg.flying_max = FETCH_FLYING_MAX;
    if (f->cfg.bytes_max == 0)
        f->cfg.bytes_max = FETCH_BYTES_MAX;
    f->curl_at = US_NEVER;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        mem_free(f);
        return E_LIBRARY;
    }
    f->multi = curl_multi_init();
    if (f->multi == NULL || curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != 0 ||
        curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f) != 0 ||
        curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)FETCH_CONNECTIONS_MAX) != 0) {
        fetch_free(f);
        return E_LIBRARY;
    }
    *ret = f;
    return 0;
}

void fetch_free(struct fetch *f)
{
    struct flight *fl;

    if (f == NULL)
        return;
    while ((fl = f->flying) != NULL) {
        f->flying = fl->next;
        (void)curl_multi_remove_handle(f->multi, fl->curl);
        flight_free(fl);
    }
    while ((fl = list_take(&f->waiting)) != NULL)
        flight_free(fl);
    while ((fl = list_take(&f->done)) != NULL)
        flight_free(fl);
    flight_free(f->lent);
    if (f->multi != NULL)
        (void)curl_multi_cleanup(f->multi);
    while (f->spots != NULL)
        spot_end(f, f->spots);
    mem_free(f);
    curl_global_cleanup();
}

/* ---- one request ---- */

static size_t on_body(char *data, size_t size, size_t n, void *owner)
{
    struct flight *fl = owner;
    size_t len = size * n;

    if (len > fl->answer_max - fl->answer.len) {
        fl->too_large = true;
        return 0; /* ends it */
    }
    str_add_bytes(&fl->answer, bytes_of(data, len));
    return fl->answer.failed ? 0 : len;
}

static bool add_header(struct flight *fl, const struct http_header *h)
{
    struct str line;

    str_init(&line, TAKEN_HEADER_MAX);
    str_printf(&line, "%s: %s", h->name, h->value);
    bool clean = !line.failed && strpbrk(str_text(&line), "\r\n") == NULL;
    struct curl_slist *more = clean ? curl_slist_append(fl->header, line.p) : NULL;
    if (line.p != NULL)
        mem_wipe(line.p, line.len);
    str_fini(&line);
    if (more == NULL)
        return false;
    fl->header = more;
    return true;
}

static bool set_headers(struct flight *fl, const struct ask *ask)
{
    static const struct http_header no_expect = {"Expect", ""};

    for (uint32_t i = 0; i < ask->header_n; i++)
        if (!add_header(fl, &ask->header[i]))
            return false;
    if (ask->body.len > 0 && !add_header(fl, &no_expect)) /* nobody waits for 100 Continue */
        return false;
    return curl_easy_setopt(fl->curl, CURLOPT_HTTPHEADER, fl->header) == CURLE_OK;
}

/* What a loopback address means is never said by a proxy. */
static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    const char *at = strpbrk(host, "@/");

    if (at != NULL && *at == '@')
        host = at + 1;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static bool set_limits(struct fetch *f, struct flight *fl, const struct ask *ask)
{
    CURL *c = fl->curl;
    const char *schemes = strncmp(ask->url, "https:", 6) == 0 ? "https" : "http";
    bool ok = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, schemes) == CURLE_OK;

    ok = ok && curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, schemes) == CURLE_OK;
    ok =
        ok && curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, ask->redirects > 0 ? 1L : 0L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)ask->redirects) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                                (long)(FETCH_CONNECT_US / US_PER_MS)) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    /* A name that is still being looked up when its request ends must not be waited for. */
    ok = ok && curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
    if (ok && f->cfg.authorities != NULL)
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, f->cfg.authorities) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
    if (ok && is_loopback(ask->url))
        ok = curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK;
    return ok;
}

static bool set_method(struct flight *fl, const struct ask *ask)
{
    CURL *c = fl->curl;

    if (strcmp(ask->method, "GET") == 0)
        return true;
    if (strcmp(ask->method, "POST") != 0 &&
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, ask->method) != CURLE_OK)
        return false;
    return curl_easy_setopt(c, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fl->body_len) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDS,
                            fl->body_len > 0 ? (const char *)fl->body : "") == CURLE_OK;
}

static bool prepare(struct fetch *f, struct flight *fl, const struct ask *ask)
{
    fl->curl = curl_easy_init();
    return fl->curl != NULL && curl_easy_setopt(fl->curl, CURLOPT_URL, ask->url) == CURLE_OK &&
           curl_easy_setopt(fl->curl, CURLOPT_PRIVATE, fl) == CURLE_OK &&
           curl_easy_setopt(fl->curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(fl->curl, CURLOPT_WRITEDATA, fl) == CURLE_OK &&
           curl_easy_setopt(fl->curl, CURLOPT_USERAGENT,
                            f->cfg.user_agent != NULL ? f->cfg.user_agent : "") == CURLE_OK &&
           set_limits(f, fl, ask) && set_method(fl, ask) && set_headers(fl, ask);
}

int fetch_start(struct fetch *f, uint32_t tag, const struct ask *ask, us_t now)
{
    if (strlen(ask->url) > FETCH_URL_MAX ||
        (strncmp(ask->url, "http://", 7) != 0 && strncmp(ask->url, "https://", 8) != 0))
        return E_INVAL;
    if (f->waiting.n >= FETCH_WAITING_MAX || ask->body.len > f->cfg.bytes_max - f->bytes)
        return E_LIMIT;
    struct flight *fl = mem_zero(sizeof *fl);
    if (fl == NULL)
        return E_NOMEM;
    fl->tag = tag;
    fl->id = ask->id;
    fl->until = now + ask->timeout_us;
    fl->answer_max = ask->answer_max;
    str_init(&fl->answer, ask->answer_max + 1);
    if (ask->body.len > 0)
        fl->body = (uint8_t *)mem_dup(ask->body.p, ask->body.len);
    if (ask->body.len > 0 && fl->body == NULL) {
        flight_free(fl);
        return E_NOMEM;
    }
    fl->body_len = ask->body.len;
    fl->fetch = f;
    f->bytes += fl->body_len;
    if (!prepare(f, fl, ask)) {
        flight_free(fl);
        return E_NOMEM;
    }
    list_add(&f->waiting, fl);
    fetch_tick(f, now);
    return 0;
}

/* ---- ends ---- */

static int err_of(CURLcode code, const struct flight *fl)
{
    if (fl->too_large)
        return E_TOO_LARGE;
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return E_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return E_AUTH;
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return E_UNSUPPORTED;
    case CURLE_URL_MALFORMAT:
        return E_INVAL;
    case CURLE_OUT_OF_MEMORY:
        return E_NOMEM;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return E_CLOSED;
    default:
        return E_LIBRARY;
    }
}

static void finish(struct fetch *f, struct flight *fl, CURLcode code)
{
    long status = 0;
    curl_off_t after = 0;

    fl->err = err_of(code, fl);
    if (fl->err == 0 && curl_easy_getinfo(fl->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
        fl->status = (int)status;
    if (fl->err == 0 && curl_easy_getinfo(fl->curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK &&
        after > 0)
        fl->retry_after_us =
            (after < FETCH_RETRY_AFTER_S ? after : FETCH_RETRY_AFTER_S) * US_PER_SEC;
    list_add(&f->done, fl);
}

static void land(struct fetch *f, struct flight *fl, CURLcode code)
{
    struct flight **at = &f->flying;

    while (*at != fl)
        at = &(*at)->next;
    *at = fl->next;
    f->flying_n--;
    (void)curl_multi_remove_handle(f->multi, fl->curl);
    finish(f, fl, code);
}

static void drain_multi(struct fetch *f)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(f->multi, &left)) != NULL) {
        CURLcode code = m->data.result;
        char *fl = NULL;
        if (m->msg != CURLMSG_DONE ||
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &fl) != CURLE_OK)
            continue;
        land(f, (struct flight *)(void *)fl, code);
    }
}

static void take_off(struct fetch *f, struct flight *fl)
{
    long ms = (long)((fl->until - f->now + US_PER_MS - 1) / US_PER_MS);

    if (ms <= 0) {
        finish(f, fl, CURLE_OPERATION_TIMEDOUT);
        return;
    }
    if (curl_easy_setopt(fl->curl, CURLOPT_TIMEOUT_MS, ms) != CURLE_OK ||
        curl_multi_add_handle(f->multi, fl->curl) != CURLM_OK) {
        finish(f, fl, CURLE_OUT_OF_MEMORY);
        return;
    }
    fl->next = f->flying;
    f->flying = fl;
    f->flying_n++;
    f->curl_at = 0; /* at once */
}

void fetch_tick(struct fetch *f, us_t now)
{
    int running;

    f->now = now;
    while (f->waiting.first != NULL &&
           (f->flying_n < f->cfg.flying_max || f->waiting.first->until <= now))
        take_off(f, list_take(&f->waiting));
    if (now < f->curl_at)
        return;
    (void)curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain_multi(f);
    renew_timer(f);
}

us_t fetch_deadline(const struct fetch *f)
{
    if (f->done.first != NULL)
        return 0;
    if (f->waiting.first != NULL) {
        if (f->flying_n < f->cfg.flying_max)
            return 0;
        return us_min(f->curl_at, f->waiting.first->until);
    }
    return f->curl_at;
}

bool fetch_done(struct fetch *f, uint32_t *tag, struct reply *out)
{
    flight_free(f->lent);
    f->lent = list_take(&f->done);
    if (f->lent == NULL)
        return false;
    *tag = f->lent->tag;
    *out = (struct reply){.id = f->lent->id,
                          .err = f->lent->err,
                          .status = f->lent->status,
                          .retry_after_us = f->lent->retry_after_us,
                          .body = str_bytes(&f->lent->answer)};
    return true;
}

uint32_t fetch_busy(const struct fetch *f)
{
    return f->waiting.n + f->flying_n + f->done.n;
}
