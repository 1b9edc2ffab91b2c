/* app/server.h - the server process: control thread, workers, door.
 *
 * Puts the parts together and moves what they give each other; every decision is in the
 * parts.  Runs on the calling thread until a signal; a second signal ends at once.
 */
#ifndef APP_SERVER_H
#define APP_SERVER_H

#include "api/node.h"
#include "app/worker.h"
#include "base/conf.h"

enum { SERVER_ERROR_MAX = 320, SERVER_STOP_US = 3 * 1000 * 1000 };

/* What is open once the server runs. */
struct server_ready {
    uint16_t http_port, metrics_port; /* 0: none */
    uint16_t whip_port;               /* 0: none */
    uint16_t web_port;                /* of --web-root; 0: none */
    uint16_t udp_port[WORKER_MAX];
    uint16_t tcp_port; /* 0: none */
    bool one_port;     /* all workers have the first UDP port */
    uint32_t worker_n;
    const struct node_candidate *candidate;
    uint32_t candidate_n;
    us_t start_us; /* from server_run() to here */
};

/* For `sluice up`: told on the control thread; may be NULL, as may its members. */
struct server_hooks {
    void *owner;
    void (*ready)(void *owner, const struct server_ready *ready);
    void (*child)(void *owner); /* SIGCHLD */
    void (*stopping)(void *owner);
    us_t (*round)(void *owner, us_t now); /* each round; when it wants the next */
};

/* 0 after an orderly stop; negative with one line in error when it could not start. */
MUST_CHECK int server_run(const struct conf *conf, const struct server_hooks *hooks,
                          char error[SERVER_ERROR_MAX]);

#endif
