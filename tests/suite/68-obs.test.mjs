/* OBS Studio as Debian ships it, over RTMP: the two fields that a streamer fills, and a browser that watches. */
import { spawnSync } from 'node:child_process';
import { audioClip, videoClip } from '../lib/clips.mjs';
import { assert, gathering, hears, newRoom, others, pageA, Person, sees, test, until } from '../lib/kit.mjs';
import { startSite } from '../lib/ingest.mjs';
import { installed, ObsStudio } from '../lib/obsstudio.mjs';
import { ORIGINAL } from '../lib/server.mjs';

const skip = (ORIGINAL && 'the original has no RTMP of its own') || (!installed() && 'there is no OBS Studio here: tools/setup test');

/* 640x360 with picture and sound. */
async function clip(id) {
    const [video, audio] = await Promise.all([videoClip('h264', id, { w: 640, h: 360, fps: 30 }), audioClip(id)]);
    const file = `${video}.mkv`;
    const r = spawnSync('ffmpeg', ['-v', 'error', '-y', '-framerate', '30', '-i', video, '-i', audio, '-c', 'copy', file]);
    if (r.status !== 0) throw new Error(`ffmpeg: ${r.stderr}`);
    return file;
}

test('OBS Studio over RTMP -> chromium', { skip, timeout: 90000 }, async () => {
    const site = await startSite({ ingest: ['--rtmp-port', '0'] });
    const a = new Person(await pageA(), 'ann', 1);
    const c = await site.channel(newRoom('obs'), 'obs');
    const o = new ObsStudio({ server: `rtmp://127.0.0.1:${site.ingest.rtmp}/live`, key: c.key.slice(c.key.indexOf('-') + 1), clip: await clip(71), identity: 'obs', id: 71 });
    try {
        await gathering([a, o], async () => {
            await a.join(c.room, { ws: site.ws });
            await o.start();
            try {
                const v = await sees(a, o, 40000);
                assert.equal(`${v.w}x${v.h}`, '640x360');
                await hears(a, o, 20000);
            } catch (e) {
                throw new Error(`${e.message}\n${o.text.slice(-4000)}`);
            }
            assert.equal((await others(a))[0].kind, 1, 'a participant of kind INGRESS');
            const state = await until('the API says so', async () => {
                const s = await c.state();
                return s.status === 'ENDPOINT_PUBLISHING' && s;
            }, 5000);
            assert.equal((state.video.mime_type ?? state.video.mimeType).toLowerCase(), 'video/h264');
            await o.leave();
            await until('it left, after its grace time', async () => (await others(a)).length === 0, 20000);
        });
    } finally {
        await site.stop();
    }
});
