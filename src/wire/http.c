#include "wire/http.h"

#include "base/err.h"
#include "base/mem.h"

#include <http_parser.h>

/* http-parser reads the start line and the headers, out of a head that was found whole and
 * checked byte by byte before.  Where a body ends is decided here: the library takes bare
 * line feeds around chunks. */

enum state {
    IN_HEAD,
    HEAD_SEEN, /* HTTP_BEGUN was or is to be said; what follows is the body */
    IN_LENGTH, /* a body of `left` bytes */
    IN_CHUNKS,
    UNTIL_END, /* a response without a length */
    WHOLE,
    REFUSED,
};

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START, /* at the beginning of a line after the last chunk */
    TRAILER_LINE,
    TRAILER_LF,
    TRAILER_END_LF,
};

enum { CHUNK_DIGITS_MAX = 8, BODY_KEPT_BYTES = 64 << 10 };

struct http {
    enum http_role role;
    enum state state;
    bool head_expected; /* the response belongs to a HEAD request */
    bool chunked, has_length;
    uint64_t length, left;
    size_t body_max, body_max_now;
    enum chunk_state chunk;
    uint32_t chunk_digits, chunk_overhead;
    struct str head, body;
    struct http_msg msg;
    struct http_refusal refusal;
    bool too_many; /* headers */
    struct bytes url;
    http_parser parser;
    struct http_header header[HTTP_HEADERS_MAX];
};

/* ---- life cycle ---- */

int http_open(struct http **ret, enum http_role role)
{
    struct http *h = mem_zero(sizeof *h);

    if (h == NULL)
        return E_NOMEM;
    h->role = role;
    h->body_max = h->body_max_now = HTTP_BODY_BYTES_MAX;
    str_init(&h->head, HTTP_HEAD_BYTES_MAX + 1);
    str_init(&h->body, SIZE_MAX / 2); /* body_max_now is looked at before each addition */
    *ret = h;
    return 0;
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    str_fini(&h->head);
    str_fini(&h->body);
    mem_free(h);
}

void http_set_body_max(struct http *h, size_t max)
{
    h->body_max_now = max;
    if (h->state != HEAD_SEEN)
        h->body_max = max;
}

void http_expect_head(struct http *h)
{
    h->head_expected = true;
}

const struct http_msg *http_message(const struct http *h)
{
    return &h->msg;
}

struct http_refusal http_refusal(const struct http *h)
{
    return h->refusal;
}

bool http_idle(const struct http *h)
{
    return h->state == IN_HEAD && h->head.len == 0;
}

void http_next(struct http *h)
{
    if (h->state == REFUSED)
        return;
    str_clear(&h->head);
    if (h->body.cap > BODY_KEPT_BYTES) {
        str_fini(&h->body);
        str_init(&h->body, SIZE_MAX / 2);
    }
    str_clear(&h->body);
    h->state = IN_HEAD;
    h->msg = (struct http_msg){0};
    h->body_max_now = h->body_max;
    h->head_expected = false;
}

static enum http_got refuse(struct http *h, int status, const char *text)
{
    h->state = REFUSED;
    h->refusal = (struct http_refusal){.status = status, .text = text};
    return HTTP_REFUSED;
}

static enum http_got bad(struct http *h)
{
    return refuse(h, 400, "bad request");
}

static enum http_got whole(struct http *h)
{
    h->state = WHOLE;
    h->msg.body = str_bytes(&h->body);
    return HTTP_WHOLE;
}

/* ---- the head ---- */

