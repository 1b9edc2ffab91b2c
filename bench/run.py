#!/usr/bin/env python3
"""make bench: what a forwarded packet and a subscriber cost, on loopback, printed as tables.

Server pinned to the last CPU, everything else to the first.  For each row the floor (bare sends
of the same packets in as many messages as the server used) is measured right after; rows are
interleaved over the repeats and the median is printed with its minimum and maximum.  Some windows
in which others kept the server waiting for its CPU are measured again; rows that still hold such a
window are marked.

    run.py [BUILD] [--quick] [--only 200:GCM:bursts,...]
"""
import json, os, re, signal, statistics, subprocess, sys, time, urllib.request

ARGS = [a for a in sys.argv[1:] if not a.startswith("--") and ":" not in a]
BUILD = ARGS[0] if ARGS else "build"
QUICK = "--quick" in sys.argv
ONLY = sys.argv[sys.argv.index("--only") + 1].split(",") if "--only" in sys.argv else None
COUNTS = [10, 40, 200] if QUICK else [1, 10, 40, 200, 500]
REPEATS = 1 if QUICK else 3
SECONDS = 3
WAIT_MAX = 0.05  # share of a window that the server's threads may stand in the queue for the CPU
RETRIES = 0 if QUICK else 10  # windows measured again, of all: the whole takes ten minutes or so
KEY, SECRET = "devkey", "secret-of-the-benchmark-0123456789abcdef"
LAST = os.cpu_count() - 1
BURST = 9


def pinned(cpu, *args):
    return ["taskset", "-c", str(cpu), *args]


