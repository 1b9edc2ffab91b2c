/* app/metrics.h - the Prometheus page: counters of the node, the workers and the process. */
#ifndef APP_METRICS_H
#define APP_METRICS_H

#include "app/gate.h"
#include "app/worker.h"
#include "base/str.h"
#include "io/framed.h"
#include "sfu/shard.h"

struct node;

/* Appends the workers' sums and gauges of the process. */
void metrics_add(struct str *out, const uint64_t shard[SHARD_COUNTER_N], uint32_t connections,
                 uint64_t refused);

/* Media over TCP: who came, and what became of them. */
void metrics_add_tcp(struct str *out, const uint64_t gate[GATE_COUNTER_N],
                     const uint64_t streams[FRAMED_COUNTER_N]);

/* One UDP port for all workers: what crossed between them. */
void metrics_add_strays(struct str *out, const uint64_t strays[STRAY_COUNTER_N]);

#endif
