/* The parts taken one by one: plain RTP in, and an ingest that feeds a foreign WebRTC server. */
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { audioClip, videoClip } from '../lib/clips.mjs';
import { startSite } from '../lib/ingest.mjs';
import { assert, gathering, hears, pageA, Person, sees, test, until } from '../lib/kit.mjs';
import { ORIGINAL } from '../lib/server.mjs';

const skip = ORIGINAL && 'the original takes no RTP';

/* ffmpeg, which sends one stream from one socket: picture and sound are two of them. */
async function ffmpegRtp(port, id) {
    const [video, audio] = [await videoClip('h264', id), await audioClip(id)];
    const send = (pt, ...input) =>
        spawn('ffmpeg', ['-v', 'error', '-re', '-stream_loop', '-1', ...input, '-c', 'copy', '-f', 'rtp', '-payload_type', String(pt), `rtp://127.0.0.1:${port}?pkt_size=1200`], { stdio: ['ignore', 'ignore', 'inherit'] });
    const both = [send(96, '-fflags', '+genpts', '-framerate', '15', '-f', 'h264', '-i', video), send(97, '-i', audio)];
    return { identity: 'live', id, leave: () => Promise.all(both.map((p) => p.exitCode ?? p.signalCode ?? (p.kill('SIGKILL'), new Promise((ok) => p.once('exit', ok))))) };
}

test('rtp: ffmpeg -f rtp -> chromium; a second sender is dropped until the first is silent', { skip, timeout: 90000 }, async () => {
    const site = await startSite({ ingest: ['--rtp-port', '0'] });
    const a = new Person(await pageA(), 'ann', 1);
    const stranger = dgram.createSocket('udp4');
    let second;
    try {
        const f = await ffmpegRtp(site.ingest.rtp, 41);
        await gathering([a, f], async () => {
            await a.join('live', { ws: site.ws });
            await Promise.all([sees(a, f, 20000), hears(a, f, 20000)]);
            const before = await site.ingest.metric('sluice_ingest_dropped_total', 'rtp', 'stranger');
            const packet = Buffer.alloc(100, 1);
            packet.writeUInt16BE(0x8060, 0);
            for (let i = 0; i < 50; i++) stranger.send(packet, site.ingest.rtp, '127.0.0.1');
            await until('strangers are counted', async () => (await site.ingest.metric('sluice_ingest_dropped_total', 'rtp', 'stranger')) === before + 50);
            stranger.send(Buffer.from('garbage'), site.ingest.rtp, '127.0.0.1');
            await sees(a, f);
            await f.leave();
            second = await ffmpegRtp(site.ingest.rtp, 42);
            await Promise.all([sees2(a, second), hears(a, second, 20000)]);
        });
    } finally {
        stranger.close();
        await second?.leave();
        assert.deepEqual(await site.stop(), [0, 0]);
    }
});

/* The picture changes hands within one track. */
const sees2 = (viewer, who) =>
    until(`${who.id} is seen`, async () => (await viewer.look()).some((x) => x.kind === 'video' && x.identity === who.identity && x.seen?.id === who.id), 20000);