def start_server():
    r, w = os.pipe()
    t0 = time.monotonic()
    p = subprocess.Popen(
        pinned(LAST, f"{BUILD}/sluice", "server", "--bind", "127.0.0.1", "--node-ip", "127.0.0.1",
               "--port", "0", "--udp-port", "0", "--rtc.tcp_port", "0", "--workers", "1",
               "--prometheus-port", "0", "--keys", f"{KEY}: {SECRET}", "--ready-fd", str(w)),
        pass_fds=[w], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(w)
    ready = json.loads(os.read(r, 4096).decode())
    took = time.monotonic() - t0
    os.close(r)
    return p, ready, took


def private_dirty_kb(pid):
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return int(re.search(r"Private_Dirty:\s+(\d+)", text).group(1))


def counters(port):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    c = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            c[name] = float(value)
    return {
        "tx": sum(v for k, v in c.items() if k.startswith('livekit_packet_total{direction="outgoing"')),
        "rx": c['livekit_packet_total{direction="incoming",transmission="initial"}'],
        "rounds": c["sluice_worker_rounds_total"],
        "recv": c['sluice_udp_calls_total{direction="incoming"}'],
        "send": c['sluice_udp_calls_total{direction="outgoing"}'],
        "messages": c['sluice_udp_messages_total{direction="outgoing"}'],
    }


def load(ready, pid, n, spread, sha1):
    args = pinned(0, f"{BUILD}/bench/bench-load", "--port", str(ready["http"]), "--key", KEY, "--secret", SECRET,
                  "--server-pid", str(pid), "--subscribers", str(n), "--seconds", str(SECONDS),
                  "--per-frame", str(BURST))
    args += ["--spread"] if spread else []
    args += ["--sha1"] if sha1 else []
    p = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    seen = []
    for line in p.stdout:
        if line.startswith("{"):
            got = json.loads(line)
        else:
            seen.append(counters(ready["metrics"]))
    if p.wait() not in (0, 3) or len(seen) != 2:
        sys.exit("bench-load failed")
    got["io"] = {k: seen[1][k] - seen[0][k] for k in seen[0]}
    return got


def floor(n, spread, messages_of_burst):
    burst, per_s = (1, 30 * BURST) if spread else (BURST, 30)
    pieces = min(max(round(100 * messages_of_burst), 100), 100 * burst)
    out = subprocess.run(pinned(LAST, f"{BUILD}/bench/bench-floor", str(n), str(burst), str(per_s), str(pieces)),
                         capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def mid(values):
    return f"{statistics.median(values):6.0f} ({min(values):.0f}..{max(values):.0f})"


def one(n, spread, sha1):
    """A fresh server for each row, so that memory counts from the same start."""
    server, ready, took = start_server()
    try:
        time.sleep(0.3)
        idle = private_dirty_kb(server.pid)
        got = load(ready, server.pid, n, spread, sha1)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)
    messages = 1 if spread else BURST * got["io"]["messages"] / got["io"]["tx"]
    return got, floor(n, spread, messages), took * 1000, idle


def one_quiet(n, spread, sha1):
    global RETRIES
    best = one(n, spread, sha1)
    if RETRIES > 0 and best[0]["wait_share"] > WAIT_MAX:
        RETRIES -= 1
        best = min(best, one(n, spread, sha1), key=lambda r: r[0]["wait_share"])
    return best


def name(row):
    n, sha1, spread = row
    return f"{n:11d} {'SHA1' if sha1 else 'GCM ':6s} {'singles' if spread else 'bursts '}"


def print_costs(rows):
    print("\nsubscribers cipher pace    ns/packet              floor                  above the floor        "
          "delay p50/p99 us  delivered")
    for row, runs in sorted(rows.items()):
        raw = [r[0]["ns_per_packet"] for r in runs]
        bare = [r[1]["ns"] for r in runs]
        above = [r[0]["ns_per_packet"] - r[1]["ns"] for r in runs]
        p50, p99 = (statistics.median(r[0][k] for r in runs) for k in ("delay_p50_us", "delay_p99_us"))
        part = 100 * sum(r[0]["delivered"] for r in runs) / sum(r[0]["due"] for r in runs)
        noisy = " ~" if max(r[0]["wait_share"] for r in runs) > WAIT_MAX else ""
        print(f"{name(row)} {mid(raw):22s} {mid(bare):22s} {mid(above):22s} "
              f"{p50:7.0f}/{p99:<8.0f} {part:7.2f} %{noisy}")
    print(f"~: others kept the server waiting for more than {WAIT_MAX * 100:.0f} % of a window")


def print_calls(rows):
    print("\nsubscribers cipher pace    packets/message  messages/sendmmsg  packets in/recvmmsg  rounds/s")
    for row, runs in sorted(rows.items()):
        io = {k: sum(r[0]["io"][k] for r in runs) for k in runs[0][0]["io"]}
        seconds = sum(r[0]["io"]["tx"] / max(r[0]["pps_out"], 1) for r in runs)
        print(f"{name(row)} {io['tx'] / io['messages']:10.2f} {io['messages'] / io['send']:18.1f} "
              f"{io['rx'] / io['recv']:19.2f} {io['rounds'] / seconds:13.0f}")


def slope(points):
    """Least squares."""
    n = len(points)
    x, y = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    return sum((p[0] - x) * (p[1] - y) for p in points) / sum((p[0] - x) ** 2 for p in points)


def print_memory(rows):
    kb = sorted((n, statistics.median(r[0]["private_kb"] for r in runs))
                for (n, sha1, spread), runs in rows.items() if not sha1 and not spread and n >= 10)
    if len(kb) > 1:
        print(f"\nprivate memory by subscribers: {', '.join(f'{n}: {v:.0f} kB' for n, v in kb)}; "
              f"{slope(kb):.1f} kB a subscriber")


def main():
    os.sched_setaffinity(0, {0})
    want = [(n, sha1, spread) for n in COUNTS for sha1 in (False, True) for spread in (False, True)]
    if ONLY:
        want = [(int(n), c == "SHA1", p == "singles") for n, c, p in (o.split(":") for o in ONLY)]
    rows = {}
    for repeat in range(REPEATS):
        for row in want:
            n, sha1, spread = row
            rows.setdefault(row, []).append(one_quiet(n, spread, sha1))
            got, bare = rows[row][-1][:2]
            print(f"# {repeat + 1}/{REPEATS} {name(row)} {got['ns_per_packet']:.0f} - {bare['ns']:.0f}, "
                  f"waited {got['wait_share'] * 100:.1f} %", file=sys.stderr, flush=True)
    every = [r for runs in rows.values() for r in runs]
    print(f"start-up to ready: {mid([r[2] for r in every])} ms; idle private dirty: {mid([r[3] for r in every])} kB")
    print_costs(rows)
    print_calls(rows)
    print_memory(rows)


main()
