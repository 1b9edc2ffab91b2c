/* app/samples.h - the two clips that the executable carries (assets/README.md). */
#ifndef APP_SAMPLES_H
#define APP_SAMPLES_H

#include "base/base.h"

struct bytes samples_video(void); /* VP8 in IVF, 640x360, 6 s */
struct bytes samples_audio(void); /* Opus in Ogg, 440 Hz, 6 s */

#endif
