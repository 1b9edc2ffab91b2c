/*
 * The pages before a server with them: serves web/dist with the two endpoints they use, in
 * front of any server that speaks LiveKit.  /api/join: {url, token}, meet asks for `key`;
 * /api/rooms: {rooms: [{name, sid, participants, publishers}]}.
 */
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RoomServiceClient } from 'livekit-server-sdk';
import { KEY, SECRET } from './server.mjs';
import { token } from './token.mjs';

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };
export const DIST = fileURLToPath(new URL('../../web/dist/', import.meta.url));
export const built = () => existsSync(`${DIST}meet.html`);

export async function serveWeb(srv, key) {
    const rs = new RoomServiceClient(srv.http, KEY, SECRET);
    const s = http.createServer(async (req, res) => {
        const u = new URL(req.url, 'http://x');
        const json = (status, v) => {
            res.writeHead(status, { 'content-type': 'application/json' });
            res.end(JSON.stringify(v));
        };
        if (u.pathname === '/api/join') {
            const [room, who, role] = ['room', 'identity', 'role'].map((k) => u.searchParams.get(k));
            if (role !== 'watch' && key && u.searchParams.get('key') !== key) return json(403, { error: 'this server asks for a key' });
            return json(200, { url: srv.ws, token: await token(who, room, { name: who, canPublish: role !== 'watch', canPublishData: true }) });
        }
        if (u.pathname === '/api/rooms')
            return json(200, { rooms: (await rs.listRooms()).map((r) => ({ name: r.name, sid: r.sid, participants: r.numParticipants, publishers: r.numPublishers })) });
        const file = u.pathname === '/' ? 'index.html' : u.pathname.startsWith('/meet/') ? 'meet.html' : u.pathname.startsWith('/watch/') ? 'watch.html' : u.pathname.slice(1);
        if (!existsSync(DIST + file)) return json(404, {});
        res.writeHead(200, { 'content-type': TYPES[extname(file)] });
        res.end(readFileSync(DIST + file));
    });
    await new Promise((ok) => s.listen(0, '127.0.0.1', ok));
    return {
        http: `http://localhost:${s.address().port}`,
        close: () => {
            s.closeAllConnections();
            s.close();
        },
    };
}
