#include "wire/url.h"

#include "base/err.h"
#include "base/str.h"
#include "base/test.h"

TEST(urls_that_people_type_are_understood)
{
    static const struct {
        const char *text, *host, *path;
        uint16_t port;
        bool tls;
    } cases[] = {
        {"ws://localhost:7880", "localhost", "", 7880, false},
        {"wss://example.org/lk/", "example.org", "/lk", 443, true},
        {"http://[::1]:8080/x?y", "::1", "/x", 8080, false},
        {"localhost:7880", "localhost", "", 7880, false},
        {"HTTPS://Host", "Host", "", 443, true},
    };
    struct url u;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        EXPECT_EQ(url_parse(&u, cases[i].text), 0);
        EXPECT_STR(u.host, cases[i].host);
        EXPECT_STR(u.path, cases[i].path);
        EXPECT_EQ(u.port, cases[i].port);
        EXPECT_EQ(u.tls, cases[i].tls);
    }
}

TEST(urls_of_no_use_are_refused)
{
    struct url u;

    EXPECT_EQ(url_parse(&u, "ftp://x"), E_UNSUPPORTED);
    EXPECT_EQ(url_parse(&u, "ws://"), E_MALFORMED);
    EXPECT_EQ(url_parse(&u, "ws://h:99999"), E_MALFORMED);
    EXPECT_EQ(url_parse(&u, "ws://[::1"), E_MALFORMED);
    EXPECT_EQ(url_parse(&u, ""), E_MALFORMED);
}

FUZZ(url, in)
{
    char text[512];
    struct url u;

    if (!str_copy(text, sizeof text, in) || url_parse(&u, text) != 0)
        return;
    EXPECT(u.host[0] != '\0' && strlen(u.host) <= strlen(text));
}
