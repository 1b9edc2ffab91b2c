/* A server with a data directory, `sluice ingress` on its bus, and channels to publish on. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeTcp, freeUdp, SERVER, startServer } from './server.mjs';
import { token } from './token.mjs';
import { sleep, until } from './wait.mjs';

/* o: {bus, ftl, args} -> {ftl, health, metrics, metric(name, ...words), log(), stop()}; exit code 0 is clean */
export async function startIngest(o) {
    const args = ['ingress', '--bus', o.bus, '--ftl-port', String(o.ftl ?? 0), '--rtmp-port', 'off', '--log-level', 'debug', '--ready-fd', '3', ...(o.args ?? [])];
    const child = spawn(SERVER, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], env: { ...process.env, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1' } });
    const log = [];
    let dead = null;
    for (const s of [child.stdout, child.stderr])
        s.on('data', (d) => {
            log.push(d.toString());
            if (log.length > 4000) log.shift();
        });
    const ended = new Promise((ok) => child.on('exit', (code, sig) => ok((dead = sig ?? code))));
    const ready = await new Promise((ok, no) => {
        let text = '';
        child.stdio[3].on('data', (d) => {
            text += d;
            if (text.includes('\n')) ok(JSON.parse(text.slice(0, text.indexOf('\n'))));
        });
        ended.then((c) => no(new Error(`the ingress ended (${c}) before it was ready:\n${log.join('')}`)));
    });
    return {
        ...ready,
        log: () => log.join(''),
        /* The sum of a metric's values over the lines that contain the words. */
        async metric(name, ...words) {
            const text = await (await fetch(`http://127.0.0.1:${ready.metrics}/metrics`)).text();
            return text.split('\n').filter((l) => l.startsWith(name) && words.every((w) => l.includes(w))).reduce((n, l) => n + Number(l.split(' ').pop()), 0);
        },
        async stop(sig = 'SIGINT') {
            if (dead !== null) return dead;
            child.kill(sig);
            const t = setTimeout(() => child.kill('SIGKILL'), 8000);
            const code = await ended;
            clearTimeout(t);
            return code;
        },
    };
}

/* A call of the Ingress API, or of sluice.Channels. */
export async function ingressCall(http, service, method, body) {
    const auth = await token('', undefined, { ingressAdmin: true, roomJoin: false });
    const r = await fetch(`${http}/twirp/${service}/${method}`, {
        method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${auth}` }, body: JSON.stringify(body),
    });
    const text = await r.text();
    if (r.status !== 200) throw new Error(`${service}/${method}: ${r.status} ${text}`);
    return JSON.parse(text);
}

/*
 * o.ingest, o.server: arguments of the ingress and of the server; o.config: lines of the server's file.
 * -> {http, ws, server, ingest, channel(room, identity), restart(how), stop()}
 * The server's ports stay when it is restarted.
 */
export async function startSite(o = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-site-'));
    const [port, udp] = [await freeTcp(), await freeUdp()];
    const start = () => startServer({ udp, config: o.config, args: ['--port', String(port), '--data-dir', dir, ...(o.server ?? [])] });
    const site = { http: `http://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${port}`, dir };
    site.server = await start();
    site.ingest = await startIngest({ bus: join(dir, 'bus.sock'), ftl: o.ftl, args: ['--prometheus-port', String(await freeTcp('0.0.0.0')), '--health-port', String(await freeTcp('0.0.0.0')), ...(o.ingest ?? [])] });
    await until('the ingress is on the bus', async () => (await fetch(`http://127.0.0.1:${site.ingest.health}/availability`)).status === 200);
    site.channel = async (room, identity) => {
        const info = await ingressCall(site.http, 'livekit.Ingress', 'CreateIngress', { input_type: 'RTMP_INPUT', name: identity, room_name: room, participant_identity: identity, participant_name: identity });
        const id = info.ingress_id ?? info.ingressId;
        const list = await ingressCall(site.http, 'sluice.Channels', 'ListChannels', { ingress_id: id });
        const c = list.items[0];
        return { id, room, key: c.ftl_key ?? c.ftlKey, state: async () => (await ingressCall(site.http, 'livekit.Ingress', 'ListIngress', { ingress_id: id })).items[0].state };
    };
    site.restart = async (how, pause_ms = 500) => {
        site.server.child.kill(how);
        await until('the server has ended', () => site.server.dead() !== null);
        await sleep(pause_ms);
        site.server = await start();
    };
    site.stop = async () => {
        const codes = [await site.ingest.stop(), await site.server.stop()];
        rmSync(dir, { recursive: true, force: true });
        if (codes.some((c) => c !== 0)) console.log(`ingress ${codes[0]}, server ${codes[1]}\n${site.ingest.log().slice(-4000)}\n${site.server.log().slice(-2000)}`);
        return codes;
    };
    return site;
}
