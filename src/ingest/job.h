/* ingest/job.h - one ingress on the air: a publisher's stream as a participant of a room.
 *
 * Takes the events of whatever publisher is attached (ingest/media.h), joins the ingress's room
 * through a client of ours (client/client.h, kind INGRESS by the token) and publishes one video
 * and one audio track: packetises access units, passes RTP payloads untouched.  When the
 * publisher is lost, participant and tracks stay for a grace time; one that comes back goes on
 * with the numbering and the clock of the first.  When the server is lost the job joins again
 * with back-off; the publisher notices nothing.  It decodes nothing and knows no protocol.
 *
 * Sockets are the owner's: JOB_EVT_JOIN asks for a client with its sockets, which the owner gives
 * with job_joined() and takes back at JOB_EVT_LEAVE.  After any call drain job_event() and the
 * client's output, then read job_deadline().  One thread.  Memory: JOB_BACKLOG_BYTES at most
 * while the room is not yet reached.
 */
#ifndef INGEST_JOB_H
#define INGEST_JOB_H

#include "base/base.h"
#include "client/client.h"
#include "ingest/media.h"

enum {
    JOB_GRACE_US = 10 * 1000 * 1000,       /* a publisher may be away */
    JOB_FIRST_MEDIA_US = 15 * 1000 * 1000, /* from yes to the first packet */
    JOB_TRACKS_US = 1000 * 1000,           /* the second kind of media is waited for */
    JOB_JOIN_US = 10 * 1000 * 1000,        /* one attempt to join */
    JOB_RETRY_MIN_US = 250 * 1000,         /* back-off between attempts .. */
    JOB_RETRY_MAX_US = 8 * 1000 * 1000,
    JOB_GIVE_UP_US = 120 * 1000 * 1000, /* without a room; the publisher is told */
    JOB_REPORT_US = 60 * 1000 * 1000,   /* state with statistics, while nothing changes */
    JOB_REPORT_GAP_US = 1000 * 1000,    /* reports are no denser */
    JOB_BACKLOG_BYTES = 4 << 20,        /* since the last key frame, until the room is reached */
    JOB_ID_MAX = 64,
};

enum job_state {
    JOB_WAITING,    /* for media: which tracks there are */
    JOB_CONNECTING, /* joining */
    JOB_BUFFERING,  /* joined; tracks are being published */
    JOB_PUBLISHING,
    JOB_PAUSED,   /* publisher away, grace time runs */
    JOB_RETRYING, /* server away, back-off runs */
    JOB_ENDED,
    JOB_FAILED,
};

/* What the bus says of an ingress; strings are copied. */
struct job_ticket {
    const char *ingress_id, *resource_id;
    const char *url, *token; /* of the room's server */
    const char *name;        /* of the participant; NULL or "": what the token says */
};

struct job_input {
    enum codec codec; /* CODEC_NONE: no such track */
    uint32_t bitrate_bps;
    uint16_t width, height;
    double framerate;
    uint32_t rate_hz;
    uint8_t channels;
    bool b_frames; /* order of display differs: viewers would stutter */
    char sid[32];  /* of the track in the room */
};

/* Everything that an IngressState holds, in our words. */
struct job_report {
    enum job_state state;
    const char *error;                      /* static; NULL: none */
    int64_t started_unix_us, ended_unix_us; /* 0: not yet */
    char room_id[32];
    struct job_input video, audio;
};

enum job_event_kind {
    JOB_EVT_JOIN,   /* open a client as job_client_cfg() says, connect it: job_joined() */
    JOB_EVT_LEAVE,  /* the client was let go: drain its output, close it */
    JOB_EVT_REPORT, /* job_report() is news */
    JOB_EVT_KICK,   /* end the attached publisher: reason */
    JOB_EVT_ENDED,  /* final; free the job */
};

struct job_event {
    enum job_event_kind kind;
    const char *reason; /* static */
};

struct job;

MUST_CHECK int job_open(struct job **ret, const struct job_ticket *t, uint64_t seed,
                        struct tick tick);
void job_free(struct job *j);

/* A publisher is there: the first, one that comes back, or one that takes over. */
void job_attach(struct job *j, struct tick tick);
/* It is gone; `clean`: it said goodbye, no grace time. */
void job_detach(struct job *j, bool clean, struct tick tick);
/* VIDEO_CONFIG .. RTP of the attached publisher. */
void job_media(struct job *j, const struct media *m, struct tick tick);
/* The ingress was deleted, disabled or changed, or the process stops: leave at once. */
void job_stop(struct job *j, const char *reason, struct tick tick);

/* Name and tracks for the client; the owner adds keys, seed and engine. */
void job_client_cfg(const struct job *j, struct client_cfg *cfg);
const char *job_url(const struct job *j);
const char *job_token(const struct job *j);
const char *job_ingress_id(const struct job *j);
const char *job_resource_id(const struct job *j);
/* A fresh address and token, for the next attempt.  E_TOO_LARGE. */
int job_set_ticket(struct job *j, const char *url, const char *token);
/* The client of the last JOB_EVT_JOIN, lent until JOB_EVT_LEAVE; NULL: it could not be made. */
void job_joined(struct job *j, struct client *c, struct tick tick);
/* Feed the client's events. */
void job_client_event(struct job *j, const struct client_event *ev, struct tick tick);

void job_tick(struct job *j, struct tick tick);
us_t job_deadline(const struct job *j);
bool job_event(struct job *j, struct job_event *ev);
void job_report(const struct job *j, struct job_report *out);
enum job_state job_state(const struct job *j);
/* The room has had something of it. */
bool job_was_live(const struct job *j);
bool job_attached(const struct job *j);

#endif
