#include "api/browser.h"

#include "base/test.h"

#define SAFARI "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 "

TEST(families_and_versions_of_the_browsers_that_people_use)
{
    static const struct {
        const char *ua, *family, *version, *os, *os_version, *device;
    } rows[] = {
        {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/126.0.6478.127 Safari/537.36",
         "Chrome", "126.0.6478.127", "Linux", "", "Other"},
        {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.87",
         "Edge", "126.0.2592.87", "Windows", "10", "Other"},
        {"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
         "Firefox", "128.0", "Ubuntu", "", "Other"},
        {"Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Firefox Mobile",
         "128.0", "Android", "14", "Mobile"},
        {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) " SAFARI "Safari/605.1.15", "Safari",
         "18.4", "Mac OS X", "10.15.7", "Mac"},
        {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) " SAFARI
         "Mobile/15E148 Safari/604.1",
         "Mobile Safari", "18.4", "iOS", "18.4", "iPhone"},
        {"Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TD1A) AppleWebKit/537.36 (KHTML, like "
         "Gecko) Chrome/126.0.1.2 Mobile Safari/537.36",
         "Chrome Mobile", "126.0.1.2", "Android", "13", "Pixel 7"},
        {"Mozilla/5.0 (OBS-Studio/30.1.2; Windows x86_64; en-US)", "OBS Studio", "30.1.2",
         "Windows", "", "Other"},
        {"curl/8.0", "Other", "", "Other", "", "Other"},
        {"", "Other", "", "Other", "", "Other"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct browser b;
        browser_read(&b, rows[i].ua);
        EXPECT_STR(b.family, rows[i].family);
        EXPECT_STR(b.version, rows[i].version);
        EXPECT_STR(b.os, rows[i].os);
        EXPECT_STR(b.os_version, rows[i].os_version);
        EXPECT_STR(b.device, rows[i].device);
    }
}

TEST(a_text_that_runs_on_is_cut_or_left_out)
{
    char ua[512] = "Chrome/1";
    struct browser b;

    memset(ua + 8, '1', 300);
    browser_read(&b, ua);
    EXPECT_EQ(strlen(b.version), BROWSER_TEXT_MAX - 1);
    memcpy(ua, "Android 1; ", 11);
    browser_read(&b, ua);
    EXPECT_STR(b.device, "Other");
}
