#include "app/webroot.h"

#include "base/test.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int get(const struct webroot *w, const char *method, const char *path, struct str *body,
               const char **type)
{
    struct http_header host = {.name = "host", .value = "example.org:80"};
    struct http_msg m = {
        .method = method, .path = path, .query = "", .header = &host, .header_n = 1};

    str_fini(body);
    str_init(body, WEBROOT_FILE_MAX);
    return webroot_get(w, &m, body, type);
}

TEST(a_built_page_is_served_and_nothing_beside_it)
{
    char dir[] = "/tmp/webroot-XXXXXX", path[64];
    struct webroot w = {.dir = dir, .ws_url = "", .ws_port = 8080};
    struct str body = {0};
    const char *type;

    EXPECT(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof path, "%s/index.html", dir);
    EXPECT_EQ(file_write(path, bytes_str("<p>page"), 0600), 0);
    (void)snprintf(path, sizeof path, "%s/main.js", dir);
    EXPECT_EQ(file_write(path, bytes_str("1"), 0600), 0);
    (void)snprintf(path, sizeof path, "%s/.hidden", dir);
    EXPECT_EQ(file_write(path, bytes_str("1"), 0600), 0);
    EXPECT_EQ(get(&w, "GET", "/", &body, &type), 200);
    EXPECT_STR(str_text(&body), "<p>page");
    EXPECT_STR(type, "text/html; charset=utf-8");
    EXPECT_EQ(get(&w, "GET", "/any/path", &body, &type), 200);
    EXPECT_EQ(get(&w, "HEAD", "/main.js", &body, &type), 200);
    EXPECT_STR(type, "text/javascript; charset=utf-8");
    EXPECT_EQ(get(&w, "GET", "/config.json", &body, &type), 200);
    EXPECT_STR(str_text(&body), "{\"wsUrl\":\"ws://example.org:8080/websocket\"}\n");
    w.ws_url = "wss://a/websocket?port=78";
    EXPECT_EQ(get(&w, "GET", "/config.json", &body, &type), 200);
    EXPECT_STR(str_text(&body), "{\"wsUrl\":\"wss://a/websocket?port=78\"}\n");
    w.ws_url = "ws://a:8080";
    EXPECT_EQ(get(&w, "GET", "/config.json", &body, &type), 200);
    EXPECT_STR(str_text(&body), "{\"wsUrl\":\"ws://a:8080/websocket\"}\n");
    static const char *const none[] = {"/absent.js",    "/../main.js",     "/.hidden",
                                       "/a/../main.js", "/%2e%2e/main.js", "//.hidden",
                                       "main.js",       "/a\\..\\b.js"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        EXPECT_EQ(get(&w, "GET", none[i], &body, &type), 404);
    EXPECT_EQ(get(&w, "POST", "/", &body, &type), 405);
    str_fini(&body);
    static const char *const made[] = {"index.html", "main.js", ".hidden"};
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, made[i]);
        EXPECT_EQ(unlink(path), 0);
    }
    EXPECT_EQ(rmdir(dir), 0);
}
