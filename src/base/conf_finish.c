#include "base/conf.h"
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

/* What contradicts can be seen only when everything was read. */
static int refuse(struct conf *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int refuse(struct conf *c, const char *fmt, ...)
{
    size_t n = (size_t)snprintf(c->error, sizeof c->error, "sluice: ");
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(c->error + n, sizeof c->error - n, fmt, ap);
    va_end(ap);
    return E_INVAL;
}

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

static int check_webhooks(struct conf *c)
{
    bool known = false;

    for (uint32_t i = 0; i < c->webhook_urls.n; i++) {
        const char *url = c->webhook_urls.text[i];
        if (!has_scheme(url, "http://") && !has_scheme(url, "https://"))
            return refuse(c, "webhook.urls: entry %u is no http:// or https:// address", i + 1);
    }
    for (uint32_t i = 0; i < c->key_n; i++)
        known = known || strcmp(c->key[i].id, c->webhook_key) == 0;
    if (c->webhook_urls.n > 0 && !known) /* the original's words */
        return refuse(c, "api_key is required to use webhooks%s%.64s%s",
                      c->webhook_key[0] != '\0' ? "; webhook.api_key '" : "", c->webhook_key,
                      c->webhook_key[0] != '\0' ? "' is not among the keys" : "");
    if (c->auth_url[0] != '\0' && !has_scheme(c->auth_url, "ws://") &&
        !has_scheme(c->auth_url, "wss://") && !has_scheme(c->auth_url, "http://") &&
        !has_scheme(c->auth_url, "https://"))
        return refuse(c, "ingest.auth_url must begin with ws://, wss://, http:// or https://");
    return 0;
}

int conf_finish(struct conf *c)
{
    if (c->dev) {
        c->development = true;
        c->meet_open = c->meet_open || c->meet_secret[0] == '\0';
        if (!c->log_level_set)
            c->log_level = LOG_LEVEL_DEBUG;
        if (c->key_n == 0) {
            c->key[0] =
                (struct conf_key){.id = "devkey", .secret = arena_dup_str(&c->arena, "secret")};
            if (c->key[0].secret == NULL)
                return E_NOMEM;
            c->key_n = 1;
        }
        if (c->bind.n == 0)
            c->bind = (struct conf_list){.text = {"127.0.0.1", "::1"}, .n = 2};
    }
    if (c->key_n == 0)
        return refuse(c, "one of key-file or keys must be provided; `sluice generate-keys` makes a "
                         "pair, --dev uses a known one");
    if ((c->prometheus_username[0] == '\0') != (c->prometheus_password[0] == '\0'))
        return refuse(c, "prometheus needs both username and password, or neither");
    if (c->prometheus_port > 0)
        c->prometheus_on = true;
    if (c->force_tcp && c->tcp_port == 0)
        return refuse(c, "rtc.force_tcp needs a TCP port; leave out rtc.tcp_port: 0");
    if (c->port_range_start > 0 || c->port_range_end > 0) {
        if (c->port_range_end < c->port_range_start || c->port_range_start == 0)
            return refuse(c, "rtc.port_range_start must be above 0 and not above port_range_end");
        if (!c->udp_port_set) {
            c->udp_port = (struct conf_range){.first = (uint16_t)c->port_range_start,
                                              .last = (uint16_t)c->port_range_end};
            c->udp_port_set = true;
        }
    }
    return check_webhooks(c);
}
