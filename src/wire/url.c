#include "wire/url.h"

#include "base/err.h"
#include "base/str.h"

#include <stdio.h>
#include <strings.h>

static int scheme(struct url *u, const char **text)
{
    static const struct {
        const char *prefix;
        bool tls;
    } known[] = {{"ws://", false}, {"wss://", true}, {"http://", false}, {"https://", true}};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t n = strlen(known[i].prefix);
        if (strncasecmp(*text, known[i].prefix, n) == 0) {
            u->tls = known[i].tls;
            *text += n;
            return 0;
        }
    }
    return strstr(*text, "://") != NULL ? E_UNSUPPORTED : 0;
}

static int host(struct url *u, struct bytes authority)
{
    struct bytes name = authority, port = {0};
    uint64_t v;

    if (authority.len > 0 && authority.p[0] == '[') { /* RFC 3986 s3.2.2 */
        const uint8_t *close = memchr(authority.p, ']', authority.len);
        if (close == NULL)
            return E_MALFORMED;
        name = bytes_of(authority.p + 1, (size_t)(close - authority.p) - 1);
        port = bytes_of(close + 1, authority.len - name.len - 2);
    } else {
        const uint8_t *colon = authority.len > 0 ? memchr(authority.p, ':', authority.len) : NULL;
        if (colon != NULL) {
            name.len = (size_t)(colon - authority.p);
            port = bytes_of(colon, authority.len - name.len);
        }
    }
    if (name.len == 0)
        return E_MALFORMED;
    if (!str_copy(u->host, sizeof u->host, name))
        return E_TOO_LARGE;
    if (port.len == 0)
        return 0;
    if (port.p[0] != ':' || !str_to_u64(bytes_of(port.p + 1, port.len - 1), UINT16_MAX, &v))
        return E_MALFORMED;
    u->port = (uint16_t)v;
    return 0;
}

int url_parse(struct url *out, const char *text)
{
    struct url u = {0};
    int err = scheme(&u, &text);

    if (err)
        return err;
    u.port = u.tls ? 443 : 80;
    size_t n = strcspn(text, "/?#");
    err = host(&u, bytes_of(text, n));
    if (err)
        return err;
    struct bytes path = bytes_of(text + n, strcspn(text + n, "?#"));
    while (path.len > 0 && path.p[path.len - 1] == '/')
        path.len--;
    if (!str_copy(u.path, sizeof u.path, path))
        return E_TOO_LARGE;
    *out = u;
    return 0;
}

void url_authority(const struct url *u, char out[URL_HOST_MAX + 8])
{
    bool six = strchr(u->host, ':') != NULL;

    (void)snprintf(out, URL_HOST_MAX + 8, six ? "[%s]:%u" : "%s:%u", u->host,
                   (unsigned)u->port); /* fits: host, brackets, colon, five digits */
}
