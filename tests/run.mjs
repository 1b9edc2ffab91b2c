/*
 * Runs suite/*.test.mjs in one process, so that they share browsers and a server.
 *   tests/run [FILTER...]     only tests whose file or name contains one of the words
 *   SERVER=...                the server under test (default: build/sluice)
 * Closes with "N passed, N failed"; tests that were left out are listed with the reason.
 */
import { readdirSync } from 'node:fs';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import { enter } from './lib/netns.mjs';
import { SERVER, available } from './lib/server.mjs';

await enter();
if (!available()) {
    console.log(`there is no server at ${SERVER}: build it, or name another with SERVER=`);
    process.exit(2);
}
const dir = fileURLToPath(new URL('suite/', import.meta.url));
const words = process.argv.slice(2);
let files = readdirSync(dir).filter((f) => f.endsWith('.test.mjs')).sort();
const LAST = '99-end.test.mjs';
const byFile = files.filter((f) => words.some((w) => f.includes(w)));
if (byFile.length) byFile.push(LAST);
const options = { files: (byFile.length ? byFile : files).map((f) => dir + f), concurrency: 1, isolation: 'none', timeout: 120000 };
if (words.length && !byFile.length) process.env.E2E_WORDS = JSON.stringify(words);

const count = { pass: 0, fail: 0, skip: 0 };
const skips = [];
const t0 = Date.now();
const stamp = () => ((Date.now() - t0) / 1000).toFixed(0).padStart(4);
const events = run(options);
events.on('test:pass', (t) => {
    if (t.details?.type === 'suite' || t.name.endsWith('.mjs')) return; /* a file without a chosen test */
    if (t.skip !== undefined) {
        count.skip++;
        skips.push(`${t.name}: ${t.skip}`);
        return;
    }
    count.pass++;
    console.log(`${stamp()}s ok    ${t.name} (${(t.details.duration_ms / 1000).toFixed(1)} s)`);
});
events.on('test:fail', (t) => {
    if (t.details?.type === 'suite') return;
    count.fail++;
    const e = t.details.error.cause ?? t.details.error;
    console.log(`${stamp()}s FAIL  ${t.name}\n      ${String(e.stack ?? e).split('\n').slice(0, 12).join('\n      ')}`);
});
events.resume();
/* "end" would wait for every idle handle of browsers and native clients: the last test is the end. */
await new Promise((ok) => {
    const last = (t) => t.name === 'the server ends cleanly' && setTimeout(ok, 300);
    events.on('test:pass', last);
    events.on('test:fail', last);
    events.on('end', ok);
});
for (const s of skips) console.log(`      skip  ${s}`);
console.log(`${SERVER}, ${stamp().trim()} s`);
console.log(`${count.pass} passed, ${count.fail} failed, ${count.skip} skipped`);
process.exit(count.fail ? 1 : 0);
