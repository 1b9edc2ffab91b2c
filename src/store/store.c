#include "store/store.h"

#include "base/err.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x736c7563, /* "sluc": not another program's file */
    SCHEMA_VERSION = 1,
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *put, *erase, *walk;
};

static int refuse(char error[STORE_ERROR_MAX], int err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int refuse(char error[STORE_ERROR_MAX], int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(error, STORE_ERROR_MAX, fmt, ap); /* may be cut */
    va_end(ap);
    return err;
}

/* SQLite's reasons as ours. */
static int reason(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_NOMEM:
        return E_NOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return E_AGAIN;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return E_MALFORMED;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_IOERR:
        return -EIO;
    default:
        return E_LIBRARY;
    }
}

/* ---- opening ---- */

/* SQLite would make the file by the umask; its journals get the file's mode. */
static int make_file(const char *path, char error[STORE_ERROR_MAX])
{
    struct stat st;

    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return refuse(error, -errno, "cannot open the database %s: %s", path, err_text(-errno));
    int err = fstat(fd, &st) < 0 ? -errno : 0;
    if (err == 0 && !S_ISREG(st.st_mode))
        err = E_INVAL;
    if (err == 0 && (st.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
        err = -errno;
    close(fd);
    return err == 0 ? 0
                    : refuse(error, err, "the database %s: %s", path,
                             err == E_INVAL ? "not a file" : err_text(err));
}

static int number(struct store *s, const char *sql, int *out)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int(q, 0);
    (void)sqlite3_finalize(q); /* repeats what step said */
    return reason(rc);
}

/* "ok", or the first of what is wrong. */
static int check_pages(struct store *s)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &q, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    int err = reason(rc);
    if (rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(q, 0), "ok") != 0)
        err = E_MALFORMED;
    (void)sqlite3_finalize(q); /* repeats what step said */
    return err;
}

