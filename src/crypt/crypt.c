#include "crypt/crypt.h"

#include "base/err.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

int crypt_random(void *out, size_t len)
{
    assert(len <= INT32_MAX);
    return RAND_bytes(out, (int)len) == 1 ? 0 : E_LIBRARY;
}

bool crypt_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