/* tchar of RFC 9110 s5.6.2. */
static bool is_token_char(uint8_t c)
{
    if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

/* Every line ends in CRLF and no other line feed, carriage return or control byte occurs;
 * no line is folded; every header is a token, a colon and a value.  Two readers of such a
 * head agree on it. */
static bool head_is_strict(struct bytes head)
{
    bool first = true;

    for (size_t i = 0; i + 2 < head.len;) {
        size_t colon = 0, start = i;
        for (; head.p[i] != '\r'; i++) {
            uint8_t c = head.p[i];
            if ((c < ' ' && c != '\t') || c == 0x7f)
                return false;
            if (!first && colon == 0) {
                if (c == ':' && i > start)
                    colon = i;
                else if (!is_token_char(c))
                    return false;
            }
        }
        if (head.p[i + 1] != '\n' || (!first && colon == 0))
            return false;
        first = false;
        i += 2;
    }
    return true;
}

/* "METHOD target HTTP/1.1": one space, twice. */
static bool request_line_is_strict(const char *line)
{
    size_t method = strcspn(line, " \t\r");
    size_t target = line[method] == ' ' ? strcspn(line + method + 1, " \t\r") : 0;
    const char *version = line + method + 1 + target;

    return method > 0 && target > 0 && version[0] == ' ' &&
           version[1 + strcspn(version + 1, " \t\r")] == '\r';
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http *h = parser->data;

    h->url = bytes_of(at, len);
    return 0;
}

static int on_name(http_parser *parser, const char *at, size_t len)
{
    struct http *h = parser->data;

    if (h->msg.header_n == HTTP_HEADERS_MAX) {
        h->too_many = true;
        return 1;
    }
    h->header[h->msg.header_n++] = (struct http_header){.name = at, .value = at + len};
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct http *h = parser->data;

    if (len > 0) /* an empty one is reported at the next line */
        h->header[h->msg.header_n - 1].value = at;
    return 0;
}

/* 2: the library shall not look for a body. */
static int on_headers(http_parser *parser)
{
    struct http *h = parser->data;

    h->msg.keep_alive = http_should_keep_alive(parser) != 0;
    h->has_length = (parser->flags & F_CONTENTLENGTH) != 0;
    h->length = h->has_length ? parser->content_length : 0;
    h->chunked = (parser->flags & F_CHUNKED) != 0;
    return 2;
}

/* Names and values become C text in place: names end at ':', values at CR. */
static void terminate_headers(struct http *h)
{
    for (uint32_t i = 0; i < h->msg.header_n; i++) {
        char *name = (char *)(uintptr_t)h->header[i].name;
        char *value = (char *)(uintptr_t)h->header[i].value;
        size_t name_len = strcspn(name, ":");
        size_t n = value > name + name_len ? strcspn(value, "\r") : 0;

        while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
            n--;
        for (size_t k = 0; k < name_len; k++) {
            if (name[k] >= 'A' && name[k] <= 'Z')
                name[k] = (char)(name[k] | 0x20);
        }
        name[name_len] = '\0';
        value[n] = '\0';
    }
    h->msg.header = h->header;
}

/* Origin form, absolute form or "*" (RFC 9112 s3.2). */
static bool split_target(struct http *h)
{
    struct http_parser_url u;
    char *url = (char *)(uintptr_t)h->url.p;

    http_parser_url_init(&u);
    if (h->url.len == 0 || http_parser_parse_url(url, h->url.len, false, &u) != 0)
        return false;
    h->msg.path = "/";
    h->msg.query = "";
    if (u.field_set & 1 << UF_QUERY) {
        h->msg.query = url + u.field_data[UF_QUERY].off;
        url[u.field_data[UF_QUERY].off + u.field_data[UF_QUERY].len] = '\0';
    }
    if (u.field_set & 1 << UF_PATH) {
        char *path = url + u.field_data[UF_PATH].off;
        path[u.field_data[UF_PATH].len] = '\0';
        /* clients that build "ws://host//rtc" mean /rtc */
        h->msg.path = path[0] == '/' && path[1] == '/' ? path + 1 : path;
    }
    return true;
}

static uint32_t count_header(const struct http_msg *m, const char *name)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->header_n; i++)
        n += strcmp(m->header[i].name, name) == 0;
    return n;
}

/* What is true of every request and response that we read. */
static enum http_got check_head(struct http *h)
{
    struct http_msg *m = &h->msg;
    const char *coding = http_header_get(m, "transfer-encoding");

