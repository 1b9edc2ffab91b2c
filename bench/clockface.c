/* Raw video whose pictures say when they were painted: `clockface WIDTH HEIGHT FPS` writes yuv420p
 * frames to standard output in real time, until the pipe closes.
 *
 * Across the top 32 rows stand 50 cells: white, black, then 48 bits of Unix time in milliseconds,
 * the highest first.  Whoever shows the picture reads them back and subtracts.  Below moves a
 * pattern that gives an encoder about as much work as a talking head. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CELLS = 50, BITS = 48, ROWS = 32 };

struct face {
    unsigned w, h;
    uint8_t *frame; /* planes Y, U, V */
    size_t len;
};

static int64_t unix_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void paint_clock(struct face *f, int64_t ms)
{
    for (unsigned x = 0; x < f->w; x++) {
        unsigned cell = x * CELLS / f->w;
        int on = cell == 0 || (cell >= 2 && (ms >> (BITS - 1 - (cell - 2)) & 1));
        f->frame[x] = on ? 235 : 16;
    }
    for (unsigned y = 1; y < ROWS && y < f->h; y++)
        memcpy(f->frame + (size_t)y * f->w, f->frame, f->w);
}

/* A box with texture that wanders over a still background. */
static void paint_scene(struct face *f, unsigned n)
{
    unsigned side = f->h / 3, bx = n * 5 % (f->w - side), by = ROWS + n * 3 % (f->h - ROWS - side);

    for (unsigned y = ROWS; y < f->h; y++)
        for (unsigned x = 0; x < f->w; x++)
            f->frame[(size_t)y * f->w + x] = (uint8_t)(60 + (x + 2 * y) / 16 % 80);
    for (unsigned y = 0; y < side; y++)
        for (unsigned x = 0; x < side; x++)
            f->frame[(size_t)(by + y) * f->w + bx + x] = (uint8_t)(100 + ((x ^ y) & 63) * 2);
}

static int write_all(const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct face f = {0};
    struct timespec due;
    long fps;

    if (argc != 4 || (f.w = (unsigned)strtoul(argv[1], NULL, 10)) < 200 || f.w % 2 != 0 ||
        (f.h = (unsigned)strtoul(argv[2], NULL, 10)) < 120 || f.h % 2 != 0 ||
        (fps = strtol(argv[3], NULL, 10)) < 1 || fps > 120) {
        fprintf(stderr, "usage: clockface WIDTH HEIGHT FPS\n");
        return 2;
    }
    f.len = (size_t)f.w * f.h * 3 / 2;
    f.frame = malloc(f.len);
    if (f.frame == NULL)
        return 1;
    memset(f.frame, 128, f.len);
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (unsigned n = 0;; n++) {
        paint_scene(&f, n);
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        paint_clock(&f, unix_ms());
        if (write_all(f.frame, f.len) != 0)
            break;
        due.tv_nsec += 1000000000 / fps;
        if (due.tv_nsec >= 1000000000) {
            due.tv_nsec -= 1000000000;
            due.tv_sec++;
        }
    }
    free(f.frame);
    return 0;
}
