/* The server with its bus, and the ingress: as `sluice up` has them, on free ports. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeTcp, SERVER, startServer } from './server.mjs';
import { until } from './wait.mjs';

/* Of the default channel: room `live`, identity `live`, channel 77. */
export const KEY = 'a-stream-key-for-tests';

/* o.config: of the server; o.ingest, o.args: flags of the ingress and of the server. */
export async function startSite(o = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-site-'));
    const s = await startServer({ config: o.config, args: ['--data-dir', dir, '--stream-key', KEY, ...(o.args ?? [])] });
    const ports = ['--ftl-port', String(await freeTcp()), '--rtmp-port', '0'];
    const child = spawn(SERVER, ['ingress', '--bus', join(dir, 'bus.sock'), ...ports, '--log-level', 'debug', '--ready-fd', '3', ...(o.ingest ?? [])], { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
    let text = '';
    let log = '';
    child.stderr.on('data', (d) => (log += d));
    child.stdio[3].on('data', (d) => (text += d));
    const ended = new Promise((ok) => child.on('exit', ok));
    const ready = await until('the ingress is ready', () => text.includes('\n') && JSON.parse(text)).catch(async (e) => {
        child.kill('SIGKILL');
        await s.stop();
        throw new Error(`${e.message}\n${log}`);
    });
    await until('the bus is there', () => log.includes('state=up'));
    return {
        ws: s.ws,
        http: s.http,
        ...ready,
        log: () => log,
        async stop() {
            child.kill('SIGINT');
            const codes = [await ended, await s.stop()];
            assert.deepEqual(codes, [0, 0], log.slice(-3000) + s.log().slice(-3000));
        },
    };
}
