/* `sluice join` with files in every codec, and ten people in one room. */
import { mkdtempSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cli, FilePerson, lacks } from '../lib/cli.mjs';
import { audioClip, videoClip } from '../lib/clips.mjs';
import { assert, gathering, hears, newRoom, NodePerson, pageA, pageB, Person, rtcnode, sees, server, test, until } from '../lib/kit.mjs';
import { ORIGINAL } from '../lib/server.mjs';

const skip = lacks('join');

for (const codec of ['vp8', 'h264', 'vp9', 'av1'])
    for (const single of codec === 'vp8' ? [true, false] : [true])
        test(`sluice join with a ${codec} file and Opus -> chromium with ${single ? 'one' : 'two'} peer connection(s)`, { skip }, async () => {
            const { http } = await server();
            const f = new FilePerson('file', 31);
            const a = new Person(await pageA(), 'ann', 1);
            const room = newRoom('join');
            const [video, audio] = await Promise.all([videoClip(codec, 31), audioClip(31)]);
            await gathering([a, f], async () => {
                await a.join(room, { single });
                f.join(http, room, '--video', video, '--audio', audio);
                try {
                    await Promise.all([sees(a, f), hears(a, f)]);
                } catch (e) {
                    throw new Error(`${e.message}\n${f.text}`);
                }
                assert.equal(await f.leave(), 0, f.text);
                await until('it left', async () => (await a.call('state')).others.length === 0);
            });
        });

test('sluice join records what it receives', { skip }, async () => {
    const { http } = await server();
    const f = new FilePerson('tape', 32);
    const a = new Person(await pageA(), 'ann', 1);
    const room = newRoom('record');
    const dir = mkdtempSync(join(tmpdir(), 'e2e-record-'));
    await gathering([a, f], async () => {
        await a.join(room);
        await a.video({ w: 320, h: 180 });
        await a.audio();
        f.join(http, room, '--record', dir);
        await until('both files grow', () => {
            const l = readdirSync(dir);
            return l.length >= 2 && l.every((n) => statSync(join(dir, n)).size > 4000);
        }, 15000);
        assert.equal(await f.leave(), 0, f.text);
    });
});

test('sluice token and room commands', { skip: lacks('room') || lacks('token') }, async () => {
    const { http } = await server();
    const room = newRoom('cli');
    cli(http, 'room', 'create', room);
    assert.ok(cli(http, 'room', 'list').includes(room));
    const t = cli(http, 'token', 'create', '--join', '--room', room, '--identity', 'zoe').trim().split(/\s+/).pop();
    assert.match(t, /^eyJ/);
    assert.equal((await fetch(`${http}/rtc/validate?access_token=${t}`)).status, 200);
    const a = new Person(await pageA(), 'ann', 1);
    await gathering([a], async () => {
        await a.join(room);
        await until('listed', () => cli(http, 'room', 'participants', room).includes('ann'));
        cli(http, 'room', 'metadata', room, 'mm');
        await until('metadata', async () => (await a.call('state')).metadata === 'mm');
        cli(http, 'room', 'kick', room, 'ann');
        await until('kicked', async () => (await a.log('disconnected')).length === 1);
    });
    cli(http, 'room', 'delete', room);
    assert.ok(!cli(http, 'room', 'list').includes(room));
});

/* Against an original, which has no `sluice join`, rooms in the two pages stand in for the files. */
test('ten people at once, everybody seen and heard', { skip: ORIGINAL ? false : skip, timeout: 90000 }, async () => {
    const { http } = await server();
    const lib = await rtcnode();
    const room = newRoom('ten');
    const [pa, pb] = [await pageA(), await pageB()];
    const watchers = [new Person(pa, 'p1', 41), new Person(pb, 'p2', 42), new NodePerson(lib, 'n3', 43), new NodePerson(lib, 'n4', 44)];
    const files = [];
    for (let i = 5; i <= 10; i++) files.push(ORIGINAL ? new Person(i % 2 ? pa : pb, `f${i}`, 40 + i) : new FilePerson(`f${i}`, 40 + i));
    const all = [...watchers, ...files];
    await gathering(all, async () => {
        for (const w of watchers) {
            await w.join(room, { single: w.identity !== 'p2' });
            await w.video({ w: 160, h: 90, simulcast: false, fps: 8 });
            await w.audio();
        }
        for (const f of files)
            if (f instanceof FilePerson) f.join(http, room, '--video', await videoClip('vp8', f.id), '--audio', await audioClip(f.id));
            else {
                await f.join(room, { autoSubscribe: false });
                await f.video({ w: 160, h: 90, simulcast: false, fps: 8 });
                await f.audio();
            }
        const missing = await Promise.all(watchers.map(async (w) => {
            const out = [];
            for (const s of all)
                if (w !== s) for (const f of [sees, hears]) await f(w, s, 15000).catch((e) => out.push(e.message.slice(0, 120)));
            return out;
        }));
        assert.deepEqual(missing.flat(), []);
        assert.equal((await watchers[0].call('state')).others.length, 9);
    });
});
