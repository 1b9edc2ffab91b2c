/* app/ingress_conf.h - configuration of `sluice ingress`: LiveKit Ingress's file and our own keys.
 * (egress-ingress.md 4.10)
 *
 * The file is read loosely, as the original reads it: an unknown key is a warning with its line
 * and what may have been meant; keys of the original that have no effect here are said once.
 * Values that cannot be are errors.  Everything lives in the arena.
 */
#ifndef APP_INGRESS_CONF_H
#define APP_INGRESS_CONF_H

#include "base/arena.h"
#include "base/addr.h"
#include "base/log.h"
#include "base/str.h"

enum {
    INGRESS_CONF_ERROR_MAX = 256,
    INGRESS_CONF_NOTICE_MAX = 8192,
    INGRESS_CONF_FTL_PORT = 8084,
    INGRESS_CONF_RTMP_PORT = 1935,
};

struct ingress_conf {
    struct arena arena;
    char error[INGRESS_CONF_ERROR_MAX];
    struct str notice;   /* lines, each ended by '\n' */
    const char *ws_url;  /* "": what the bus says */
    const char *bus;     /* path of the socket; "": bus.sock in the data directory */
    const char *address; /* to listen on; "": all */
    const char *log_file;
    const char *auth_url;         /* asked before somebody may stream; "": local keys rule */
    const char *auth_ca;          /* PEM file of authorities for it; "": the system's */
    uint32_t ftl_port, rtmp_port; /* -1 as text: off; 0: any free one */
    bool ftl_off, rtmp_off;
    uint32_t rtmps_port; /* RTMP over TLS: off unless set */
    bool rtmps_off;
    const char *webrtc_url;    /* a WebRTC server elsewhere that shows the streams; "": ours does */
    const char *webrtc_secret; /* for it; "": none */
    const char *stream_key;    /* of the streams for it; "": the data directory's */
    uint32_t rtp_port;         /* plain RTP into the default channel: off unless set */
    bool rtp_off;
    const char *rtp_address; /* "": loopback */
    struct ingress_ports {
        uint16_t first, last;
    } rtp_ports;                              /* of streams that ask for one; 0: the system's */
    const char *tls_cert_file, *tls_key_file; /* PEM, for RTMPS */
    uint32_t health_port, metrics_port;       /* 0: none */
    bool refuse_second;
    enum log_level log_level;
    bool log_json;
    int64_t ready_fd; /* -1: none */
};

void ingress_conf_init(struct ingress_conf *c);
void ingress_conf_fini(struct ingress_conf *c);
/* Each returns 0, or negative with error filled. */
MUST_CHECK int ingress_conf_yaml(struct ingress_conf *c, const char *name, struct bytes text);
/* One value by the key that the file has for it ("ftl_port"); `where` is what the error calls it.
 */
MUST_CHECK int ingress_conf_set(struct ingress_conf *c, const char *where, const char *key,
                                const char *value);

#endif
