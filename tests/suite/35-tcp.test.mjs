/* Media over TCP (RFC 6544): where UDP does not come through, and where a client is told to. */
import { assert, gathering, hears, newRoom, NodePerson, pageA, pageB, Person, rtcnode, sees, test, until } from '../lib/kit.mjs';
import { startServer } from '../lib/server.mjs';

async function on(o, f) {
    const srv = await startServer(o);
    try {
        await f(srv);
    } finally {
        const code = await srv.stop();
        assert.equal(code, 0, `the server ended with ${code}: ${srv.log().slice(-3000)}`);
    }
}

const allTcp = (p) => until(`${p.identity} has TCP paths alone`, async () => {
    const paths = await p.call('paths');
    return paths.length > 0 && paths.every((x) => x === 'tcp');
});

for (const single of [true, false])
    test(`TCP alone is offered: picture and sound both ways, ${single ? 'one' : 'two'} peer connection(s)`, async () => {
        await on({ force_tcp: true }, async (srv) => {
            const a = new Person(await pageA(), 'ann', 31);
            const b = new Person(await pageB(), 'ben', 32);
            const room = newRoom('tcp');
            await gathering([a, b], async () => {
                await a.join(room, { single, ws: srv.ws });
                await b.join(room, { single, ws: srv.ws });
                for (const p of [a, b]) {
                    await p.video();
                    await p.audio();
                }
                await sees(b, a);
                await sees(a, b);
                await hears(b, a);
                await hears(a, b);
                for (const p of [a, b]) await allTcp(p);
                await b.call('sendData', 60000, 1, { reliable: true });
                await until('data over TCP', async () => (await a.call('data')).length === 1);
            });
        });
    });

test('TCP alone is offered: rtc-node and Chromium', async () => {
    await on({ force_tcp: true }, async (srv) => {
        const r = new NodePerson(await rtcnode(), 'rob', 33);
        const b = new Person(await pageB(), 'ben', 34);
        const room = newRoom('tcp');
        await gathering([r, b], async () => {
            await r.join(room, { ws: srv.ws });
            await b.join(room, { ws: srv.ws });
            await r.video();
            await r.audio();
            await b.video();
            await b.audio();
            await sees(b, r);
            await sees(r, b);
            await hears(b, r);
            await hears(r, b);
        });
    });
});
