/* Decoded media between clients nobody here wrote, in both signalling modes. */
import { assert, gathering, gone, hears, newRoom, NodePerson, others, pageA, pageB, pageF, Person, rtcnode, sees, silent, test, until } from '../lib/kit.mjs';
import { inside } from '../lib/netns.mjs';

const MODES = [true, false];
const label = (single) => (single ? 'one peer connection' : 'two peer connections');

for (const single of MODES) {
    test(`chromium <-> chromium, ${label(single)}`, async () => {
        const a = new Person(await pageA(), 'ann', 1);
        const b = new Person(await pageB(), 'ben', 2);
        const room = newRoom('chromium');
        await gathering([a, b], async () => {
            await a.join(room, { single });
            await a.video();
            await a.audio();
            await b.join(room, { single }); /* a newcomer gets what is there already */
            await Promise.all([sees(b, a), hears(b, a)]);
            await b.video();
            await b.audio();
            await Promise.all([sees(a, b), hears(a, b)]);

            await a.call('mute', 'microphone', true);
            await silent(b, a);
            await until('the mute is told', async () => (await b.log('trackMuted')).length === 1);
            await a.call('mute', 'microphone', false);
            await hears(b, a);

            const cam = (await b.look()).find((e) => e.kind === 'video').sid;
            await b.call('subscribe', cam, false);
            await gone(b, a);
            await b.call('subscribe', cam, true);
            await sees(b, a);

            await a.call('unpublish', 'camera');
            await gone(b, a);
            await a.video({ source: 'screen_share' });
            await sees(b, a);
            await sees(a, b);
            await until('ann is an active speaker', async () => (await b.log('speakers')).some((l) => l.args[0].includes('ann')));
            await a.leave();
            await until('ann is gone', async () => (await others(b)).length === 0);
        });
    });
}

test('one peer connection <-> two peer connections', async () => {
    const a = new Person(await pageA(), 'ann', 3);
    const b = new Person(await pageB(), 'ben', 4);
    const room = newRoom('mixed');
    await gathering([a, b], async () => {
        await Promise.all([a.join(room, { single: true }), b.join(room, { single: false })]);
        await Promise.all([a.video(), b.video(), a.audio(), b.audio()]);
        await Promise.all([sees(a, b), sees(b, a), hears(a, b), hears(b, a)]);
    });
});

test('more tracks than the first offer has sections for', async () => {
    const a = new Person(await pageA(), 'ann', 5);
    const b = new Person(await pageB(), 'ben', 6);
    const room = newRoom('many');
    await gathering([a, b], async () => {
        await b.join(room);
        await a.join(room);
        for (let i = 0; i < 5; i++) await a.video({ w: 160, h: 90, simulcast: false, fps: 10, name: `v${i}`, source: i ? 'unknown' : 'camera' });
        await until('five pictures arrive', async () => {
            const v = (await b.look()).filter((e) => e.kind === 'video' && e.seen?.id === 5);
            return v.length === 5;
        }, 15000);
    });
});

for (const codec of ['h264', 'vp9', 'av1'])
    test(`chromium -> chromium in ${codec}`, async () => {
        const a = new Person(await pageA(), 'ann', 7);
        const b = new Person(await pageB(), 'ben', 8);
        const room = newRoom(codec);
        await gathering([a, b], async () => {
            await b.join(room);
            await a.join(room);
            await a.video({ codec, w: 320, h: 180, fps: 10 });
            await sees(b, a);
            const mime = (await others(b))[0].tracks[0].mime;
            assert.equal(mime.toLowerCase(), `video/${codec}`);
        });
    });

test('simulcast: the subscriber gets the full size, and the small one when it asks', async () => {
    const a = new Person(await pageA(), 'ann', 9);
    const b = new Person(await pageB(), 'ben', 10);
    const room = newRoom('simulcast');
    await gathering([a, b], async () => {
        await b.join(room);
        await a.join(room);
        await a.video({ w: 640, h: 360 });
        const e = await sees(b, a);
        await until('640 wide', async () => (await b.look())[0]?.w === 640, 10000);
        await b.page.eval(({ sid }) => {
            for (const p of window.T.get('ben').room.remoteParticipants.values())
                p.trackPublications.forEach((t) => t.trackSid === sid && t.setVideoQuality(0));
        }, { sid: e.sid });
        await until('320 wide', async () => (await b.look())[0]?.w === 320, 10000);
        await sees(b, a);
    });
});

for (const codec of ['vp9', 'av1'])
    for (const single of MODES)
        test(`layers inside one ${codec} stream: the small one when it is asked for, then the full one, ${label(single)}`, async () => {
            const a = new Person(await pageA(), 'ann', 9);
            const b = new Person(await pageB(), 'ben', 10);
            const room = newRoom(`svc-${codec}-${single}`);
            const ask = (sid, quality) => b.page.eval(({ sid, quality }) => {
                for (const p of window.T.get('ben').room.remoteParticipants.values())
                    p.trackPublications.forEach((t) => t.trackSid === sid && t.setVideoQuality(quality));
            }, { sid, quality });
            await gathering([a, b], async () => {
                await b.join(room, { single });
                await a.join(room, { single });
                await a.video({ codec, w: 640, h: 360, fps: 10, svc: 'L2T1' });
                const e = await sees(b, a);
                await until('640 wide', async () => (await b.look())[0]?.w === 640, 10000);
                await ask(e.sid, 0);
                await until('320 wide', async () => (await b.look())[0]?.w === 320, 10000);
                await sees(b, a);
                await ask(e.sid, 2);
                await until('640 wide again', async () => (await b.look())[0]?.w === 640, 10000);
                await sees(b, a);
            });
        });

for (const single of MODES)
    test(`chromium <-> firefox (VP8), ${label(single)}`, { skip: inside() ? false : 'Firefox needs an address other than loopback' }, async () => {
        const a = new Person(await pageA(), 'ann', 11);
        const f = new Person(await pageF(), 'fox', 12);
        const room = newRoom('firefox');
        await gathering([a, f], async () => {
            await a.join(room, { single });
            await a.video();
            await a.audio();
            await f.join(room, { single });
            await Promise.all([sees(f, a, 20000), hears(f, a, 20000)]);
            await f.video({ w: 320, h: 180 });
            await sees(a, f);
        });
    });

for (const single of MODES)
    test(`rtc-node <-> chromium, ${label(single)}`, async () => {
        const lib = await rtcnode();
        const a = new Person(await pageA(), 'ann', 13);
        const r = new NodePerson(lib, 'rob', 14);
        const room = newRoom('rtcnode');
        await gathering([a, r], async () => {
            await a.join(room, { single });
            await r.join(room, { single });
            await r.video();
            await r.audio();
            await Promise.all([sees(a, r), hears(a, r)]);
            await a.video();
            await a.audio();
            await Promise.all([sees(r, a), hears(r, a)]);
        });
    });

test('a viewer without canPublish and a publisher without canSubscribe', async () => {
    const a = new Person(await pageA(), 'ann', 15);
    const b = new Person(await pageB(), 'ben', 16);
    for (const single of MODES) {
        const room = newRoom('grants');
        await gathering([a, b], async () => {
            await a.join(room, { single, grants: { canSubscribe: false } });
            await b.join(room, { single, grants: { canPublish: false } });
            await a.video();
            await sees(b, a);
            await assert.rejects(b.video(), /permission|not allowed|insufficient/i);
        });
    }
});
