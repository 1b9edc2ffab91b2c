/* wire/ogg.h - Opus in Ogg files.  (RFC 3533, RFC 7845)
 *
 * Reads packets from a span that holds the whole file (the caller maps it) and
 * writes a file that grows.  One Opus stream; other streams in the same file are
 * stepped over.  Pages with a wrong checksum are an error.
 */
#ifndef WIRE_OGG_H
#define WIRE_OGG_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    OGG_PACKET_MAX =
        8192, /* of Opus: six times the 20 ms that encoders make; larger are left out */
    OGG_PAGE_OVERHEAD = 27 + 255,
};

struct ogg {
    struct bytes file;
    struct rd rd; /* at the next page */
    uint32_t serial;
    uint8_t channels;
    uint16_t pre_skip;   /* samples at 48 kHz to throw away */
    bool bound;          /* serial is known */
    struct bytes lacing; /* of the current page, what is left of it */
    struct rd data;      /* likewise */
    size_t joined_n;     /* bytes of a packet that began on an earlier page */
    bool joining, too_large;
    uint8_t joined[OGG_PACKET_MAX];
};

struct ogg_packet {
    struct bytes data; /* valid until the next call */
    us_t duration_us;
};

/* E_UNSUPPORTED when it is not Ogg with Opus (filekind_of() says what it is);
 * E_MALFORMED, E_TRUNCATED. */
MUST_CHECK int ogg_open(struct ogg *o, struct bytes file);
/* 0; E_CLOSED at the end; E_TRUNCATED when the last page is cut off; E_MALFORMED. */
MUST_CHECK int ogg_next(struct ogg *o, struct ogg_packet *packet);
/* Back to the first audio packet. */
void ogg_rewind(struct ogg *o);

struct ogg_writer {
    uint32_t serial, page_n;
    uint64_t granule; /* samples at 48 kHz */
};

/* Both header pages. */
void ogg_write_head(struct ogg_writer *o, struct wr *w, uint32_t serial, uint8_t channels,
                    uint16_t pre_skip);
/* A page with one packet (at most OGG_PACKET_MAX bytes): a file that breaks off is
 * whole up to there, for 29 bytes a packet.  `gap_us` of silence lies before it. */
void ogg_write_packet(struct ogg_writer *o, struct wr *w, struct bytes packet, us_t gap_us,
                      bool last);

#endif
