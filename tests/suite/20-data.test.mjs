/* Data packets, RPC, text and byte streams. */
import { assert, gathering, newRoom, NodePerson, pageA, pageB, Person, rtcnode, sleep, test, until } from '../lib/kit.mjs';

const SIZES = [1, 2, 100, 1000, 1200, 5000, 15000, 40000, 60000];

for (const single of [true, false])
    test(`reliable data of 1 byte to 60 kB arrives whole and in order, ${single ? 'one' : 'two'} peer connection(s)`, async () => {
        const a = new Person(await pageA(), 'ann', 1);
        const b = new Person(await pageB(), 'ben', 2);
        const room = newRoom('data');
        await gathering([a, b], async () => {
            await a.join(room, { single });
            await b.join(room, { single });
            await until('they know each other', async () => (await a.call('state')).others.length === 1);
            const want = [];
            for (const [i, size] of SIZES.entries()) want.push({ size, hash: await a.call('sendData', size, i, { reliable: true, topic: `t${i}` }) });
            const got = await until('all arrived', async () => {
                const d = await b.call('data');
                return d.length === SIZES.length && d;
            });
            assert.deepEqual(got.map((d) => ({ size: d.size, hash: d.hash })), want);
            assert.ok(got.every((d, i) => d.from === 'ann' && d.topic === `t${i}` && d.reliable));
            assert.equal((await a.call('data')).length, 0, 'nothing comes back to the sender');
        });
    });

test('lossy data, destinations and canPublishData', async () => {
    const lib = await rtcnode();
    const a = new Person(await pageA(), 'ann', 1);
    const b = new Person(await pageB(), 'ben', 2);
    const r = new NodePerson(lib, 'rob', 3);
    const room = newRoom('lossy');
    await gathering([a, b, r], async () => {
        await a.join(room);
        await b.join(room, { single: false, grants: { canPublishData: false } });
        await r.join(room);
        await until('all three', async () => (await a.call('state')).others.length === 2);
        /* the lossy channel may not be open yet, so it is asked more than once */
        await until('lossy arrives', async () => {
            await a.call('sendData', 500, 1, { reliable: false, topic: 'l' });
            return (await b.call('data')).some((d) => d.topic === 'l' && !d.reliable) && r.c.data.some((d) => d.topic === 'l');
        });
        await a.call('sendData', 300, 2, { reliable: true, topic: 'to-rob', destinationIdentities: ['rob'] });
        await until('rob gets his', async () => r.c.data.some((d) => d.topic === 'to-rob' && d.size === 300));
        const h = await r.c.sendData(60000, 4, { topic: 'big' });
        await until('both get rob\'s', async () => (await a.call('data')).some((d) => d.hash === h) && (await b.call('data')).some((d) => d.hash === h));
        await b.call('sendData', 10, 5, { reliable: true, topic: 'no' }).catch(() => {});
        await sleep(300);
        assert.ok(!(await b.call('data')).some((d) => d.topic === 'to-rob'), 'ben did not get what was for rob');
        assert.ok(!(await a.call('data')).some((d) => d.topic === 'no'), 'ben may not send');
    });
});

test('RPC between rtc-node and Chromium, both ways, with errors', async () => {
    const lib = await rtcnode();
    const a = new Person(await pageA(), 'ann', 1);
    const r = new NodePerson(lib, 'rob', 2);
    const room = newRoom('rpc');
    await gathering([a, r], async () => {
        await a.join(room);
        await r.join(room);
        await until('they know each other', async () => (await a.call('state')).others.length === 1);
        await until('rob answers', async () => (await a.call('rpc', 'rob', 'echo', 'hello')).ok === 'ann:hello');
        const big = 'x'.repeat(14000);
        assert.equal((await a.call('rpc', 'rob', 'echo', big)).ok, `ann:${big}`);
        const p = r.c.room.localParticipant;
        assert.equal(await p.performRpc({ destinationIdentity: 'ann', method: 'echo', payload: 'hi' }), 'rob:hi');
        await assert.rejects(p.performRpc({ destinationIdentity: 'ann', method: 'fail', payload: '' }), (e) => e.code === 1234 && /no such luck/.test(e.message));
        assert.equal((await a.call('rpc', 'rob', 'nothing', '')).code, 1400);
    });
});

test('text and byte streams', async () => {
    const lib = await rtcnode();
    const a = new Person(await pageA(), 'ann', 1);
    const b = new Person(await pageB(), 'ben', 2);
    const r = new NodePerson(lib, 'rob', 3);
    const room = newRoom('streams');
    await gathering([a, b, r], async () => {
        await a.join(room);
        await b.join(room, { single: false });
        await r.join(room);
        await until('all three', async () => (await a.call('state')).others.length === 2 && (await b.call('state')).others.length === 2);
        const text = await a.call('sendText', 40000, 1);
        const bytes = await a.call('sendBytes', 200000, 2);
        await until('ben has both', async () => {
            const s = await b.call('streams');
            return s.texts.some((t) => t.hash === text && t.from === 'ann') && s.bytes.some((t) => t.hash === bytes && t.size === 200000);
        });
        await until('rob has both', async () => r.c.texts.some((t) => t.hash === text) && r.c.bytes.some((t) => t.hash === bytes));
        await r.c.room.localParticipant.sendText('from rob', { topic: 't' });
        await until('ann has rob\'s', async () => (await a.call('streams')).texts.some((t) => t.from === 'rob' && t.size === 8));
    });
});