    if (h->parser.http_major != 1 || h->parser.http_minor > 1)
        return refuse(h, 505, "HTTP version not supported");
    if (coding != NULL && count_header(m, "content-length") > 0)
        return bad(h);
    if (coding != NULL && (count_header(m, "transfer-encoding") > 1 || h->parser.http_minor == 0))
        return bad(h);
    if (coding != NULL && !str_ieq(bytes_str(coding), "chunked"))
        return refuse(h, 501, "transfer encoding not supported");
    if (count_header(m, "content-length") > 1)
        return bad(h);
    if (h->role == HTTP_CLIENT)
        return HTTP_MORE;
    uint32_t hosts = count_header(m, "host");
    if (hosts > 1 || (hosts == 0 && h->parser.http_minor == 1))
        return bad(h);
    return HTTP_MORE;
}

static enum http_got begin_body(struct http *h)
{
    int s = h->msg.status;
    bool none = h->role == HTTP_CLIENT && (h->head_expected || s == 204 || s == 304 || s == 101);

    h->left = h->length;
    h->chunk = CHUNK_SIZE;
    h->chunk_digits = h->chunk_overhead = 0;
    if (none || (!h->chunked && h->has_length && h->length == 0))
        return whole(h);
    if (!h->chunked && !h->has_length) {
        if (h->role == HTTP_SERVER)
            return whole(h);
        h->msg.keep_alive = false; /* until the connection ends */
    }
    if (h->left > h->body_max_now)
        return refuse(h, 413, "request body too large");
    h->state = HEAD_SEEN;
    return HTTP_BEGUN;
}

static enum http_got read_head(struct http *h)
{
    static const http_parser_settings settings = {
        .on_url = on_url,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_headers,
    };
    struct http_msg *m = &h->msg;

    if (!head_is_strict(str_bytes(&h->head)) ||
        (h->role == HTTP_SERVER && !request_line_is_strict(h->head.p)))
        return bad(h);
    http_parser_init(&h->parser, h->role == HTTP_SERVER ? HTTP_REQUEST : HTTP_RESPONSE);
    h->parser.data = h;
    h->too_many = false;
    h->url = (struct bytes){0};
    *m = (struct http_msg){0};
    size_t n = http_parser_execute(&h->parser, &settings, h->head.p, h->head.len);
    if (h->too_many)
        return refuse(h, 431, "request header fields too large");
    if (HTTP_PARSER_ERRNO(&h->parser) == HPE_INVALID_TRANSFER_ENCODING)
        return refuse(h, 501, "transfer encoding not supported");
    if (HTTP_PARSER_ERRNO(&h->parser) != HPE_OK || n != h->head.len)
        return bad(h);
    terminate_headers(h);
    enum http_got got = check_head(h);
    if (got != HTTP_MORE)
        return got;
    if (h->role == HTTP_SERVER) {
        m->method = http_method_str(h->parser.method);
        if (h->parser.method == HTTP_CONNECT || !split_target(h))
            return bad(h);
        m->upgrade = h->parser.method == HTTP_GET && http_header_has(m, "upgrade", "websocket") &&
                     http_header_has(m, "connection", "upgrade");
        m->expect = http_header_has(m, "expect", "100-continue");
    } else {
        m->status = h->parser.status_code;
        m->upgrade = m->status == 101;
    }
    if (h->role == HTTP_CLIENT && m->status < 200 && m->status != 101) {
        bool head_expected = h->head_expected;
        http_next(h); /* an interim answer */
        h->head_expected = head_expected;
        return HTTP_MORE;
    }
    return begin_body(h);
}

/* Takes bytes up to the empty line that ends the head. */
static enum http_got take_head(struct http *h, struct bytes in, size_t *used)
{
    size_t i = 0;

