#include "app/keeper.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "io/file.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

enum { PATH_BYTES_MAX = 4096, REPORT_RETRY_US = US_PER_MS };

/* One write on its way; owned by whoever has it out of a ring. */
struct job {
    struct store_op op; /* texts and body stand behind it */
};

struct report {
    uint64_t serial;
    int32_t err;
};

struct keeper {
    struct store *store;
    struct wake *control;
    struct wake wake; /* ours */
    struct loop *loop;
    struct ring jobs, reports;
    char dir[PATH_BYTES_MAX];
    struct job *batch[KEEPER_BATCH_MAX];
    uint32_t batch_n, told_n; /* reports of the batch that found room */
    int32_t err[KEEPER_BATCH_MAX];
    bool kick;
    atomic_bool stopping;
    pthread_t thread;
    bool started;
};

/* ---- control's half ---- */

static struct job *copy_op(const struct store_op *op)
{
    size_t kind_n = strlen(op->kind) + 1, id_n = strlen(op->id) + 1;
    struct job *j = mem_zero(sizeof *j + kind_n + id_n + op->body.len);

    if (j == NULL)
        return NULL;
    char *p = (char *)(j + 1);
    memcpy(p, op->kind, kind_n);
    memcpy(p + kind_n, op->id, id_n);
    if (op->body.len > 0)
        memcpy(p + kind_n + id_n, op->body.p, op->body.len);
    j->op = *op;
    j->op.kind = p;
    j->op.id = p + kind_n;
    j->op.body = bytes_of(p + kind_n + id_n, op->body.len);
    return j;
}

static void drop_job(struct job *j)
{
    mem_wipe((void *)(uintptr_t)j->op.body.p, j->op.body.len); /* keys are in it */
    mem_free(j);
}

int keeper_put(struct keeper *k, const struct store_op *op)
{
    struct job *j = copy_op(op);
    struct job **slot;

    if (j == NULL)
        return E_NOMEM;
    slot = ring_reserve(&k->jobs, sizeof j, false);
    if (slot == NULL) {
        drop_job(j);
        return E_LIMIT;
    }
    *slot = j;
    ring_commit(&k->jobs);
    k->kick = true;
    return 0;
}

void keeper_kick(struct keeper *k)
{
    if (k->kick)
        wake_knock(&k->wake);
    k->kick = false;
}

bool keeper_done(struct keeper *k, uint64_t *serial, int *err)
{
    struct bytes b = ring_peek(&k->reports);
    struct report r;

    if (b.p == NULL)
        return false;
    memcpy(&r, b.p, sizeof r);
    ring_release(&k->reports);
    *serial = r.serial;
    *err = r.err;
    return true;
}

bool keeper_has_done(const struct keeper *k)
{
    return !ring_empty(&k->reports);
}

/* ---- the thread ---- */

