/* app/metrics.h - the Prometheus page: counters of the node, the workers and the process. */
#ifndef APP_METRICS_H
#define APP_METRICS_H

#include "base/str.h"
#include "sfu/shard.h"

struct node;

/* Appends the workers' sums and gauges of the process. */
void metrics_add(struct str *out, const uint64_t shard[SHARD_COUNTER_N], uint32_t connections,
                 uint64_t refused);

#endif
