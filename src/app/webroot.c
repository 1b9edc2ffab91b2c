#include "app/webroot.h"

#include "base/json.h"
#include "io/file.h"

#include <stdio.h>

static const char *type_of(const char *path)
{
    static const struct {
        const char *end, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".json", "application/json"},
                 {".map", "application/json"},
                 {".txt", "text/plain; charset=utf-8"},
                 {".svg", "image/svg+xml"},
                 {".png", "image/png"},
                 {".jpg", "image/jpeg"},
                 {".ico", "image/x-icon"},
                 {".woff", "font/woff"},
                 {".woff2", "font/woff2"}};
    size_t n = strlen(path);

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        size_t k = strlen(types[i].end);
        if (n > k && strcmp(path + n - k, types[i].end) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

/* "/static/js/main.js": parts that begin with a dot, and what is no plain text, are nobody's. */
static bool is_plain(const char *path)
{
    if (path[0] != '/')
        return false;
    for (const char *p = path; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == '%' || *p == '\\' || (*p == '/' && p[1] == '.'))
            return false;
    }
    return true;
}

/* "host:80" -> the length of "host", which may be "[::1]". */
static size_t host_length(const char *host)
{
    const char *colon = strrchr(host, ':');

    return colon != NULL && strchr(colon, ']') == NULL ? (size_t)(colon - host) : strlen(host);
}

static void tell_socket(const struct webroot *w, const struct http_msg *m, struct str *body)
{
    const char *host = http_header_get(m, "host");
    struct str url;

    str_init(&url, 1024);
    if (w->ws_url[0] != '\0') {
        str_add(&url, w->ws_url); /* the originals' variable ends with the port */
        if (strstr(w->ws_url, "/websocket") == NULL)
            str_add(&url, "/websocket");
    } else {
        if (host == NULL)
            host = "localhost";
        str_printf(&url, "ws://%.*s:%u/websocket", (int)size_min(host_length(host), 256), host,
                   w->ws_port);
    }
    str_add(body, "{\"wsUrl\":");
    json_add_text(body, str_bytes(&url));
    str_add(body, "}\n");
    str_fini(&url);
}

int webroot_get(const struct webroot *w, const struct http_msg *m, struct str *body,
                const char **type)
{
    char path[WEBROOT_PATH_MAX];
    const char *last = strrchr(m->path, '/');

    *type = "text/plain; charset=utf-8";
    if (strcmp(m->method, "GET") != 0 && strcmp(m->method, "HEAD") != 0)
        return 405;
    if (!is_plain(m->path))
        return 404;
    if (strcmp(m->path, "/config.json") == 0) {
        *type = "application/json";
        tell_socket(w, m, body);
        return 200;
    }
    bool page = last == NULL || strchr(last, '.') == NULL;
    int n = snprintf(path, sizeof path, "%s%s", w->dir, page ? "/index.html" : m->path);
    if (n < 0 || (size_t)n >= sizeof path || file_read(path, body, NULL) < 0)
        return 404;
    *type = type_of(path);
    return 200;
}
