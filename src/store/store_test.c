#include "base/err.h"
#include "base/test.h"
#include "store/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[64], path[96], error[STORE_ERROR_MAX];
};

static void place_open(struct place *p)
{
    *p = (struct place){.dir = "/tmp/store-XXXXXX"};
    EXPECT(mkdtemp(p->dir) != NULL);
    (void)snprintf(p->path, sizeof p->path, "%s/sluice.db", p->dir);
}

static void place_close(struct place *p)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        (void)snprintf(path, sizeof path, "%s%s", p->path, ends[i]);
        (void)unlink(path);
    }
    EXPECT_EQ(rmdir(p->dir), 0);
}

static struct store *must_open(struct place *p)
{
    struct store *s = NULL;

    EXPECT_EQ(store_open(&s, p->path, p->error), 0);
    EXPECT(s != NULL);
    return s;
}

static void put(struct store *s, const char *kind, const char *id, const char *body)
{
    EXPECT_EQ(store_begin(s), 0);
    EXPECT_EQ(store_apply(s, &(struct store_op){.kind = kind,
                                                .id = id,
                                                .erase = body == NULL,
                                                .body = bytes_str(body ? body : "")}),
              0);
    EXPECT_EQ(store_commit(s), 0);
}

/* "id=body;" of every record of a kind. */
static void all(struct store *s, const char *kind, char out[256])
{
    struct bytes id, body;
    bool first = true;
    int err;

    out[0] = '\0';
    for (; store_next(s, kind, first, &id, &body, &err); first = false) {
        size_t n = strlen(out);
        (void)snprintf(out + n, 256 - n, "%.*s=%.*s;", (int)id.len, (const char *)id.p,
                       (int)body.len, (const char *)body.p);
    }
    EXPECT_EQ(err, 0);
}

TEST(records_survive)
{
    struct place p;
    char text[256];

    place_open(&p);
    struct store *s = must_open(&p);
    put(s, "ingress", "b", "2");
    put(s, "ingress", "a", "1");
    put(s, "other", "a", "x");
    put(s, "ingress", "b", "3");
    store_free(s);
    s = must_open(&p);
    all(s, "ingress", text);
    EXPECT_STR(text, "a=1;b=3;");
    put(s, "ingress", "a", NULL);
    put(s, "ingress", "none", NULL);
    put(s, "ingress", "empty", "");
    all(s, "ingress", text);
    EXPECT_STR(text, "b=3;empty=;");
    store_free(s);
    place_close(&p);
}

TEST(the_file_is_for_its_owner_alone)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct place p;
    struct stat st;
    char path[128];

    place_open(&p);
    int fd = open(p.path, O_CREAT | O_RDWR, 0666); /* made by somebody careless */
    EXPECT(fd >= 0);
    EXPECT_EQ(fchmod(fd, 0666), 0);
    close(fd);
    struct store *s = must_open(&p);
    put(s, "k", "i", "b");
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        (void)snprintf(path, sizeof path, "%s%s", p.path, ends[i]);
        EXPECT_EQ(stat(path, &st), 0);
        EXPECT_EQ(st.st_mode & 0777, 0600);
    }
    store_free(s);
    place_close(&p);
}

TEST(a_batch_that_fails_leaves_nothing)
{
    struct place p;
    char text[256];

    place_open(&p);
    struct store *s = must_open(&p);
    static char big[STORE_BODY_MAX + 1];
    EXPECT_EQ(store_begin(s), 0);
    EXPECT_EQ(store_apply(s, &(struct store_op){.kind = "k", .id = "a", .body = bytes_str("1")}),
              0);
    EXPECT_EQ(store_apply(
                  s, &(struct store_op){.kind = "k", .id = "b", .body = bytes_of(big, sizeof big)}),
              E_TOO_LARGE);
    all(s, "k", text);
    EXPECT_STR(text, "");
    put(s, "k", "c", "3"); /* and the next one works */
    all(s, "k", text);
    EXPECT_STR(text, "c=3;");
    store_free(s);
    place_close(&p);
}

static void write_file(const char *path, const void *data, size_t n)
{
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);

    EXPECT(fd >= 0);
    EXPECT_EQ(write(fd, data, n), (ssize_t)n);
    close(fd);
}

static void refused(struct place *p, int err, const char *word)
{
    struct store *s = NULL;

    EXPECT_EQ(store_open(&s, p->path, p->error), err);
    EXPECT(s == NULL);
    EXPECT(strstr(p->error, word) != NULL && strstr(p->error, p->path) != NULL);
    EXPECT(strchr(p->error, '\n') == NULL);
}

TEST(what_is_no_database_is_said_so_and_left_alone)
{
    static char junk[8192];
    struct place p;
    struct stat st;

    place_open(&p);
    memset(junk, 'x', sizeof junk);
    write_file(p.path, junk, sizeof junk);
    refused(&p, E_MALFORMED, "is damaged");
    EXPECT_EQ(stat(p.path, &st), 0);
    EXPECT_EQ(st.st_size, sizeof junk);
    place_close(&p);
}

TEST(a_damaged_page_is_found_at_the_start)
{
    struct place p;
    char id[16];
    uint8_t page[4096] = {0x5a};

    place_open(&p);
    struct store *s = must_open(&p);
    for (int i = 0; i < 400; i++) {
        (void)snprintf(id, sizeof id, "id%d", i);
        put(s, "k", id, "a body that takes a little room in its page, so that there are several");
    }
    store_free(s); /* the journal is folded in */
    memset(page, 0x5a, sizeof page);
    int fd = open(p.path, O_RDWR);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, page, sizeof page, 4096L * 2), sizeof page);
    close(fd);
    refused(&p, E_MALFORMED, "is damaged");
    place_close(&p);
}

TEST(another_program_s_or_a_later_version_s_file_is_refused)
{
    struct place p;
    uint8_t number[4];

    place_open(&p);
    store_free(must_open(&p));
    int fd = open(p.path, O_RDWR);
    EXPECT(fd >= 0);
    memcpy(number, "\0\0\0\x63", 4);
    EXPECT_EQ(pwrite(fd, number, 4, 60), 4); /* user_version of the file format */
    refused(&p, E_UNSUPPORTED, "later version");
    EXPECT_EQ(pwrite(fd, number, 4, 68), 4); /* application_id */
    refused(&p, E_MISMATCH, "another program");
    close(fd);
    place_close(&p);
}

TEST(a_folder_that_is_not_there_is_named)
{
    struct place p;

    place_open(&p);
    char path[96];
    memcpy(path, p.path, sizeof path);
    (void)snprintf(p.path, sizeof p.path, "%s/no/sluice.db", p.dir);
    refused(&p, E_NOENT, "cannot open");
    memcpy(p.path, path, sizeof path);
    place_close(&p);
}