static int write_file(const struct keeper *k, const struct store_op *op)
{
    char path[PATH_BYTES_MAX + STORE_ID_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", k->dir, op->id); /* both fit */
    return file_write(path, op->body, 0600);
}

static int apply_one(struct keeper *k, const struct store_op *op)
{
    if (strcmp(op->kind, "file") == 0)
        return write_file(k, op);
    int err = store_begin(k->store);
    if (err == 0)
        err = store_apply(k->store, op);
    if (err == 0)
        err = store_commit(k->store);
    if (err < 0)
        LOG_E("store", "record=%s/%s error=\"%s\" reason=\"%s\"", op->kind, op->id, err_text(err),
              store_error(k->store));
    return err;
}

/* All of them in one go; negative: none of them holds. */
static int apply_all(struct keeper *k)
{
    int err = store_begin(k->store);

    for (uint32_t i = 0; i < k->batch_n && err == 0; i++) {
        if (strcmp(k->batch[i]->op.kind, "file") != 0)
            err = store_apply(k->store, &k->batch[i]->op);
    }
    return err == 0 ? store_commit(k->store) : err;
}

static void work(struct keeper *k)
{
    struct bytes b;

    while (k->batch_n < KEEPER_BATCH_MAX && (b = ring_peek(&k->jobs)).p != NULL) {
        memcpy(&k->batch[k->batch_n++], b.p, sizeof *k->batch);
        ring_release(&k->jobs);
    }
    if (k->batch_n == 0)
        return;
    bool whole = apply_all(k) == 0;
    for (uint32_t i = 0; i < k->batch_n; i++) {
        const struct store_op *op = &k->batch[i]->op;
        k->err[i] = whole && strcmp(op->kind, "file") != 0 ? 0 : apply_one(k, op);
    }
}

/* False: the reader must make room first. */
static bool tell(struct keeper *k)
{
    for (; k->told_n < k->batch_n; k->told_n++) {
        struct report *r = ring_reserve(&k->reports, sizeof *r, false);
        if (r == NULL)
            return false;
        *r = (struct report){.serial = k->batch[k->told_n]->op.serial, .err = k->err[k->told_n]};
        ring_commit(&k->reports);
        drop_job(k->batch[k->told_n]);
    }
    if (k->batch_n > 0)
        wake_knock(k->control);
    k->batch_n = k->told_n = 0;
    return true;
}

static void round_of(void *owner)
{
    struct keeper *k = owner;
    struct tick tick = loop_tick(k->loop);

    wake_up(&k->wake);
    bool room = tell(k);
    while (room && !ring_empty(&k->jobs)) {
        work(k);
        room = tell(k);
    }
    if (room && atomic_load_explicit(&k->stopping, memory_order_acquire) && ring_empty(&k->jobs)) {
        loop_stop(k->loop);
        return;
    }
    us_t at = room ? US_NEVER : tick.now + REPORT_RETRY_US;
    wake_sleep(&k->wake);
    if (room && !ring_empty(&k->jobs)) {
        wake_up(&k->wake);
        at = tick.now;
    }
    loop_alarm(k->loop, at);
}

static void *thread_main(void *arg)
{
    struct keeper *k = arg;

    loop_run(k->loop);
    return NULL;
}

/* ---- life ---- */

static int start(struct keeper *k)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are control's */
    int err = -pthread_create(&k->thread, NULL, thread_main, k);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err == 0) {
        k->started = true;
        (void)pthread_setname_np(k->thread, "keeper"); /* for top(1) only */
    }
    return err;
}

int keeper_open(struct keeper **ret, struct store *store, const char *dir, struct wake *control)
{
    struct keeper *k = mem_zero(sizeof *k);

    if (k == NULL) {
        store_free(store);
        return E_NOMEM;
    }
    k->store = store;
    k->control = control;
    int err = str_copy(k->dir, sizeof k->dir, bytes_str(dir)) ? 0 : E_TOO_LARGE;
    if (err == 0)
        err = ring_init(&k->jobs, KEEPER_RING_BYTES, 0);
    if (err == 0)
        err = ring_init(&k->reports, KEEPER_RING_BYTES, 0);
    if (err == 0)
        err = loop_open(&k->loop);
    if (err == 0) {
        k->wake.loop = k->loop;
        loop_set_round(k->loop, round_of, k);
        err = start(k);
    }
    if (err != 0) {
        keeper_close(k);
        return err;
    }
    *ret = k;
    return 0;
}

void keeper_close(struct keeper *k)
{
    uint64_t serial;
    int err;

    if (k == NULL)
        return;
    if (k->started) {
        atomic_store(&k->stopping, true);
        while (keeper_done(k, &serial, &err))
            ; /* room for the last reports */
        loop_wake(k->loop);
        (void)pthread_join(k->thread, NULL);
    }
    ring_fini(&k->jobs);
    ring_fini(&k->reports);
    if (k->loop != NULL)
        loop_free(k->loop);
    store_free(k->store);
    mem_free(k);
}
