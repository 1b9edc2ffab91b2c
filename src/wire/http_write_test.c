#include "wire/http.h"
#include "base/test.h"

TEST(a_response_is_written)
{
    struct http_header headers[] = {{"Content-Type", "application/json"}};
    struct str out;

    str_init(&out, 4096);
    http_write_response(&out, 200, headers, 1, bytes_str("{}"), 0);
    EXPECT_STR(str_text(&out), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: 2\r\n\r\n{}");
    str_clear(&out);
    http_write_response(&out, 200, NULL, 0, bytes_str("OK"), HTTP_NO_BODY | HTTP_CLOSE);
    EXPECT_STR(str_text(&out), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
    str_clear(&out);
    http_write_response(&out, 204, NULL, 0, bytes_str(""), 0);
    EXPECT_STR(str_text(&out), "HTTP/1.1 204 No Content\r\n\r\n");
    str_clear(&out);
    http_write_text(&out, 413, "request body too large", HTTP_CLOSE);
    EXPECT_STR(str_text(&out), "HTTP/1.1 413 Request Entity Too Large\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\n"
                               "Content-Length: 22\r\nConnection: close\r\n\r\n"
                               "request body too large");
    str_clear(&out);
    http_write_switch(&out, "abc=", NULL, 0);
    EXPECT_STR(str_text(&out), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Accept: abc=\r\n\r\n");
    str_fini(&out);
}

TEST(a_value_stays_on_its_line)
{
    struct http_header headers[] = {{"X", "a\r\nSet-Cookie: evil"}};
    struct str out;

    str_init(&out, 4096);
    http_write_response(&out, 204, headers, 1, bytes_str(""), 0);
    EXPECT(strstr(str_text(&out), "\nSet-Cookie") == NULL);
    str_clear(&out);
    http_write_request(&out, "GET", "/a b\r\nX: y", "h\r\nX: y", NULL, 0, bytes_str(""));
    EXPECT(strstr(str_text(&out), "\nX: y") == NULL);
    str_fini(&out);
}

/* Our request is one that our reader takes. */
TEST(a_request_reads_back)
{
    struct http_header headers[] = {{"Authorization", "Bearer x"}};
    struct str out, target;
    struct http *h;
    size_t used;

    str_init(&out, 4096);
    str_init(&target, 4096);
    str_add(&target, "/rtc?room=");
    http_encode(&target, "a b/&\xc3\xa9~");
    http_write_request(&out, "POST", str_text(&target), "localhost:7880", headers, 1,
                       bytes_str("body"));
    EXPECT_EQ(http_open(&h, HTTP_SERVER), 0);
    EXPECT_EQ(http_input(h, str_bytes(&out), &used), HTTP_BEGUN);
    size_t more;
    EXPECT_EQ(http_input(h, bytes_of(out.p + used, out.len - used), &more), HTTP_WHOLE);
    EXPECT_STR(http_message(h)->query, "room=a%20b%2F%26%C3%A9~");
    EXPECT_STR(http_header_get(http_message(h), "authorization"), "Bearer x");
    EXPECT(bytes_eq_str(http_message(h)->body, "body"));
    http_free(h);
    str_fini(&target);
    str_fini(&out);
}

static size_t cors_of(const char *request, struct http_header out[HTTP_CORS_HEADERS],
                      bool *preflight, struct http *h)
{
    size_t used;

    EXPECT_EQ(http_input(h, bytes_str(request), &used), HTTP_WHOLE);
    *preflight = http_is_preflight(http_message(h));
    return http_cors(http_message(h), out);
}

TEST(any_origin_is_answered)
{
    struct http_header out[HTTP_CORS_HEADERS];
    struct http *h;
    bool preflight;

    EXPECT_EQ(http_open(&h, HTTP_SERVER), 0);
    EXPECT_EQ(cors_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n", out, &preflight, h), 0);
    http_next(h);
    EXPECT_EQ(cors_of("GET / HTTP/1.1\r\nHost: x\r\nOrigin: http://o\r\n\r\n", out, &preflight, h),
              2);
    EXPECT(!preflight);
    http_next(h);
    EXPECT_EQ(cors_of("OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: http://o\r\n"
                      "Access-Control-Request-Method: POST\r\n"
                      "Access-Control-Request-Headers: authorization\r\n\r\n",
                      out, &preflight, h),
              4);
    EXPECT(preflight);
    EXPECT_STR(out[2].value, "authorization");
    http_free(h);
}