    while (i < in.len) {
        uint8_t c = in.p[i++];
        if (h->head.len == HTTP_HEAD_BYTES_MAX) {
            *used += i;
            return refuse(h, 431, "request header fields too large");
        }
        str_add_char(&h->head, (char)c);
        if (h->head.failed) {
            *used += i;
            return refuse(h, 503, "out of memory");
        }
        if (c != '\n')
            continue;
        const char *p = h->head.p;
        size_t n = h->head.len;
        if (n == 1 || p[n - 2] != '\r') {
            *used += i;
            return bad(h);
        }
        if (n == 2) {
            str_clear(&h->head); /* an empty line before a message (RFC 9112 s2.2) */
        } else if (n >= 4 && p[n - 3] == '\n') {
            *used += i;
            return read_head(h);
        }
    }
    *used += i;
    return HTTP_MORE;
}

/* ---- the body ---- */

/* False: refused. */
static bool add_body(struct http *h, struct bytes b)
{
    if (b.len > h->body_max_now - size_min(h->body.len, h->body_max_now)) {
        (void)refuse(h, 413, "request body too large");
        return false;
    }
    str_add_bytes(&h->body, b);
    if (h->body.failed)
        (void)refuse(h, 503, "out of memory");
    return !h->body.failed;
}

static enum http_got take_length(struct http *h, struct bytes in, size_t *used)
{
    size_t n = h->left < in.len ? (size_t)h->left : in.len;

    if (!add_body(h, bytes_of(in.p, n)))
        return HTTP_REFUSED;
    h->left -= n;
    *used += n;
    return h->left == 0 ? whole(h) : HTTP_MORE;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a chunk's size: false when it may not stand there. */
static bool chunk_size_byte(struct http *h, uint8_t c)
{
    int v = hex_value(c);

    if (v >= 0 && h->chunk_digits < CHUNK_DIGITS_MAX) {
        h->left = h->left << 4 | (unsigned)v;
        h->chunk_digits++;
        return true;
    }
    if (v >= 0 || h->chunk_digits == 0)
        return false;
    if (c == '\r')
        h->chunk = CHUNK_SIZE_LF;
    else if (c == ';')
        h->chunk = CHUNK_EXTENSION;
    else
        return false;
    return true;
}

/* One byte around the chunks (RFC 9112 s7.1): false when it may not stand there. */
static bool chunk_byte(struct http *h, uint8_t c)
{
    switch (h->chunk) {
    case CHUNK_SIZE:
        return chunk_size_byte(h, c);
    case CHUNK_EXTENSION:
        if (c == '\r')
            h->chunk = CHUNK_SIZE_LF;
        return c != '\n';
    case CHUNK_SIZE_LF:
        h->chunk = h->left > 0 ? CHUNK_DATA : TRAILER_START;
        return c == '\n';
    case CHUNK_DATA_CR:
        h->chunk = CHUNK_DATA_LF;
        return c == '\r';
    case CHUNK_DATA_LF:
        h->chunk = CHUNK_SIZE;
        h->chunk_digits = 0;
        return c == '\n';
    case TRAILER_START:
    case TRAILER_LINE:
        if (c == '\r')
            h->chunk = h->chunk == TRAILER_START ? TRAILER_END_LF : TRAILER_LF;
        else
            h->chunk = TRAILER_LINE;
        return c != '\n';
    case TRAILER_LF:
        h->chunk = TRAILER_START;
        return c == '\n';
    default:
        return c == '\n'; /* TRAILER_END_LF: the caller sees that all is there */
    }
}

static enum http_got take_chunks(struct http *h, struct bytes in, size_t *used)
{
    size_t i = 0;