static int make_schema(struct store *s)
{
    char sql[512];

    (void)snprintf(sql, sizeof sql,
                   "BEGIN IMMEDIATE; PRAGMA application_id=%d; PRAGMA user_version=%d;"
                   "CREATE TABLE record(kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,"
                   " PRIMARY KEY(kind, id)) WITHOUT ROWID; COMMIT",
                   APPLICATION_ID, SCHEMA_VERSION);
    return reason(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

/* Whose file it is, and whether we may write it. */
static int check_schema(struct store *s, const char *path, char error[STORE_ERROR_MAX])
{
    int id = 0, version = 0, tables = 0;

    int err = number(s, "PRAGMA application_id", &id);
    if (err == 0)
        err = number(s, "PRAGMA user_version", &version);
    if (err == 0)
        err = number(s, "SELECT count(*) FROM sqlite_schema", &tables);
    if (err == 0 && sqlite3_db_readonly(s->db, "main") == 1)
        err = -EROFS;
    if (err == 0 && id == 0 && version == 0 && tables == 0)
        err = make_schema(s);
    else if (err == 0 && id != APPLICATION_ID)
        return refuse(error, E_MISMATCH, "%s is a database of another program", path);
    else if (err == 0 && version > SCHEMA_VERSION)
        return refuse(error, E_UNSUPPORTED,
                      "%s was written by a later version of sluice (%d, this one knows %d)", path,
                      version, SCHEMA_VERSION);
    if (err == 0)
        err = check_pages(s);
    if (err == E_MALFORMED)
        return refuse(error, err,
                      "the database %s is damaged; move it away to start with an empty one", path);
    if (err == -EROFS)
        return refuse(error, err, "the database %s cannot be written", path);
    if (err == E_AGAIN)
        return refuse(error, err, "the database %s is held by another process", path);
    return err == 0 ? 0 : refuse(error, err, "the database %s: %s", path, sqlite3_errmsg(s->db));
}

static int prepare(struct store *s)
{
    static const char put[] = "INSERT INTO record(kind, id, body) VALUES(?1, ?2, ?3)"
                              " ON CONFLICT(kind, id) DO UPDATE SET body = excluded.body";
    int rc = sqlite3_prepare_v2(s->db, put, -1, &s->put, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(s->db, "DELETE FROM record WHERE kind = ?1 AND id = ?2", -1,
                                &s->erase, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(s->db, "SELECT id, body FROM record WHERE kind = ?1 ORDER BY id",
                                -1, &s->walk, NULL);
    return reason(rc);
}

int store_open(struct store **ret, const char *path, char error[STORE_ERROR_MAX])
{
    /* FULL: what was answered holds after a power cut too; secure_delete: keys that were taken
     * away are not left in free pages. */
    static const char settings[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                   "PRAGMA secure_delete=ON; PRAGMA trusted_schema=OFF";
    struct store *s = mem_zero(sizeof *s);
    int err;

    if (s == NULL)
        return refuse(error, E_NOMEM, "out of memory");
    err = make_file(path, error);
    if (err == 0 && sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                    NULL) != SQLITE_OK)
        err = refuse(error, -EACCES, "cannot open the database %s: %s", path,
                     s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
    if (err == 0) {
        (void)sqlite3_extended_result_codes(s->db, 1);    /* cannot fail on an open one */
        (void)sqlite3_busy_timeout(s->db, STORE_BUSY_MS); /* the same */
        err = check_schema(s, path, error);
    }
    if (err == 0 && ((err = reason(sqlite3_exec(s->db, settings, NULL, NULL, NULL))) != 0 ||
                     (err = prepare(s)) != 0))
        (void)refuse(error, err, "the database %s: %s", path, sqlite3_errmsg(s->db));
    if (err != 0) {
        store_free(s);
        return err;
    }
    *ret = s;
    return 0;
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    (void)sqlite3_finalize(s->put); /* NULL allowed; repeats an old error */
    (void)sqlite3_finalize(s->erase);
    (void)sqlite3_finalize(s->walk);
    (void)sqlite3_close(s->db); /* no statement is left */
    mem_free(s);
}

/* ---- records ---- */

bool store_next(struct store *s, const char *kind, bool first, struct bytes *id, struct bytes *body,
                int *err)
{
    int rc = SQLITE_OK;

    *err = 0;
    if (first) {
        (void)sqlite3_reset(s->walk); /* an old error is not ours */
        rc = sqlite3_bind_text(s->walk, 1, kind, -1, SQLITE_TRANSIENT);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s->walk);
    if (rc == SQLITE_ROW) {
        *id = bytes_of(sqlite3_column_text(s->walk, 0), (size_t)sqlite3_column_bytes(s->walk, 0));
        *body = bytes_of(sqlite3_column_blob(s->walk, 1), (size_t)sqlite3_column_bytes(s->walk, 1));
        return true;
    }
    *err = reason(rc);
    (void)sqlite3_reset(s->walk); /* repeats what step said */
    return false;
}

int store_begin(struct store *s)
{
    return reason(sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
}

static void roll_back(struct store *s)
{
    if (sqlite3_get_autocommit(s->db) == 0)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL); /* it ends in any case */
}

int store_apply(struct store *s, const struct store_op *op)
{
    sqlite3_stmt *q = op->erase ? s->erase : s->put;

    if (op->body.len > STORE_BODY_MAX || strlen(op->id) >= STORE_ID_MAX ||
        strlen(op->kind) >= STORE_KIND_MAX) {
        roll_back(s);
        return E_TOO_LARGE;
    }
    int rc = sqlite3_bind_text(q, 1, op->kind, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 2, op->id, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK && !op->erase)
        rc = sqlite3_bind_blob(q, 3, op->body.len > 0 ? (const void *)op->body.p : "",
                               (int)op->body.len, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    (void)sqlite3_reset(q);          /* repeats what step said */
    (void)sqlite3_clear_bindings(q); /* cannot fail */
    int err = reason(rc);
    if (err != 0)
        roll_back(s);
    return err;
}

int store_commit(struct store *s)
{
    int err = reason(sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL));

    if (err != 0)
        roll_back(s);
    return err;
}

const char *store_error(const struct store *s)
{
    return sqlite3_errmsg(s->db);
}
