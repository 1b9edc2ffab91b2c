#include "app/samples.h"

/* ASSETS_DIR comes from the build. */
__asm__(".section .rodata\n"
        ".global samples_ivf_start, samples_ivf_end, samples_ogg_start, samples_ogg_end\n"
        "samples_ivf_start:\n.incbin \"" ASSETS_DIR "/sample.ivf\"\nsamples_ivf_end:\n"
        "samples_ogg_start:\n.incbin \"" ASSETS_DIR "/sample.ogg\"\nsamples_ogg_end:\n"
        ".byte 0\n.previous\n");

extern const uint8_t samples_ivf_start[], samples_ivf_end[];
extern const uint8_t samples_ogg_start[], samples_ogg_end[];

struct bytes samples_video(void)
{
    return bytes_of(samples_ivf_start, (size_t)(samples_ivf_end - samples_ivf_start));
}

struct bytes samples_audio(void)
{
    return bytes_of(samples_ogg_start, (size_t)(samples_ogg_end - samples_ogg_start));
}
