#include "wire/http.h"

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Request Entity Too Large"},
        {415, "Unsupported Media Type"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].status == status)
            return texts[i].text;
    }
    return "Status";
}

/* Text that may come from outside stays on its line. */
static void add_line(struct str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        str_add_char(out, (c < ' ' && c != '\t') || c == 0x7f ? ' ' : (char)c);
    }
    str_add(out, "\r\n");
}

static void add_headers(struct str *out, const struct http_header *header, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        str_add(out, header[i].name);
        str_add(out, ": ");
        add_line(out, header[i].value);
    }
}

static void add_body(struct str *out, struct bytes body)
{
    if (body.len > 0)
        str_add_bytes(out, body);
}

void http_write_response(struct str *out, int status, const struct http_header *header,
                         size_t header_n, struct bytes body, unsigned flags)
{
    bool bodiless = status < 200 || status == 204 || status == 304;

    str_printf(out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    add_headers(out, header, header_n);
    if (!bodiless)
        str_printf(out, "Content-Length: %zu\r\n", body.len);
    if (flags & HTTP_CLOSE)
        str_add(out, "Connection: close\r\n");
    str_add(out, "\r\n");
    if (!bodiless && !(flags & HTTP_NO_BODY))
        add_body(out, body);
}

void http_write_text(struct str *out, int status, const char *text, unsigned flags)
{
    static const struct http_header plain = {"Content-Type", "text/plain; charset=utf-8"};

    http_write_response(out, status, &plain, 1, bytes_str(text), flags);
}

void http_write_switch(struct str *out, const char *accept, const struct http_header *header,
                       size_t header_n)
{
    str_add(out, "HTTP/1.1 101 Switching Protocols\r\n"
                 "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    add_line(out, accept);
    add_headers(out, header, header_n);
    str_add(out, "\r\n");
}

void http_write_request(struct str *out, const char *method, const char *target, const char *host,
                        const struct http_header *header, size_t header_n, struct bytes body)
{
    bool may_have_body = method[0] == 'P'; /* POST, PUT, PATCH */

    str_printf(out, "%s ", method);
    for (const char *c = target; *c != '\0'; c++) /* as escaped by the caller, on one line */
        str_add_char(out, (unsigned char)*c <= ' ' || *c == 0x7f ? '_' : *c);
    str_add(out, " HTTP/1.1\r\nHost: ");
    add_line(out, host);
    add_headers(out, header, header_n);
    if (may_have_body || body.len > 0)
        str_printf(out, "Content-Length: %zu\r\n", body.len);
    str_add(out, "\r\n");
    add_body(out, body);
}

void http_encode(struct str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     strchr("-._~", c) != NULL;
        if (plain)
            str_add_char(out, (char)c);
        else
            str_printf(out, "%%%02X", c);
    }
}

bool http_is_preflight(const struct http_msg *m)
{
    return m->method != NULL && strcmp(m->method, "OPTIONS") == 0 &&
           http_header_get(m, "origin") != NULL &&
           http_header_get(m, "access-control-request-method") != NULL;
}

size_t http_cors(const struct http_msg *m, struct http_header out[HTTP_CORS_HEADERS])
{
    size_t n = 0;

    if (http_header_get(m, "origin") == NULL)
        return 0;
    out[n++] = (struct http_header){"Access-Control-Allow-Origin", "*"};
    if (!http_is_preflight(m)) {
        out[n++] = (struct http_header){"Access-Control-Expose-Headers", "*"};
        return n;
    }
    /* "*" would not cover Authorization (Fetch s3.2.2), so what was asked for is named */
    const char *asked = http_header_get(m, "access-control-request-headers");
    out[n++] = (struct http_header){"Access-Control-Allow-Methods",
                                    "OPTIONS, HEAD, GET, POST, PATCH, DELETE"};
    out[n++] = (struct http_header){"Access-Control-Allow-Headers", asked ? asked : "*"};
    out[n++] = (struct http_header){"Access-Control-Max-Age", "86400"};
    return n;
}