    while (i < in.len) {
        if (h->chunk == CHUNK_DATA) {
            size_t n = h->left < in.len - i ? (size_t)h->left : in.len - i;
            if (!add_body(h, bytes_of(in.p + i, n)))
                return HTTP_REFUSED;
            i += n;
            h->left -= n;
            if (h->left == 0)
                h->chunk = CHUNK_DATA_CR;
            continue;
        }
        bool last = h->chunk == TRAILER_END_LF, sized = h->chunk == CHUNK_SIZE_LF;
        if (++h->chunk_overhead > HTTP_CHUNK_OVERHEAD_MAX + h->body.len / 16 ||
            !chunk_byte(h, in.p[i++]))
            return bad(h);
        if (sized && h->left > h->body_max_now - size_min(h->body.len, h->body_max_now))
            return refuse(h, 413, "request body too large"); /* before any of it is kept */
        if (last) {
            *used += i;
            return whole(h);
        }
    }
    *used += i;
    return HTTP_MORE;
}

static enum http_got start_body(struct http *h)
{
    if (h->left > h->body_max_now)
        return refuse(h, 413, "request body too large");
    h->state = h->chunked ? IN_CHUNKS : h->has_length ? IN_LENGTH : UNTIL_END;
    return HTTP_MORE;
}

static enum http_got take(struct http *h, struct bytes in, size_t *used)
{
    if (h->state == HEAD_SEEN && start_body(h) == HTTP_REFUSED)
        return HTTP_REFUSED;
    switch (h->state) {
    case IN_HEAD:
        return take_head(h, in, used);
    case IN_LENGTH:
        return take_length(h, in, used);
    case IN_CHUNKS:
        return take_chunks(h, in, used);
    case UNTIL_END:
        *used = in.len;
        return add_body(h, in) ? HTTP_MORE : HTTP_REFUSED;
    case WHOLE:
        return HTTP_WHOLE;
    default:
        return HTTP_REFUSED;
    }
}

enum http_got http_input(struct http *h, struct bytes in, size_t *used)
{
    enum http_got got;

    *used = 0;
    do { /* again after an interim response */
        size_t n = 0;
        got = take(h, in.len > 0 ? bytes_of(in.p + *used, in.len - *used) : in, &n);
        *used += n;
    } while (got == HTTP_MORE && *used < in.len);
    return got;
}

enum http_got http_input_end(struct http *h)
{
    if (h->state == WHOLE)
        return HTTP_WHOLE;
    if (h->state == UNTIL_END || (h->state == HEAD_SEEN && !h->chunked && !h->has_length))
        return whole(h);
    return bad(h);
}

/* ---- reading a message ---- */

const char *http_header_get(const struct http_msg *m, const char *name)
{
    for (uint32_t i = 0; i < m->header_n; i++) {
        if (strcmp(m->header[i].name, name) == 0)
            return m->header[i].value;
    }
    return NULL;
}

static bool list_has(const char *list, const char *token)
{
    while (*list != '\0') {
        list += strspn(list, " \t,");
        size_t n = strcspn(list, ",");
        size_t word = n;
        while (word > 0 && (list[word - 1] == ' ' || list[word - 1] == '\t'))
            word--;
        if (word > 0 && str_ieq(bytes_of(list, word), token))
            return true;
        list += n;
    }
    return false;
}

bool http_header_has(const struct http_msg *m, const char *name, const char *token)
{
    for (uint32_t i = 0; i < m->header_n; i++) {
        if (strcmp(m->header[i].name, name) == 0 && list_has(m->header[i].value, token))
            return true;
    }
    return false;
}

char *http_decode(struct arena *a, struct bytes text, bool plus)
{
    char *out = arena_zero(a, text.len + 1);
    size_t n = 0;

    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == '%') {
            int hi = text.len - i > 2 ? hex_value(text.p[i + 1]) : -1;
            int lo = text.len - i > 2 ? hex_value(text.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return NULL;
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == '\0')
            return NULL;
        out[n++] = (char)c;
    }
    return out;
}

char *http_query_get(struct arena *a, const char *query, const char *key)
{
    size_t key_len = strlen(key);

    while (*query != '\0') {
        size_t n = strcspn(query, "&");
        if (n >= key_len && memcmp(query, key, key_len) == 0) {
            if (n == key_len)
                return arena_dup_str(a, "");
            if (query[key_len] == '=')
                return http_decode(a, bytes_of(query + key_len + 1, n - key_len - 1), true);
        }
        query += n + (query[n] == '&');
    }
    return NULL;
}
