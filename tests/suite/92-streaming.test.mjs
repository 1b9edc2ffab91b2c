/* docs/streaming.md: its lines are run as they stand there, and what `sluice obs` prints. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { audioClip, videoClip } from '../lib/clips.mjs';
import { assert, gathering, hears, others, pageA, Person, sees, test, until } from '../lib/kit.mjs';
import { ORIGINAL, SERVER } from '../lib/server.mjs';
import { startSite } from '../lib/ingest.mjs';

const skip = ORIGINAL && 'the document is about sluice';
/* Of the default channel: room `live`, identity `live`, channel 77. */
const KEY = 'a-stream-key-for-tests';
const site = () => startSite({ server: ['--stream-key', KEY], ingest: ['--rtmp-port', '0'] });
const PAGE = fileURLToPath(new URL('../../docs/streaming.md', import.meta.url));
const ID = 61;
const lines = (program) => readFileSync(PAGE, 'utf8').split('\n').filter((l) => l.startsWith(`    ${program} `)).map((l) => l.trim());

/* Half a minute of the marker and its tone, as a streamer's file would be. */
async function clip(dir) {
    const [v, a] = [await videoClip('h264', ID), await audioClip(ID)];
    const ffmpeg = (...args) => {
        const made = spawnSync('ffmpeg', ['-v', 'error', '-y', ...args]);
        assert.equal(made.status, 0, String(made.stderr));
    };
    const once = join(dir, 'once.mp4');
    ffmpeg('-framerate', '15', '-i', v, '-i', a, '-c:v', 'copy', '-c:a', 'aac', '-ar', '48000', once);
    ffmpeg('-stream_loop', '7', '-i', once, '-c', 'copy', join(dir, 'clip.mp4'));
}

/* The line, with HOST and KEY as a reader fills them in. */
async function run(line, at, dir, f) {
    const words = line.replaceAll('HOST', `127.0.0.1:${at.ingest.rtmp}`).replaceAll('KEY', KEY);
    const p = spawn('sh', ['-c', `exec ${words}`], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    p.stderr.on('data', (d) => (said += d));
    const ended = new Promise((ok) => p.on('exit', ok));
    try {
        await f();
    } catch (e) {
        throw new Error(`${line}\n${said.slice(-1500)}\n${at.ingest.log().slice(-1500)}`, { cause: e });
    } finally {
        p.kill('SIGINT'); /* as with Ctrl-C */
        const t = setTimeout(() => p.kill('SIGKILL'), 5000);
        await ended;
        clearTimeout(t);
    }
}

test('streaming.md: every line of ffmpeg and GStreamer reaches a browser', { skip, timeout: 120000 }, async () => {
    const all = [...lines('ffmpeg'), ...lines('gst-launch-1.0')];
    assert.ok(all.length >= 3, 'the document has its lines');
    const dir = mkdtempSync(join(tmpdir(), 'e2e-streaming-'));
    await clip(dir);
    const at = await site();
    const a = new Person(await pageA(), 'ann', 1);
    const live = { identity: 'live', id: ID };
    try {
        await gathering([a], async () => {
            await a.join('live', { ws: at.ws });
            for (const line of all) {
                await run(line, at, dir, async () => {
                    await sees(a, live, 15000);
                    await hears(a, live, 15000);
                });
                await until('it has left', async () => (await others(a)).length === 0, 20000);
            }
        });
    } finally {
        assert.deepEqual(await at.stop(), [0, 0]);
    }
    assert.ok(!at.ingest.log().includes(KEY), 'the key is in no log');
});

test('sluice obs: the entry for services.json and the three ways in', { skip }, async () => {
    const p = spawnSync(SERVER, ['obs', 'stream.example.org'], { encoding: 'utf8' });
    assert.equal(p.status, 0, p.stderr);
    const entry = JSON.parse(p.stdout.slice(p.stdout.indexOf('\n{') + 1, p.stdout.indexOf('\n}') + 2));
    assert.equal(entry.servers[0].url, 'stream.example.org');
    assert.deepEqual(entry.recommended, { keyint: 2, output: 'ftl_output', 'max audio bitrate': 160, 'max video bitrate': 8000, profile: 'main', bframes: 0 });
    for (const words of ['ftl://stream.example.org', 'http://stream.example.org:8080/whip', 'rtmp://stream.example.org/live', '.config/obs-studio/plugin_config/rtmp-services/services.json'])
        assert.ok(p.stdout.includes(words), words);
    const page = readFileSync(PAGE, 'utf8');
    for (const words of ['ftl://HOST', 'http://HOST:8080/whip', 'rtmp://HOST/live']) assert.ok(page.includes(words), `the document says ${words}`);
    for (const bad of ['http://host', 'host:1935', 'a b', '']) assert.equal(spawnSync(SERVER, ['obs', bad]).status, 2, bad);
});
