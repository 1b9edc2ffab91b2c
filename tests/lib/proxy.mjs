/*
 * Stands between a client and the server's HTTP port.  Passes everything on, hands every
 * signalling frame to `seen`, can answer 404 on /rtc/v1 (as servers before it existed do), and
 * can cut the WebSockets as a network would: no close frame.
 */
import http from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

/* o: {target: 'http://..', no_v1, seen({conn, dir, data, binary, url})} -> {ws, cut(), hold(), close()} */
export async function startProxy(o) {
    const target = new URL(o.target);
    const pairs = new Set();
    let conn_n = 0;
    let refuse = false;
    const note = (x) => o.seen?.(x);

    const srv = http.createServer((req, res) => {
        if (refuse) return req.socket.destroy();
        if (o.no_v1 && req.url.startsWith('/rtc/v1')) {
            note({ conn: 0, dir: 'http', url: req.url, status: 404, data: '' });
            res.statusCode = 404;
            return res.end();
        }
        const up = http.request({ host: target.hostname, port: target.port, path: req.url, method: req.method, headers: req.headers }, (r) => {
            const parts = [];
            res.writeHead(r.statusCode, r.headers);
            r.on('data', (d) => {
                parts.push(d);
                res.write(d);
            });
            r.on('end', () => {
                note({ conn: 0, dir: 'http', url: req.url, status: r.statusCode, data: Buffer.concat(parts).toString() });
                res.end();
            });
        });
        up.on('error', () => res.destroy());
        req.pipe(up);
    });

    const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    srv.on('upgrade', (req, socket, head) => {
        if (refuse) return socket.destroy();
        if (o.no_v1 && req.url.startsWith('/rtc/v1')) {
            note({ conn: 0, dir: 'http', url: req.url, status: 404, data: '' });
            return socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        }
        const conn = ++conn_n;
        const headers = {};
        for (const h of ['authorization', 'user-agent', 'origin']) if (req.headers[h]) headers[h] = req.headers[h];
        const up = new WebSocket(`ws://${target.host}${req.url}`, { headers, perMessageDeflate: false });
        const early = [];
        let down = null;
        up.on('message', (data, binary) => {
            note({ conn, dir: 's>c', data, binary, url: req.url });
            if (down) down.send(data, { binary });
            else early.push([data, binary]);
        });
        up.on('unexpected-response', (_, r) => {
            const parts = [];
            r.on('data', (d) => parts.push(d));
            r.on('end', () => {
                const body = Buffer.concat(parts);
                note({ conn, dir: 'http', url: req.url, status: r.statusCode, data: body.toString() });
                socket.end(`HTTP/1.1 ${r.statusCode} ${r.statusMessage}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
            });
        });
        up.on('error', () => socket.destroy());
        up.on('open', () => {
            note({ conn, dir: 'open', url: req.url });
            wss.handleUpgrade(req, socket, head, (ws) => {
                down = ws;
                const pair = { socket, up: up._socket };
                pairs.add(pair);
                for (const [d, binary] of early) ws.send(d, { binary });
                ws.on('message', (data, binary) => {
                    note({ conn, dir: 'c>s', data, binary, url: req.url });
                    if (up.readyState === WebSocket.OPEN) up.send(data, { binary });
                });
                const code = (c) => (c === 1005 || c === 1006 || c < 1000 ? undefined : c);
                ws.on('close', (c) => {
                    note({ conn, dir: 'c-close', code: c, url: req.url });
                    pairs.delete(pair);
                    c === 1006 ? up.terminate() : up.close(code(c));
                });
                up.on('close', (c) => {
                    note({ conn, dir: 's-close', code: c, url: req.url });
                    pairs.delete(pair);
                    c === 1006 ? ws.terminate() : ws.close(code(c));
                });
                ws.on('error', () => {});
            });
        });
    });
    await new Promise((ok) => srv.listen(0, '127.0.0.1', ok));
    const { port } = srv.address();
    return {
        ws: `ws://127.0.0.1:${port}`,
        http: `http://127.0.0.1:${port}`,
        /* Resets every WebSocket there is. */
        cut() {
            for (const p of pairs) {
                p.socket.resetAndDestroy();
                p.up.resetAndDestroy();
            }
            pairs.clear();
        },
        /* While on, newcomers are refused too. */
        hold(on) {
            refuse = on;
        },
        close() {
            this.cut();
            srv.closeAllConnections();
            srv.close();
        },
    };
}
