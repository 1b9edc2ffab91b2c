#include "ingest/rtmp_hello.h"

#include "base/cursor.h"
#include "crypt/hash.h"

enum {
    DIGEST_BYTES = HASH_SHA256_BYTES,
    PLAYER_NAME_BYTES = 30, /* of the key: what a client's own digest is made with */
    SERVER_NAME_BYTES = 36,
    VERSION_AT = 4,
};

/* A name, and 32 bytes that follow it where the other side's digest is signed. */
static const uint8_t player_key[] =
    "Genuine Adobe Flash Player 001"
    "\xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57"
    "\x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae";
static const uint8_t server_key[] =
    "Genuine Adobe Flash Media Server 001"
    "\xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57"
    "\x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae";

static_assert(sizeof player_key == PLAYER_NAME_BYTES + 32 + 1, "name, bytes, NUL");
static_assert(sizeof server_key == SERVER_NAME_BYTES + 32 + 1, "name, bytes, NUL");

/* Where the digest stands: four bytes summed, after the time and version or after the key half. */
static size_t digest_at(const uint8_t *p, size_t base)
{
    return (size_t)(p[base] + p[base + 1] + p[base + 2] + p[base + 3]) % 728 + base + 4;
}

/* Over all of the 1,536 bytes but the digest itself. */
static void digest_make(const uint8_t *p, size_t at, struct bytes key, uint8_t out[DIGEST_BYTES])
{
    uint8_t rest[RTMP_HELLO_BYTES - DIGEST_BYTES];

    assert(at + DIGEST_BYTES <= RTMP_HELLO_BYTES);
    memcpy(rest, p, at);
    memcpy(rest + at, p + at + DIGEST_BYTES, sizeof rest - at);
    hash_hmac_sha256(key, bytes_of(rest, sizeof rest), out);
}

/* The base of the layout that C1's digest follows; 0: it has none. */
static size_t layout_of(const uint8_t *c1)
{
    static const size_t bases[] = {8, 772};
    uint8_t digest[DIGEST_BYTES];

    if (load_u32(c1 + VERSION_AT) == 0)
        return 0; /* s5.2.3: the field is zero in the plain handshake */
    for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
        size_t at = digest_at(c1, bases[i]);
        digest_make(c1, at, bytes_of(player_key, PLAYER_NAME_BYTES), digest);
        if (memcmp(digest, c1 + at, DIGEST_BYTES) == 0)
            return bases[i];
    }
    return 0;
}

bool rtmp_hello_answer(const uint8_t c1[RTMP_HELLO_BYTES], struct rng *rng,
                       uint8_t out[RTMP_HELLO_ANSWER_BYTES])
{
    static const uint8_t version[4] = {4, 5, 0, 1};
    uint8_t *s1 = out + 1, *s2 = s1 + RTMP_HELLO_BYTES, key[DIGEST_BYTES];
    size_t base = layout_of(c1);

    out[0] = 3;
    memset(s1, 0, 8); /* our time begins now; plain: four zeros */
    rng_fill(rng, s1 + 8, RTMP_HELLO_BYTES - 8);
    if (base == 0) {
        memcpy(s2, c1, RTMP_HELLO_BYTES);
        return false;
    }
    memcpy(s1 + VERSION_AT, version, sizeof version);
    size_t at = digest_at(s1, base);
    digest_make(s1, at, bytes_of(server_key, SERVER_NAME_BYTES), s1 + at);
    rng_fill(rng, s2, RTMP_HELLO_BYTES - DIGEST_BYTES);
    hash_hmac_sha256(bytes_of(server_key, sizeof server_key - 1),
                     bytes_of(c1 + digest_at(c1, base), DIGEST_BYTES), key);
    hash_hmac_sha256(bytes_of(key, sizeof key), bytes_of(s2, RTMP_HELLO_BYTES - DIGEST_BYTES),
                     s2 + RTMP_HELLO_BYTES - DIGEST_BYTES);
    return true;
}
