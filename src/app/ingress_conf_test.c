#include "app/ingress_conf.h"

#include "base/err.h"
#include "base/test.h"

TEST(the_ingress_file_of_the_original_is_taken_and_said_to_be)
{
    static const char text[] = "log_level: debug\n"
                               "logging:\n  json: true\n"
                               "redis:\n  address: localhost:6379\n  db: 1\n"
                               "health_port: 6789\n"
                               "rtmp_port: off\n"
                               "ftl_port: 8085\n"
                               "on_duplicate: refuse\n"
                               "rtc_config:\n  udp_port: 7885\n"
                               "helth_port: 1\n";
    struct ingress_conf c;

    ingress_conf_init(&c);
    EXPECT_EQ(ingress_conf_yaml(&c, "f.yaml", bytes_str(text)), 0);
    EXPECT_EQ(c.log_level, LOG_LEVEL_DEBUG);
    EXPECT(c.log_json && c.rtmp_off && c.refuse_second);
    EXPECT_EQ(c.health_port, 6789);
    EXPECT_EQ(c.ftl_port, 8085);
    EXPECT(strstr(str_text(&c.notice), "f.yaml:13: unknown key 'helth_port'; did you mean "
                                       "'health_port'?") != NULL);
    EXPECT(strstr(str_text(&c.notice), "'redis' is accepted and has no effect") != NULL);
    ingress_conf_fini(&c);
}

TEST(values_that_cannot_be_are_errors_that_name_their_place)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"health_port: 70000\n", "f.yaml:1: health_port is a port (0 to 65535), not '70000'"},
        {"x: 1\nftl_port: many\n", "f.yaml:2: ftl_port is a port (0 to 65535), not 'many'"},
        {"on_duplicate: both\n", "f.yaml:1: on_duplicate is takeover or refuse, not 'both'"},
        {"- a\n", "f.yaml:1: expected 'key: value' lines"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ingress_conf c;
        ingress_conf_init(&c);
        EXPECT(ingress_conf_yaml(&c, "f.yaml", bytes_str(rows[i].text)) < 0);
        EXPECT_STR(c.error, rows[i].error);
        ingress_conf_fini(&c);
    }
}
