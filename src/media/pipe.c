#include "media/pipe.h"

#include "base/mem.h"
#include "wire/childpipe.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <stdio.h>
#include <unistd.h>

enum {
    BITRATE_BPS = 128000,
    QUEUED_BYTES_MAX = 64 << 10, /* in appsrc: two seconds of sound */
};

struct pipe {
    GstElement *pipeline, *src, *dec, *convert, *resample, *caps, *enc, *sink;
    GstBus *bus;
    bool configured;
    int fd;
    uint8_t buf[CHILDPIPE_RECORD_MAX];
};

static const struct {
    const char *file, *package;
} plugins[] = {
    {"libgstcoreelements.so", "libgstreamer1.0-0"},
    {"libgstapp.so", "gstreamer1.0-plugins-base"},
    {"libgstaudioconvert.so", "gstreamer1.0-plugins-base"},
    {"libgstaudioresample.so", "gstreamer1.0-plugins-base"},
    {"libgstopus.so", "gstreamer1.0-plugins-base"},
    {"libgstlibav.so", "gstreamer1.0-libav"},
};

/* Also where the file is there and stale: then its factory is not. */
static bool load_all(const char *dir, const char **missing, const char **package)
{
    char path[512];

    for (size_t i = 0; i < ARRAY_LEN(plugins); i++) {
        *missing = plugins[i].file;
        *package = plugins[i].package;
        int n = snprintf(path, sizeof path, "%s/%s", dir, plugins[i].file);
        if (n < 0 || (size_t)n >= sizeof path)
            return false;
        GstPlugin *plugin = gst_plugin_load_file(path, NULL);
        if (plugin == NULL)
            return false;
        gst_registry_add_plugin(gst_registry_get(), plugin);
        gst_object_unref(plugin);
    }
    return true;
}

static GstElement *make(struct pipe *p, const char *factory, size_t plugin, const char **missing,
                        const char **package)
{
    GstElement *e = gst_element_factory_make(factory, NULL);

    if (e == NULL && *missing == NULL) {
        *missing = plugins[plugin].file;
        *package = plugins[plugin].package;
    }
    if (e != NULL)
        gst_bin_add(GST_BIN(p->pipeline), e);
    return e;
}

struct pipe *pipe_load(const char *dir, const char **missing, const char **package)
{
    struct pipe *p = mem_zero(sizeof *p);

    if (p == NULL || !load_all(dir, missing, package)) {
        mem_free(p);
        return NULL;
    }
    *missing = NULL;
    p->fd = -1;
    p->pipeline = gst_pipeline_new(NULL);
    p->src = make(p, "appsrc", 1, missing, package);
    p->dec = make(p, "avdec_aac", 5, missing, package);
    p->convert = make(p, "audioconvert", 2, missing, package);
    p->resample = make(p, "audioresample", 3, missing, package);
    p->caps = make(p, "capsfilter", 0, missing, package);
    p->enc = make(p, "opusenc", 4, missing, package);
    p->sink = make(p, "appsink", 1, missing, package);
    if (*missing != NULL) {
        pipe_free(p);
        return NULL;
    }
    p->bus = gst_element_get_bus(p->pipeline);
    return p;
}

/* All of it, or false: the job is gone. */
static bool write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* On GStreamer's streaming thread: the one that writes. */
static GstFlowReturn on_packet(GstAppSink *sink, gpointer user)
{
    struct pipe *p = user;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstBuffer *buffer = sample != NULL ? gst_sample_get_buffer(sample) : NULL;
    struct wr w = wr_of(p->buf, sizeof p->buf);
    bool fine = true;
    GstMapInfo map;

    if (buffer != NULL && GST_BUFFER_PTS_IS_VALID(buffer) &&
        gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        struct childpipe_record rec = {
            .kind = CHILDPIPE_OPUS,
            .pts_us = (us_t)(GST_BUFFER_PTS(buffer) / 1000),
            .body = bytes_of(map.data, size_min(map.size, CHILDPIPE_BODY_MAX)),
        };
        childpipe_write(&w, &rec);
        fine = write_all(p->fd, p->buf, wr_len(&w));
        gst_buffer_unmap(buffer, &map);
    }
    if (sample != NULL)
        gst_sample_unref(sample);
    return fine ? GST_FLOW_OK : GST_FLOW_EOS;
}

bool pipe_start(struct pipe *p, int fd)
{
    GstAppSinkCallbacks callbacks = {.new_sample = on_packet};
    GstCaps *raw = gst_caps_from_string("audio/x-raw,rate=48000,channels=[1,2]");

    p->fd = fd;
    g_object_set(p->caps, "caps", raw, NULL);
    gst_caps_unref(raw);
    g_object_set(p->src, "format", GST_FORMAT_TIME, "max-bytes", (guint64)QUEUED_BYTES_MAX, "block",
                 TRUE, NULL);
    g_object_set(p->dec, "max-errors", -1, NULL); /* a broken frame is one frame */
    g_object_set(p->enc, "bitrate", BITRATE_BPS, "frame-size", 20, NULL);
    g_object_set(p->sink, "sync", FALSE, NULL);
    gst_app_sink_set_callbacks(GST_APP_SINK(p->sink), &callbacks, p, NULL);
    if (!gst_element_link_many(p->src, p->dec, p->convert, p->resample, p->caps, p->enc, p->sink,
                               NULL))
        return false;
    return gst_element_set_state(p->pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE;
}

void pipe_free(struct pipe *p)
{
    if (p == NULL)
        return;
    gst_element_set_state(p->pipeline, GST_STATE_NULL);
    if (p->bus != NULL)
        gst_object_unref(p->bus);
    gst_object_unref(p->pipeline);
    mem_free(p);
}

void pipe_config(struct pipe *p, struct bytes config)
{
    GstBuffer *data = gst_buffer_new_memdup(config.p, config.len);
    GstCaps *caps = gst_caps_new_simple("audio/mpeg", "mpegversion", G_TYPE_INT, 4, "framed",
                                        G_TYPE_BOOLEAN, TRUE, "stream-format", G_TYPE_STRING, "raw",
                                        "codec_data", GST_TYPE_BUFFER, data, NULL);

    gst_app_src_set_caps(GST_APP_SRC(p->src), caps);
    gst_caps_unref(caps);
    gst_buffer_unref(data);
    p->configured = true;
}

void pipe_push(struct pipe *p, us_t pts_us, struct bytes frame)
{
    if (!p->configured || frame.len == 0 || pts_us < 0)
        return;
    GstBuffer *b = gst_buffer_new_memdup(frame.p, frame.len);
    GST_BUFFER_PTS(b) = (GstClockTime)pts_us * 1000;
    (void)gst_app_src_push_buffer(GST_APP_SRC(p->src), b); /* a fault shows on the bus */
}

bool pipe_failed(struct pipe *p, char *text, size_t cap)
{
    GstMessage *m = gst_bus_pop_filtered(p->bus, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    GError *err = NULL;

    if (m == NULL)
        return false;
    if (GST_MESSAGE_TYPE(m) == GST_MESSAGE_ERROR)
        gst_message_parse_error(m, &err, NULL);
    (void)snprintf(text, cap, "%s", err != NULL ? err->message : "the other side is gone");
    g_clear_error(&err);
    gst_message_unref(m);
    return true;
}
