/*
 * A UDP relay in front of the media port, to make a network bad: loss each way, silence, and a
 * change of path (the server sees the same client come from another port).
 */
import dgram from 'node:dgram';

const open = (addr, port) =>
    new Promise((ok, no) => {
        const s = dgram.createSocket({ type: 'udp4', recvBufferSize: 1 << 21, sendBufferSize: 1 << 21 });
        s.on('error', no);
        s.bind(port, addr, () => ok(s));
    });

/* o: {addr, port, to: {addr, port}} -> {loss, silent(on), change_path(), counts, close()} */
export async function startRelay(o) {
    const front = await open(o.addr, o.port ?? 0);
    const clients = new Map();
    const r = { loss: 0, quiet: false, up: 0, down: 0, lost: 0, addr: o.addr, port: front.address().port };
    let seed = 1;
    const dice = () => {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; /* the same loss in every run */
        return (seed >>> 8) / (1 << 24);
    };
    const drop = () => {
        const d = r.quiet || (r.loss > 0 && dice() < r.loss);
        if (d) r.lost++;
        return d;
    };
    const back = (c) => {
        const s = dgram.createSocket('udp4');
        s.on('message', (m) => {
            if (drop()) return;
            r.down++;
            front.send(m, c.port, c.address, () => {});
        });
        s.on('error', () => {});
        return s;
    };
    front.on('message', (m, from) => {
        if (drop()) return;
        const key = `${from.address}:${from.port}`;
        let c = clients.get(key);
        if (!c) {
            c = { address: from.address, port: from.port };
            c.sock = back(c);
            clients.set(key, c);
        }
        r.up++;
        c.sock.send(m, o.to.port, o.to.addr, () => {});
    });
    r.silent = (on) => {
        r.quiet = on;
    };
    r.change_path = () => {
        for (const c of clients.values()) {
            c.sock.close();
            c.sock = back(c);
        }
    };
    r.clients = () => clients.size;
    r.close = () => {
        front.close();
        for (const c of clients.values()) c.sock.close();
    };
    return r;
}
