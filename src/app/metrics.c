#include "app/metrics.h"

#include <stdio.h>
#include <unistd.h>

static void add(struct str *s, const char *name, const char *type, const char *labels, uint64_t v)
{
    if (type != NULL)
        str_printf(s, "# TYPE %s %s\n", name, type);
    str_printf(s, "%s%s %llu\n", name, labels, (unsigned long long)v);
}

static void add_packets(struct str *s, const uint64_t *c)
{
    add(s, "livekit_packet_total", "counter", "{direction=\"incoming\",transmission=\"initial\"}",
        c[SHARD_RX_PACKETS]);
    add(s, "livekit_packet_total", NULL, "{direction=\"outgoing\",transmission=\"initial\"}",
        c[SHARD_TX_PACKETS] - c[SHARD_TX_RTX]);
    add(s, "livekit_packet_total", NULL, "{direction=\"outgoing\",transmission=\"retransmit\"}",
        c[SHARD_TX_RTX]);
    add(s, "livekit_packet_bytes", "counter", "{direction=\"incoming\",transmission=\"initial\"}",
        c[SHARD_RX_BYTES]);
    add(s, "livekit_packet_bytes", NULL, "{direction=\"outgoing\",transmission=\"initial\"}",
        c[SHARD_TX_BYTES]);
    add(s, "sluice_red_recovered_total", "counter", "", c[SHARD_RED_FILLED]);
    add(s, "livekit_nack_total", "counter", "{direction=\"incoming\"}", c[SHARD_NACK_IN]);
    add(s, "livekit_nack_total", NULL, "{direction=\"outgoing\"}", c[SHARD_NACK_OUT]);
    add(s, "livekit_pli_total", "counter", "{direction=\"incoming\"}", c[SHARD_PLI_IN]);
    add(s, "livekit_pli_total", NULL, "{direction=\"outgoing\"}", c[SHARD_PLI_OUT]);
}

/* How well the workers batch: packets for each of these is what a call or a wake-up buys. */
static void add_io(struct str *s, const uint64_t *c)
{
    add(s, "sluice_worker_rounds_total", "counter", "", c[SHARD_IO_WAKES]);
    add(s, "sluice_udp_calls_total", "counter", "{direction=\"incoming\"}", c[SHARD_IO_RECV_CALLS]);
    add(s, "sluice_udp_calls_total", NULL, "{direction=\"outgoing\"}", c[SHARD_IO_SEND_CALLS]);
    add(s, "sluice_udp_messages_total", "counter", "{direction=\"outgoing\"}",
        c[SHARD_IO_MESSAGES]);
}

static void add_drops(struct str *s, const uint64_t *c)
{
    static const struct {
        enum shard_counter counter;
        const char *reason;
    } drops[] = {
        {SHARD_DROP_UNKNOWN_PEER, "unknown_peer"},
        {SHARD_DROP_MALFORMED, "malformed"},
        {SHARD_DROP_UNAUTHENTICATED, "unauthenticated"},
        {SHARD_DROP_REPLAYED, "replayed"},
        {SHARD_DROP_UNKNOWN_SSRC, "unknown_ssrc"},
        {SHARD_DROP_OVERSIZED, "oversized"},
        {SHARD_DROP_STATE, "state"},
        {SHARD_SHED_TX_FULL, "tx_full"},
        {SHARD_SHED_RELAY_FULL, "relay_full"},
        {SHARD_STALE_COMMAND, "stale_command"},
        {SHARD_EVENT_LOST, "event_lost"},
    };
    char labels[64];

    for (size_t i = 0; i < ARRAY_LEN(drops); i++) {
        (void)snprintf(labels, sizeof labels, "{reason=\"%s\"}", drops[i].reason);
        add(s, "sluice_dropped_total", i == 0 ? "counter" : NULL, labels, c[drops[i].counter]);
    }
}

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    (void)fclose(f); /* read only */
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void metrics_add(struct str *s, const uint64_t shard[SHARD_COUNTER_N], uint32_t connections,
                 uint64_t refused)
{
    add_packets(s, shard);
    add_io(s, shard);
    add_drops(s, shard);
    add(s, "sluice_peers", "gauge", "", shard[SHARD_PEERS]);
    add(s, "sluice_tracks", "gauge", "", shard[SHARD_TRACKS]);
    add(s, "sluice_subscriptions", "gauge", "", shard[SHARD_SUBS]);
    add(s, "sluice_packet_slots_used", "gauge", "", shard[SHARD_PKTS_USED]);
    add(s, "sluice_http_connections", "gauge", "", connections);
    add(s, "sluice_http_refused_total", "counter", "", refused);
    add(s, "process_resident_memory_bytes", "gauge", "", resident_bytes());
}

void metrics_add_tcp(struct str *s, const uint64_t gate[GATE_COUNTER_N],
                     const uint64_t streams[FRAMED_COUNTER_N])
{
    const struct {
        const char *reason;
        uint64_t n;
    } ends[] = {
        {"timed_out", gate[GATE_TIMED_OUT]},
        {"crowded_out", gate[GATE_CROWDED_OUT]},
        {"closed_early", gate[GATE_CLOSED]},
        {"malformed", gate[GATE_MALFORMED] + streams[FRAMED_MALFORMED]},
        {"refused", gate[GATE_REFUSED] + streams[FRAMED_REFUSED]},
        {"unproven", streams[FRAMED_UNPROVEN]},
        {"closed", streams[FRAMED_CLOSED]},
        {"idle", streams[FRAMED_IDLE]},
    };
    char labels[64];

    add(s, "sluice_media_tcp_connections", "gauge", "", streams[FRAMED_OPEN]);
    add(s, "sluice_media_tcp_accepted_total", "counter", "", gate[GATE_ACCEPTED]);
    add(s, "sluice_media_tcp_shed_total", "counter", "", streams[FRAMED_SHED]);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        (void)snprintf(labels, sizeof labels, "{reason=\"%s\"}", ends[i].reason);
        add(s, "sluice_media_tcp_ended_total", i == 0 ? "counter" : NULL, labels, ends[i].n);
    }
}

void metrics_add_strays(struct str *s, const uint64_t strays[STRAY_COUNTER_N])
{
    add(s, "sluice_strays_total", "counter", "", strays[STRAY_GIVEN]);
    add(s, "sluice_strays_shed_total", "counter", "", strays[STRAY_SHED]);
    add(s, "sluice_connected_sockets", "gauge", "", strays[STRAY_LANES]);
}
