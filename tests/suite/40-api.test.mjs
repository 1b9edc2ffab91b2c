/* Every RoomService method of livekit-server-sdk against a live room with people in it. */
import { DataPacket_Kind, RoomServiceClient, TwirpError } from 'livekit-server-sdk';
import { assert, gathering, newRoom, NodePerson, pageA, pageB, Person, rtcnode, sees, server, sleep, test, until } from '../lib/kit.mjs';
import { KEY, SECRET } from '../lib/server.mjs';

const api = async () => new RoomServiceClient((await server()).http, KEY, SECRET);
const code = (c) => (e) => {
    assert.equal(e.code ?? e.metadata?.code, c, `${e.message}`);
    return true;
};

test('RoomService: create, list, metadata, delete', async () => {
    const rs = await api();
    const name = newRoom('api');
    const r = await rs.createRoom({ name, emptyTimeout: 120, maxParticipants: 5, metadata: 'm0' });
    assert.match(r.sid, /^RM_/);
    assert.equal(r.name, name);
    assert.equal(r.emptyTimeout, 120);
    assert.equal(r.maxParticipants, 5);
    assert.equal(r.metadata, 'm0');
    assert.ok(Number(r.creationTime) > 1.6e9);
    assert.equal((await rs.createRoom({ name })).sid, r.sid, 'a second create gives the same room');
    assert.equal((await rs.listRooms([name])).length, 1);
    assert.ok((await rs.listRooms()).some((x) => x.name === name));
    assert.equal((await rs.listRooms(['no such room'])).length, 0);
    assert.equal((await rs.updateRoomMetadata(name, 'm1')).metadata, 'm1');
    await rs.deleteRoom(name);
    assert.equal((await rs.listRooms([name])).length, 0);
    await assert.rejects(rs.deleteRoom(name), code('not_found'));
    await assert.rejects(rs.listParticipants(name).then((l) => (l.length ? l : Promise.reject(Object.assign(new Error('empty'), { code: 'not_found' })))), code('not_found'));
});

