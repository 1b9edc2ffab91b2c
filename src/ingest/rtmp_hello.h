/* ingest/rtmp_hello.h - the server's half of RTMP's handshake.
 * (Adobe RTMP 1.0 s5.2; the digests of Flash Player 9 and later, as clients expect them)
 *
 * A client that put a digest into its C1, by either of two layouts, is answered with digests;
 * any other is answered with its own bytes.  The keys are public constants: nothing is proven by
 * them, but ffmpeg hangs up without.  Stateless.
 */
#ifndef INGEST_RTMP_HELLO_H
#define INGEST_RTMP_HELLO_H

#include "base/base.h"

enum {
    RTMP_HELLO_BYTES = 1536,
    RTMP_HELLO_ANSWER_BYTES = 1 + 2 * RTMP_HELLO_BYTES, /* S0, S1, S2 */
};

/* True: with digests. */
bool rtmp_hello_answer(const uint8_t c1[RTMP_HELLO_BYTES], struct rng *rng,
                       uint8_t out[RTMP_HELLO_ANSWER_BYTES]);

#endif
