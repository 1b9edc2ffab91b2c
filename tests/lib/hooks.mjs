/* A server that is told by webhook; it checks every signature with the SDK's WebhookReceiver. */
import http from 'node:http';
import { WebhookReceiver } from 'livekit-server-sdk';
import { KEY, SECRET } from './server.mjs';

/*
 * o.status(n, event): what to answer to the n-th request (200); o.delay: ms before an answer.
 * -> {url, got: [{event, raw, headers, at}], refused: [..], bad: [..], stop()}
 */
export async function startHooks(o = {}) {
    const receiver = new WebhookReceiver(KEY, SECRET);
    const h = { got: [], refused: [], bad: [], n: 0 };
    const server = http.createServer(async (req, res) => {
        const parts = [];
        for await (const p of req) parts.push(p);
        const raw = Buffer.concat(parts).toString();
        const n = h.n++;
        let event;
        try {
            if (req.method !== 'POST' || req.url !== '/hook?a=b') throw new Error(`${req.method} ${req.url}`);
            event = await receiver.receive(raw, req.headers.authorization);
        } catch (e) {
            h.bad.push(`${e.message}: ${raw.slice(0, 200)}`);
            res.writeHead(401).end();
            return;
        }
        if (o.delay) await new Promise((ok) => setTimeout(ok, o.delay));
        const status = o.status?.(n, event) ?? 200;
        (status < 300 ? h.got : h.refused).push({ event, raw, headers: req.headers, at: Date.now() });
        res.writeHead(status).end();
    });
    await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
    h.url = `http://127.0.0.1:${server.address().port}/hook?a=b`;
    h.names = (room) => h.got.filter((g) => !room || g.event.room?.name === room).map((g) => g.event.event);
    h.of = (name, room) => h.got.find((g) => g.event.event === name && (!room || g.event.room?.name === room))?.event;
    h.stop = () => {
        server.closeAllConnections();
        return new Promise((ok) => server.close(ok));
    };
    return h;
}

/* Lines of a configuration with these receivers. */
export const hookConfig = (urls, more = '') =>
    [`webhook: { api_key: ${KEY}, urls: [${urls.map((u) => `'${u}'`).join(', ')}]${more} }`];
