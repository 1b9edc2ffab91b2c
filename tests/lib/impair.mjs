/*
 * A bad network in front of the media port: build/sim/impair, which is sim/netem in real time.
 * The same seed draws the same losses.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SERVER } from './server.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const places = [dirname(SERVER), `${ROOT}/build`, `${ROOT}/build-asan`].map((d) => `${d}/sim/impair`);

/*
 * o: {addr, port, to: {addr, port}, seed} -> {addr, port, command(line), stats(), close()}
 * command: a line as tests/impair.c explains: "loss 5", "silence 8000", "rebind", "cut".
 * stats: {up, down}, each {in, out, lost, overflowed}.
 */
export async function startImpair(o) {
    const binary = places.find(existsSync);
    if (!binary) throw new Error(`no impair among ${places.join(', ')}: ninja -C build`);
    const args = ['--listen', `${o.addr}:${o.port ?? 0}`, '--to', `${o.to.addr}:${o.to.port}`, '--seed', String(o.seed ?? 1)];
    const child = spawn(binary, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const waiting = [];
    const ended = new Promise((ok) => child.on('exit', ok));
    let over = null;
    const answer = () =>
        new Promise((ok, no) => {
            if (over) no(over);
            else waiting.push({ ok, no });
        });
    readline.createInterface({ input: child.stdout }).on('line', (l) => waiting.shift()?.ok(l));
    child.stdin.on('error', () => {}); /* it has ended: what waits is told below */
    ended.then((code) => {
        over = new Error(`impair ended with ${code}`);
        for (const w of waiting.splice(0)) w.no(over);
    });
    const { port } = JSON.parse(await answer());
    const say = (line) => {
        child.stdin.write(`${line}\n`);
        return answer();
    };
    return {
        addr: o.addr,
        port,
        async command(line) {
            const a = await say(line);
            if (a !== 'ok') throw new Error(`impair: "${line}": ${a}`);
        },
        stats: async () => JSON.parse(await say('stats')),
        async close() {
            child.stdin.end();
            const t = setTimeout(() => child.kill('SIGKILL'), 3000);
            const code = await ended;
            clearTimeout(t);
            if (code !== 0) throw over;
        },
    };
}
