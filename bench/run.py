#!/usr/bin/env python3
"""make bench: what a forwarded packet and a subscriber cost, on loopback, printed as a table.

Server pinned to the last CPU, load to the first.  For each row the floor (bare sends of the
same packets) is measured in the same minute; rows are interleaved over the repeats and the
median is printed with its minimum and maximum.
"""
import json, os, re, signal, statistics, subprocess, sys, time

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
QUICK = "--quick" in sys.argv
COUNTS = [1, 10, 40] if QUICK else [1, 10, 40, 200, 500]
REPEATS = 1 if QUICK else 5
SECONDS = 4 if QUICK else 10
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


def load(ready, pid, n, spread):
    args = pinned(0, f"{BUILD}/bench/bench-load", "--port", str(ready["http"]), "--key", KEY, "--secret", SECRET,
                  "--server-pid", str(pid), "--subscribers", str(n), "--seconds", str(SECONDS),
                  "--room", f"bench-{n}-{int(spread)}-{time.monotonic_ns()}")
    out = subprocess.run(args + (["--spread"] if spread else []), capture_output=True, text=True)
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


def main():
    rows = {}
    starts, idle = [], []
    for repeat in range(REPEATS):
        for n in COUNTS:
            for spread in (False, True):
                server, ready, took = start_server()
                try:
                    time.sleep(0.3)
                    starts.append(took * 1000)
                    idle.append(private_dirty_kb(server.pid))
                    got, base = load(ready, server.pid, n, spread), floor(n, spread)
                finally:
                    server.send_signal(signal.SIGTERM)
                    server.wait(10)
                rows.setdefault((n, spread), []).append((got, base))
                print(f"# {repeat + 1}/{REPEATS} n={n} spread={spread} {json.dumps(got)} {json.dumps(base)}",
                      file=sys.stderr, flush=True)
    print(f"start-up to ready: {mid(starts)} ms; idle private dirty: {mid(idle)} kB")
    print("subscribers pace     ns/packet              above floor            p50/p99 delay us  delivered")
    for (n, spread), runs in sorted(rows.items()):
        raw = [g["ns_per_packet"] for g, _ in runs]
        above = [g["ns_per_packet"] - b["sendmmsg_ns" if spread else "segmented_ns"] for g, b in runs]
        p50, p99 = (statistics.median(g[k] for g, _ in runs) for k in ("delay_p50_us", "delay_p99_us"))
        due = sum(g["due"] for g, _ in runs)
        print(f"{n:11d} {'singles' if spread else 'bursts '} {mid(raw):22s} {mid(above):22s} "
              f"{p50:7.0f}/{p99:.0f} {100 * sum(g['delivered'] for g, _ in runs) / due:12.2f} %")
    pss = {n: statistics.median(g["pss_kb"] for g, _ in runs) for (n, s), runs in rows.items() if not s}
    lo, hi = min(pss), max(pss)
    if hi > lo:
        print(f"memory per subscriber (slope {lo}..{hi}): {(pss[hi] - pss[lo]) / (hi - lo):.1f} kB")


main()
