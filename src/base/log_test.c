#include "base/log.h"

#include "base/test.h"

#include <string.h>
#include <unistd.h>

/* What one call wrote, through a pipe. */
static const char *caught(bool json, enum log_level level, const char *event, const char *pairs)
{
    static char buf[8192];
    int fd[2];

    EXPECT_EQ(pipe(fd), 0);
    log_clock(1763737200123456); /* 2025-11-21T15:00:00.123Z */
    log_setup(LOG_LEVEL_INFO, json, fd[1]);
    log_line(level, event, pairs);
    log_setup(LOG_LEVEL_INFO, false, 2);
    close(fd[1]);
    ssize_t n = read(fd[0], buf, sizeof buf - 1);
    close(fd[0]);
    EXPECT(n >= 0);
    buf[n] = '\0';
    return buf;
}

TEST(log_line_is_time_level_event_and_pairs)
{
    EXPECT_STR(caught(false, LOG_LEVEL_WARN, "port_in_use", "port=7880 owner=\"a b\""),
               "2025-11-21T15:00:00.123Z warn  port_in_use port=7880 owner=\"a b\"\n");
    EXPECT_STR(caught(false, LOG_LEVEL_DEBUG, "quiet", ""), "");
}

TEST(log_line_cannot_be_forged_with_a_line_feed)
{
    EXPECT_STR(caught(false, LOG_LEVEL_INFO, "join", "room=a\nb"),
               "2025-11-21T15:00:00.123Z info  join room=a?b\n");
}

TEST(log_json_is_one_object_with_the_pairs_as_members)
{
    EXPECT_STR(caught(true, LOG_LEVEL_INFO, "join", "room=demo name=\"a b\" bare"),
               "{\"ts\":\"2025-11-21T15:00:00.123Z\",\"level\":\"info\",\"event\":\"join\","
               "\"room\":\"demo\",\"name\":\"a b\",\"bare\":\"\"}\n");
}

TEST(log_value_is_quoted_when_it_would_be_misread)
{
    static const struct {
        const char *text, *value;
    } rows[] = {
        {"ann", "ann"},
        {"", "\"\""},
        {"a b", "\"a b\""},
        {"a=b", "\"a=b\""},
        {"a\"b\\", "\"a\\\"b\\\\\""},
        {"a\nevent=join", "\"a?event=join\""},
        {"0123456789012345678901234567890123456789012345678901234567890123456789",
         "0123456789012345678901234567890123456789012345678901234567890123"},
        {"012345678901234567890123456789012345678901234567890123456789012\xc3\xa9x",
         "012345678901234567890123456789012345678901234567890123456789012"},
    };
    char buf[LOG_VALUE_MAX];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        EXPECT_STR(log_value(buf, rows[i].text), rows[i].value);
    memset(buf, 0, sizeof buf);
    EXPECT_STR(caught(true, LOG_LEVEL_INFO, "join", "name=\"a\\\"b\\\\\" x=1"),
               "{\"ts\":\"2025-11-21T15:00:00.123Z\",\"level\":\"info\",\"event\":\"join\","
               "\"name\":\"a\\\"b\\\\\",\"x\":\"1\"}\n");
}

TEST(log_site_is_held_to_its_rate_and_says_what_it_left_out)
{
    struct log_site site = {0};
    char buf[65536];
    int fd[2], lines = 0;

    EXPECT_EQ(pipe(fd), 0);
    log_setup(LOG_LEVEL_INFO, false, fd[1]);
    log_clock(1000 * US_PER_SEC);
    for (int i = 0; i < 100; i++)
        log_at(&site, LOG_LEVEL_INFO, "storm", "i=%d", i);
    log_clock(1001 * US_PER_SEC);
    log_at(&site, LOG_LEVEL_INFO, "storm", "i=%d", 100);
    log_setup(LOG_LEVEL_INFO, false, 2);
    close(fd[1]);
    ssize_t n = read(fd[0], buf, sizeof buf - 1);
    close(fd[0]);
    EXPECT(n > 0);
    buf[n] = '\0';
    for (char *p = buf; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    EXPECT_EQ(lines, LOG_SITE_PER_SEC + 1);
    EXPECT(strstr(buf, "i=100 left_out=80\n") != NULL);
}
