#include "base/test.h"

#include <dirent.h>
#include <stdlib.h>

enum {
    CASES_MAX = 2000,
    INPUT_MAX = 1 << 16,
    MUTATIONS = 2000, /* per fuzz entry and test run; `make fuzz` goes on from there */
};

static struct test_case *first_case;

void test_register(struct test_case *c)
{
    c->next = first_case;
    first_case = c;
}

void test_eq(int64_t a, int64_t b, const char *what, const char *file, int line)
{
    if (a == b)
        return;
    print_error("%s: %lld != %lld\n", what, (long long)a, (long long)b);
    _fail(file, line);
}

static void print_hex(const char *label, struct bytes b)
{
    print_error("%s (%zu):", label, b.len);
    for (size_t i = 0; i < b.len && i < 256; i++)
        print_error(" %02x", b.p[i]);
    print_error("\n");
}

void test_bytes(struct bytes a, struct bytes b, const char *file, int line)
{
    if (bytes_eq(a, b))
        return;
    print_hex("left ", a);
    print_hex("right", b);
    _fail(file, line);
}

struct bytes test_hex(const char *hex)
{
    static uint8_t pool[8][4096];
    static unsigned turn;
    uint8_t *out = pool[turn++ % 8];
    size_t n = 0;

    while (*hex != '\0') {
        char pair[3] = {0};
        if (*hex == ' ' || *hex == '\n') {
            hex++;
            continue;
        }
        pair[0] = *hex++;
        pair[1] = *hex++;
        assert(n < sizeof pool[0]);
        out[n++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return bytes_of(out, n);
}

#ifdef FUZZ_ONE
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct test_case *chosen;

    if (chosen == NULL) {
        for (chosen = first_case; chosen != NULL; chosen = chosen->next) {
            if (chosen->fuzz != NULL && strcmp(chosen->name, FUZZ_ONE) == 0)
                break;
        }
        if (chosen == NULL)
            abort();
    }
    chosen->fuzz(bytes_of(data, size));
    return 0;
}
#else

static size_t slurp(const char *path, uint8_t *out, size_t cap)
{
    FILE *f = fopen(path, "rb");

    if (f == NULL)
        return 0;
    size_t n = fread(out, 1, cap, f);
    (void)fclose(f); /* read only: nothing to lose */
    return n;
}

/* A few cheap edits of the kind that break length checks. */
static size_t mutate(struct rng *rng, uint8_t *p, size_t n)
{
    for (uint64_t edits = 1 + rng_below(rng, 4); edits > 0 && n > 0; edits--) {
        size_t at = (size_t)rng_below(rng, n);
        switch (rng_below(rng, 5)) {
        case 0:
            p[at] ^= (uint8_t)(1u << rng_below(rng, 8));
            break;
        case 1:
            p[at] = (uint8_t)rng_u32(rng);
            break;
        case 2:
            p[at] = rng_below(rng, 2) ? 0xff : 0;
            break;
        case 3:
            n = at;
            break;
        default:
            if (n < INPUT_MAX) {
                memmove(p + at + 1, p + at, n - at);
                n++;
            }
        }
    }
    return n;
}

/* Copies into an exact-size heap block, so that ASan sees every over-read. */
static void feed(struct test_case *c, const uint8_t *p, size_t n)
{
    uint8_t *exact = malloc(n > 0 ? n : 1);

    assert(exact != NULL);
    if (n > 0)
        memcpy(exact, p, n);
    c->fuzz(bytes_of(exact, n));
    free(exact);
}

static void feed_mutations(struct test_case *c, struct rng *rng, const uint8_t *seed, size_t n,
                           unsigned times)
{
    static uint8_t buf[INPUT_MAX + 64];

    for (unsigned i = 0; i < times; i++) {
        memcpy(buf, seed, n);
        feed(c, buf, mutate(rng, buf, n));
    }
}

static void run_fuzz(void **state)
{
    static uint8_t buf[INPUT_MAX];
    struct test_case *c = *state;
    struct rng rng = rng_seed(1);
    char dir[512], path[1024];
    const char *root = getenv("FUZZ_CORPUS");

    feed(c, NULL, 0);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        size_t n = (size_t)rng_below(&rng, 200);
        rng_fill(&rng, buf, n);
        feed(c, buf, n);
    }
    (void)snprintf(dir, sizeof dir, "%s/%s", root != NULL ? root : "fuzz", c->name);
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        size_t n = slurp(path, buf, sizeof buf);
        feed(c, buf, n);
        feed_mutations(c, &rng, buf, n, MUTATIONS / 20);
    }
    if (d != NULL)
        closedir(d);
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[CASES_MAX];
    size_t n = 0;

    for (struct test_case *c = first_case; c != NULL; c = c->next) {
        if (argc > 1 && strstr(c->name, argv[1]) == NULL)
            continue;
        assert(n < CASES_MAX);
        tests[n++] = (struct CMUnitTest){
            .name = c->name,
            .test_func = c->fuzz != NULL ? run_fuzz : c->run,
            .initial_state = c,
        };
    }
    return _cmocka_run_group_tests(argv[0], tests, n, NULL, NULL);
}
#endif
