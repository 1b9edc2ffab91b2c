/* base/test.h - TEST and FUZZ, over cmocka and libFuzzer.
 *
 * TEST(name) { ... } registers itself; a name is a sentence about behaviour.
 * FUZZ(name, in) { ... } is run three ways: over the committed corpus in
 * fuzz/NAME/ and over a few thousand mutations of it in every test run, and by
 * libFuzzer in the fuzz build.  For tests only.
 */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include "base/base.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct test_case {
    const char *name;
    void (*run)(void **state);
    void (*fuzz)(struct bytes in);
    struct test_case *next;
};

void test_register(struct test_case *c);

#define TEST(id)                                                                                   \
    static void test_##id(void **state);                                                           \
    static struct test_case case_##id = {.name = #id, .run = test_##id};                           \
    __attribute__((constructor)) static void enrol_##id(void)                                      \
    {                                                                                              \
        test_register(&case_##id);                                                                 \
    }                                                                                              \
    static void test_##id(void **state UNUSED)

#define FUZZ(id, in)                                                                               \
    static void fuzz_##id(struct bytes in);                                                        \
    static struct test_case fcase_##id = {.name = #id, .fuzz = fuzz_##id};                         \
    __attribute__((constructor)) static void fenrol_##id(void)                                     \
    {                                                                                              \
        test_register(&fcase_##id);                                                                \
    }                                                                                              \
    static void fuzz_##id(struct bytes in)

#define EXPECT(cond) _assert_true((cond) ? 1 : 0, #cond, __FILE__, __LINE__)

/* Integers of any type; shown in decimal. */
#define EXPECT_EQ(a, b)    test_eq((int64_t)(a), (int64_t)(b), #a " == " #b, __FILE__, __LINE__)
#define EXPECT_STR(a, b)   _assert_string_equal((a), (b), __FILE__, __LINE__)
#define EXPECT_BYTES(a, b) test_bytes((a), (b), __FILE__, __LINE__)

void test_eq(int64_t a, int64_t b, const char *what, const char *file, int line);
void test_bytes(struct bytes a, struct bytes b, const char *file, int line);

/* Hex text to bytes in a static buffer of 4 KiB (eight of them in turn). */
struct bytes test_hex(const char *hex);

#endif
