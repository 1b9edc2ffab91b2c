/*
 * Starts the server under test.  SERVER names the executable: sluice (the default is the one
 * in build/) or an original livekit-server, which the same tests run against, so that a test
 * that fails against sluice alone speaks of sluice.
 */
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { basename, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mediaAddr } from './netns.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const SERVER = resolve(process.env.SERVER ?? `${ROOT}/build/sluice`);
/* A build without sanitizers, whose memory may be judged. */
export const PLAIN = process.env.PLAIN_SERVER ? resolve(process.env.PLAIN_SERVER) : null;
export const ORIGINAL = basename(SERVER).startsWith('livekit-server');
export const KEY = 'devkey';
export const SECRET = 'secret';
export const available = () => existsSync(SERVER);

export async function freeTcp(addr = '127.0.0.1') {
    const s = net.createServer();
    await new Promise((ok) => s.listen(0, addr, ok));
    const { port } = s.address();
    await new Promise((ok) => s.close(ok));
    return port;
}

export async function freeUdp() {
    const s = dgram.createSocket('udp4');
    await new Promise((ok) => s.bind(0, '0.0.0.0', ok));
    const { port } = s.address();
    await new Promise((ok) => s.close(ok));
    return port;
}

/*
 * o.announce, o.announce_tcp: "addr:port" the server offers to clients instead of its own.
 * o.udp, o.tcp: the media ports to bind (tcp 0: none, as it is with announce); o.under: a command that starts it, such as ['prlimit', '--nofile=64'];
 * o.command: 'up' instead of 'server'; o.env: additions to its environment.  -> {http, ws, udp, pid, log, stop()}
 */
export async function startServer(o = {}) {
    return ORIGINAL ? startOriginal(o) : startSluice(o);
}

async function startOriginal(o) {
    const port = await freeTcp();
    const tcp = o.tcp ?? (o.announce ? 0 : await freeTcp());
    const udp = o.udp ?? (await freeUdp());
    const node = o.announce ? o.announce.split(':')[0] : mediaAddr();
    const config = [
        `port: ${port}`,
        'keys: { devkey: secret }',
        'log_level: info',
        `rtc: { udp_port: ${udp}, tcp_port: ${tcp}, force_tcp: ${Boolean(o.force_tcp)}, use_external_ip: false, use_ice_lite: ${Boolean(o.announce)}, enable_loopback_candidate: ${mediaAddr() === '127.0.0.1'} }`,
        'room: { enable_remote_unmute: true }',
        ...(o.config ?? []),
    ].join('\n');
    const args = ['--dev', '--bind', '127.0.0.1', '--node-ip', node, '--config-body', config];
    const srv = run(args, {});
    await until(async () => (await fetch(`http://127.0.0.1:${port}/`)).ok, srv);
    return { ...srv, port, udp, tcp, http: `http://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${port}` };
}

async function startSluice(o) {
    const args = [o.command ?? 'server', '--dev', '--bind', '127.0.0.1', '--node-ip', mediaAddr(), '--port', '0',
        '--udp-port', String(o.udp ?? 0), '--tcp-port', String(o.tcp ?? (o.announce ? 0 : await freeTcp('0.0.0.0'))),
        '--ready-fd', '3', ...(o.args ?? [])];
    if (o.announce) args.push('--announce', o.announce);
    if (o.announce_tcp) args.push('--announce-tcp', o.announce_tcp);
    if (o.force_tcp) args.push('--rtc.force_tcp=true');
    if (o.config) args.push('--config-body', o.config.join('\n'));
    const srv = run(args, { ready: true, under: o.under, env: o.env, binary: o.binary });
    const ready = await srv.ready;
    const port = ready.http ?? ready.port;
    const udp = Array.isArray(ready.udp) ? ready.udp[0] : ready.udp;
    return { ...srv, ready, port, udp, tcp: ready.tcp, http: `http://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${port}` };
}

function run(args, { ready, under = [], env = {}, binary = SERVER }) {
    const stdio = ['ignore', 'pipe', 'pipe', ...(ready ? ['pipe'] : [])];
    const [command, ...words] = [...under, binary, ...args];
    const child = spawn(command, words, { stdio, env: { ...process.env, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1', ...env } });
    const log = [];
    let dead = null;
    for (const s of [child.stdout, child.stderr])
        s.on('data', (d) => {
            log.push(d.toString());
            if (log.length > 4000) log.shift();
        });
    const ended = new Promise((ok) =>
        child.on('exit', (code, sig) => {
            dead = sig ?? code;
            ok(dead);
        }),
    );
    const srv = {
        child,
        pid: child.pid,
        log: () => log.join(''),
        dead: () => dead,
        /* Ends the server and gives its exit code (0: clean). */
        async stop() {
            if (dead !== null) return dead;
            child.kill('SIGINT');
            const t = setTimeout(() => child.kill('SIGKILL'), 8000);
            const code = await ended;
            clearTimeout(t);
            return code;
        },
    };
    if (ready)
        srv.ready = new Promise((ok, no) => {
            let text = '';
            child.stdio[3].on('data', (d) => {
                text += d;
                if (text.includes('\n')) ok(JSON.parse(text.slice(0, text.indexOf('\n'))));
            });
            ended.then((c) => no(new Error(`server ended (${c}) before it was ready:\n${log.join('')}`)));
        });
    return srv;
}

async function until(f, srv) {
    for (let i = 0; i < 200; i++) {
        if (srv.dead() !== null) throw new Error(`server ended (${srv.dead()}):\n${srv.log()}`);
        try {
            if (await f()) return;
        } catch {
            /* not listening yet */
        }
        await new Promise((ok) => setTimeout(ok, 50));
    }
    throw new Error(`server never got ready:\n${srv.log()}`);
}
