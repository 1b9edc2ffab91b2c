/*
 * Two who mind their own business: `sluice join --sample` and one that records it.  What the
 * recorder writes is looked at all the time; `gap()` is the longest time that one of its files did not grow.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FilePerson } from './cli.mjs';
import { until } from './wait.mjs';

const LOOK_MS = 50;

export async function startPair(http, room) {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-pair-'));
    const from = new FilePerson(`${room}-sender`, 0);
    const to = new FilePerson(`${room}-taker`, 0);
    const files = new Map(); /* name -> {size, at} */
    let worst = 0;
    const look = () => {
        const now = Date.now();
        for (const name of readdirSync(dir)) {
            const { size } = statSync(join(dir, name));
            const f = files.get(name) ?? { size: 0, at: now };
            worst = Math.max(worst, now - f.at);
            files.set(name, size > f.size ? { size, at: now } : f);
        }
    };
    to.join(http, room, '--record', dir);
    from.join(http, room, '--sample', '--no-subscribe');
    try {
        await until(`${room}: sound and picture are recorded`, () => {
            look();
            return files.size >= 2 && [...files.values()].every((f) => f.size > 4000);
        }, 15000);
    } catch (e) {
        throw new Error(`${e.message}\n${from.text}\n${to.text}`);
    }
    const timer = setInterval(look, LOOK_MS);
    worst = 0;
    return {
        from,
        to,
        reset() {
            look();
            worst = 0;
        },
        gap() {
            look();
            return worst;
        },
        async stop() {
            clearInterval(timer);
            const codes = await Promise.all([from.leave(), to.leave()]);
            rmSync(dir, { recursive: true, force: true });
            return codes;
        },
    };
}
