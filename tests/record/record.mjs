/*
 * Records what a server and its clients say to each other, as fixtures:
 *   SERVER=/path/to/livekit-server node record/record.mjs [OUT] [chromium-single ...]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchChromium, launchFirefox } from '../lib/browser.mjs';
import { enter } from '../lib/netns.mjs';
import { startProxy } from '../lib/proxy.mjs';
import { startServer } from '../lib/server.mjs';
import { token } from '../lib/token.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { Recorder } from './recorder.mjs';

await enter();
const OUT = resolve(process.argv[2] ?? fileURLToPath(new URL('../fixtures', import.meta.url)));
const WANT = process.argv.slice(3);
mkdirSync(OUT, { recursive: true });

const seen = (look, kind) => look.some((e) => e.kind === kind && (kind === 'video' ? e.seen : e.hz > 0 || e.packets > 0));

async function scenario(rec, people, cut) {
    const { alice, bob } = people;
    rec.step('alice joins');
    await alice.join();
    await sleep(1000);
    rec.step('bob joins');
    await bob.join();
    await sleep(1500);
    rec.step('alice publishes a camera with simulcast');
    const video = await alice.video();
    await until('bob sees', async () => seen(await bob.look(), 'video'));
    rec.step('alice publishes a microphone');
    await alice.audio();
    await until('bob hears', async () => seen(await bob.look(), 'audio'));
    await sleep(2500);
    if (bob.subscribe && !people.no_resubscribe) {
        rec.step('bob unsubscribes from the camera');
        await bob.subscribe(video, false);
        await sleep(1500);
        rec.step('bob subscribes to the camera again');
        await bob.subscribe(video, true);
        await until('bob sees again', async () => seen(await bob.look(), 'video'));
    }
    if (alice.mute) {
        rec.step('alice mutes the microphone');
        await alice.mute(true);
        await sleep(1000);
        rec.step('alice unmutes the microphone');
        await alice.mute(false);
        await sleep(500);
    }
    rec.step('bob publishes a camera');
    await bob.video();
    await until('alice sees bob', async () => seen(await alice.look(), 'video'));
    rec.step('data: bob to all');
    await bob.data();
    await sleep(500);
    rec.step('alice sets her metadata, name and attributes');
    await alice.meta();
    await sleep(500);
    rec.step('both WebSockets are cut: resume');
    cut();
    await until('both are back', async () => (await alice.back()) && (await bob.back()), 20000);
    await sleep(3500);
    rec.step('alice unpublishes the camera');
    await alice.unpublish();
    await sleep(2500);
    rec.step('bob leaves');
    await bob.leave();
    await sleep(500);
    rec.step('alice leaves');
    await alice.leave();
    await sleep(500);
}

function browserPerson(page, id, who, ws, room, single) {
    return {
        join: async () => page.call('connect', who, ws, await token(who, room), { single }),
        look: () => page.call('look', who),
        video: () => page.call('publishVideo', who, id, { w: 1280, h: 720, fps: 15 }),
        audio: () => page.call('publishAudio', who, id),
        subscribe: (sid, yes) => page.call('subscribe', who, sid, yes),
        mute: (yes) => page.call('mute', who, 'microphone', yes),
        data: () => page.call('sendData', who, 100, 1, { reliable: true, topic: 'x' }),
        meta: () => page.call('setMe', who, { name: 'Alice A.', metadata: '{"a":1}', attributes: { k: 'v' } }),
        back: async () => (await page.call('log', who)).some((l) => l.name === 'reconnected'),
        unpublish: () => page.call('unpublish', who, 'camera'),
        leave: () => page.call('leave', who),
    };
}

function nodePerson(lib, id, who, ws, room) {
    const c = new lib.NodeClient();
    return {
        join: async () => c.connect(ws, await token(who, room)),
        look: () => c.look(),
        video: () => c.publishVideo(id, { w: 1280, h: 720, simulcast: true, fps: 10 }),
        audio: () => c.publishAudio(id),
        subscribe: (sid, yes) => {
            for (const p of c.room.remoteParticipants.values()) p.trackPublications.get(sid)?.setSubscribed(yes);
        },
        mute: null,
        data: () => c.sendData(100, 1, { topic: 'x' }),
        meta: async () => {
            await c.room.localParticipant.updateName('Alice A.');
            await c.room.localParticipant.updateMetadata('{"a":1}');
            await c.room.localParticipant.setAttributes({ k: 'v' });
        },
        back: () => c.log.some((l) => l.name === 'reconnected') || c.settled?.(),
        unpublish: () => c.room.localParticipant.unpublishTrack(c.video.sid),
        leave: () => c.leave(),
        client: c,
    };
}

async function record(name, make, no_v1) {
    if (WANT.length && !WANT.includes(name)) return;
    const srv = await startServer();
    const rec = new Recorder();
    const proxies = {};
    const cuts = [];
    try {
        for (const who of ['alice', 'bob']) {
            proxies[who] = await startProxy({
                target: srv.http,
                no_v1,
                seen: (x) => {
                    const before = rec.lines.length;
                    rec.see(x);
                    for (const l of rec.lines.slice(before)) l.who = who;
                },
            });
            cuts.push(proxies[who]);
        }
        const people = await make((who) => proxies[who].ws);
        await scenario(rec, people, () => cuts.forEach((p) => p.cut()));
        console.log(`${name}: ${rec.lines.length} lines`);
    } catch (e) {
        console.log(`${name}: FAILED ${e.stack}`);
        process.exitCode = 1;
    } finally {
        writeFileSync(`${OUT}/${name}.jsonl`, rec.text_lines());
        for (const p of cuts) p.close();
        await srv.stop();
    }
}

async function browserPair(launch, single, ws) {
    const b = await launch();
    const page = await b.newPage();
    const other = await b.newPage();
    return {
        alice: browserPerson(page, 1, 'alice', ws('alice'), 'demo', single),
        bob: browserPerson(other, 2, 'bob', ws('bob'), 'demo', single),
        close: () => b.close(),
    };
}

for (const [kind, launch] of [['chromium', launchChromium], ['firefox', launchFirefox]])
    for (const single of [true, false]) {
        let pair;
        await record(`${kind}-${single ? 'single' : 'dual'}`, async (ws) => (pair = await browserPair(launch, single, ws)), false);
        await pair?.close();
    }
const node = await import('../lib/rtcnode.mjs');
for (const no_v1 of [false, true])
    await record(
        no_v1 ? 'rtcnode-dual' : 'rtcnode-single',
        async (ws) => ({ alice: nodePerson(node, 1, 'alice', ws('alice'), 'demo'), bob: nodePerson(node, 2, 'bob', ws('bob'), 'demo'), no_resubscribe: no_v1 }),
        no_v1,
    );
await node.dispose();
process.exit();
