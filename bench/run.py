#!/usr/bin/env python3
"""make bench: what a forwarded packet and a subscriber cost, on loopback, printed as a table.

Server pinned to the last CPU, load to the first.  For each row the floor (bare sends of the
same packets) is measured in the same minute; rows are interleaved over the repeats and the
median is printed with its minimum and maximum.
"""
import json, os, re, signal, statistics, subprocess, sys, time

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
QUICK = "--quick" in sys.argv
COUNTS = [10, 40, 200] if QUICK else [1, 10, 40, 200, 500]
REPEATS = 1 if QUICK else 3
SECONDS = 3 if QUICK else 8
KEY, SECRET = "devkey", "secret-of-the-benchmark-0123456789abcdef"
LAST = os.cpu_count() - 1


def pinned(cpu, *args):
    return ["taskset", "-c", str(cpu), *args]


def start_server():
    r, w = os.pipe()
    t0 = time.monotonic()
    p = subprocess.Popen(
        pinned(LAST, f"{BUILD}/sluice", "server", "--bind", "127.0.0.1", "--node-ip", "127.0.0.1",
               "--port", "0", "--udp-port", "0", "--rtc.tcp_port", "0", "--workers", "1",
               "--keys", f"{KEY}: {SECRET}", "--ready-fd", str(w)),
        pass_fds=[w], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(w)
    ready = json.loads(os.read(r, 4096).decode())
    return p, ready, time.monotonic() - t0


def private_dirty_kb(pid):
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return int(re.search(r"Private_Dirty:\s+(\d+)", text).group(1))


def load(ready, pid, n, spread, sha1):
    args = pinned(0, f"{BUILD}/bench/bench-load", "--port", str(ready["http"]), "--key", KEY, "--secret", SECRET,
                  "--server-pid", str(pid), "--subscribers", str(n), "--seconds", str(SECONDS))
    args += ["--spread"] if spread else []
    args += ["--sha1"] if sha1 else []
    out = subprocess.run(args, capture_output=True, text=True)
    if out.returncode not in (0, 3) or not out.stdout:
        sys.exit(f"bench-load failed: {out.stderr.strip()}")
    return json.loads(out.stdout)


def floor(n, spread):
    burst, per_s = (1, 270) if spread else (9, 30)
    out = subprocess.run(pinned(LAST, f"{BUILD}/bench/bench-floor", str(n), str(burst), str(per_s)),
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
    return got, floor(n, spread), took * 1000, idle


def print_rows(rows):
    print("subscribers cipher pace     ns/packet              above floor            p50/p99 delay us  delivered")
    for (n, sha1, spread), runs in sorted(rows.items()):
        raw = [r[0]["ns_per_packet"] for r in runs]
        above = [r[0]["ns_per_packet"] - r[1]["sendmmsg_ns" if spread else "segmented_ns"] for r in runs]
        p50, p99 = (statistics.median(r[0][k] for r in runs) for k in ("delay_p50_us", "delay_p99_us"))
        part = 100 * sum(r[0]["delivered"] for r in runs) / sum(r[0]["due"] for r in runs)
        print(f"{n:11d} {'SHA1' if sha1 else 'GCM ':6s} {'singles' if spread else 'bursts '} {mid(raw):22s} "
              f"{mid(above):22s} {p50:7.0f}/{p99:<7.0f} {part:7.2f} %")


def main():
    rows = {}
    for repeat in range(REPEATS):
        for n in COUNTS:
            for sha1 in (False, True):
                for spread in (False, True):
                    rows.setdefault((n, sha1, spread), []).append(one(n, spread, sha1))
                    print(f"# {repeat + 1}/{REPEATS} n={n} {'SHA1' if sha1 else 'GCM'} "
                          f"{'singles' if spread else 'bursts'}", file=sys.stderr, flush=True)
    every = [r for runs in rows.values() for r in runs]
    print(f"start-up to ready: {mid([r[2] for r in every])} ms; idle private dirty: {mid([r[3] for r in every])} kB")
    print_rows(rows)
    pss = {n: statistics.median(r[0]["pss_kb"] for r in runs)
           for (n, sha1, spread), runs in rows.items() if not sha1 and not spread}
    lo, hi = min(pss), max(pss)
    if hi > lo:
        print(f"memory per subscriber (slope {lo}..{hi}): {(pss[hi] - pss[lo]) / (hi - lo):.1f} kB")


main()
