/* media/pipe.h - AAC frames in, Opus packets of 20 ms out: GStreamer's part.
 *
 * avdec_aac, audioconvert, audioresample, opusenc between an appsrc and an appsink.  Packets are
 * handed to `write` on GStreamer's own thread.  Only this process's main uses it.
 */
#ifndef MEDIA_PIPE_H
#define MEDIA_PIPE_H

#include "base/base.h"

struct pipe;

/* Loads plugins from `dir` by name.  NULL: *missing says which file was not to be loaded, *package
 * which of Debian's packages has it. */
struct pipe *pipe_load(const char *dir, const char **missing, const char **package);
/* `fd` takes the records of packets.  False: the pipeline does not start. */
bool pipe_start(struct pipe *p, int fd);
void pipe_free(struct pipe *p);

/* AudioSpecificConfig: at first, and whenever it changes. */
void pipe_config(struct pipe *p, struct bytes config);
void pipe_push(struct pipe *p, us_t pts_us, struct bytes frame);
/* A fault that ended the pipeline; false: none. */
bool pipe_failed(struct pipe *p, char *text, size_t cap);

#endif