test('RoomService on a room with people in it', async () => {
    const rs = await api();
    const a = new Person(await pageA(), 'ann', 1);
    const b = new Person(await pageB(), 'ben', 2);
    const r = new NodePerson(await rtcnode(), 'rob', 3);
    const room = newRoom('api');
    await gathering([a, b, r], async () => {
        await a.join(room, { grants: { name: 'Ann', metadata: 'am', attributes: { x: '1' } } });
        await b.join(room, { single: false });
        await r.join(room);
        await a.video();
        const { sid } = await sees(b, a);

        const list = await until('three are listed', async () => {
            const l = await rs.listParticipants(room);
            return l.length === 3 && l;
        });
        assert.deepEqual(list.map((p) => p.identity).sort(), ['ann', 'ben', 'rob']);
        await until('the counts of the room', async () => {
            const [x] = await rs.listRooms([room]);
            return x.numParticipants === 3 && x.numPublishers === 1;
        }, 8000);

        let p = await rs.getParticipant(room, 'ann');
        assert.equal(p.name, 'Ann');
        assert.equal(p.metadata, 'am');
        assert.deepEqual(p.attributes, { x: '1' });
        assert.equal(p.tracks[0].sid, sid);
        await assert.rejects(rs.getParticipant(room, 'nobody'), code('not_found'));

        await rs.updateRoomMetadata(room, 'new');
        await until('all hear of the metadata', async () => (await a.call('state')).metadata === 'new' && r.c.room.metadata === 'new');

        p = await rs.updateParticipant(room, 'ben', { metadata: 'bm', name: 'Ben', attributes: { y: '2' } });
        assert.equal(p.metadata, 'bm');
        await until('ann hears of ben\'s', async () => {
            const o = (await a.call('state')).others.find((x) => x.identity === 'ben');
            return o.metadata === 'bm' && o.name === 'Ben' && o.attributes.y === '2';
        });
        await rs.updateParticipant(room, 'ben', { attributes: { y: '' } });
        await until('an empty attribute is gone', async () =>
            (await a.call('state')).others.find((x) => x.identity === 'ben').attributes.y === undefined);

        await rs.mutePublishedTrack(room, 'ann', sid, true);
        await until('ann is muted', async () => (await a.call('state')).me.tracks[0].muted);
        await until('ben is told', async () => (await b.log('trackMuted')).length === 1);
        await rs.mutePublishedTrack(room, 'ann', 'TR_none', true).then((x) => assert.equal(x?.sid ?? '', '', 'no such track'), code('not_found'));
        await a.call('mute', 'camera', false);
        await sees(b, a);

        await rs.updateSubscriptions(room, 'ben', [sid], false);
        await until('ben is unsubscribed', async () => (await b.look()).length === 0);
        await rs.updateSubscriptions(room, 'ben', [sid], true);
        await sees(b, a);

        const bytes = new TextEncoder().encode('from the server');
        await rs.sendData(room, bytes, DataPacket_Kind.RELIABLE, { topic: 'srv', destinationIdentities: ['ben', 'rob'] });
        await until('both got it', async () => (await b.call('data')).some((d) => d.text === 'from the server' && d.topic === 'srv' && d.from === '')
            && r.c.data.some((d) => d.text === 'from the server'));
        await sleep(200);
        assert.equal((await a.call('data')).length, 0);

        p = await rs.updateParticipant(room, 'ann', { permission: { canSubscribe: true, canPublish: false, canPublishData: true } });
        assert.equal(p.permission.canPublish, false);
        await until('ann\'s camera is taken away', async () => (await b.look()).length === 0 && (await a.call('state')).me.canPublish === false);
        await assert.rejects(a.video(), /permission|not allowed|insufficient/i);

        if (rs.performRpc) assert.equal(await rs.performRpc(room, 'rob', 'echo', 'ping').then((x) => (x.payload ?? x).replace(/^.*:/, '')), 'ping');
        await assert.rejects(rs.forwardParticipant(room, 'rob', newRoom('elsewhere')));
        await assert.rejects(rs.moveParticipant(room, 'rob', newRoom('elsewhere')));

        await rs.removeParticipant(room, 'rob');
        await until('rob is out', async () => (await r.log('disconnected')).length === 1 && (await rs.listParticipants(room)).length === 2);
        await assert.rejects(rs.removeParticipant(room, 'rob'), code('not_found'));

        await rs.deleteRoom(room);
        await until('everybody is out', async () => (await a.log('disconnected'))[0]?.args[0] === 'ROOM_DELETED' && (await b.log('disconnected'))[0]?.args[0] === 'ROOM_DELETED');
        assert.equal((await rs.listRooms([room])).length, 0);
    });
});

test('refusals: wrong keys, missing grants, bad bodies', async () => {
    const { http } = await server();
    const post = (path, body, headers = {}) => fetch(`${http}${path}`, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
    await assert.rejects(new RoomServiceClient(http, KEY, 'wrong').listRooms());
    await assert.rejects(new RoomServiceClient(http, 'nobody', SECRET).listRooms());
    const none = await post('/twirp/livekit.RoomService/ListRooms', '{}');
    assert.equal(none.status, 401);
    assert.equal((await none.json()).code, 'unauthenticated');
    const { AccessToken } = await import('livekit-server-sdk');
    const t = new AccessToken(KEY, SECRET, { identity: 'x' });
    t.addGrant({ roomList: true });
    const authorization = `Bearer ${await t.toJwt()}`;
    const bad = await post('/twirp/livekit.RoomService/ListRooms', '{"names":', { authorization });
    assert.equal(bad.status, 400);
    assert.equal((await bad.json()).code, 'malformed');
    const route = await post('/twirp/livekit.RoomService/NoSuch', '{}', { authorization });
    assert.equal(route.status, 404);
    assert.equal((await route.json()).code, 'bad_route');
    const grant = await post('/twirp/livekit.RoomService/CreateRoom', '{"name":"n"}', { authorization });
    assert.equal(grant.status, 401);
    const ok = await post('/twirp/livekit.RoomService/ListRooms', '{}', { authorization });
    assert.equal(ok.status, 200);
    assert.ok(Array.isArray((await ok.json()).rooms));
    const binary = await post('/twirp/livekit.RoomService/ListRooms', new Uint8Array(0), { authorization, 'content-type': 'application/protobuf' });
    assert.equal(binary.status, 200);
    assert.equal(binary.headers.get('content-type'), 'application/protobuf');
    assert.ok(TwirpError);
});
