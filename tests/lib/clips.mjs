/* Short files with a sender's marker and tone, made by ffmpeg, for `sluice join`. */
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drawRgba, tone } from './marker.mjs';

const W = 320;
const H = 180;
const FPS = 15;
const SECONDS = 4;
const KEY = ['-g', '15'];
const CODECS = {
    vp8: ['ivf', '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '400k', ...KEY],
    vp9: ['ivf', '-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '400k', ...KEY],
    av1: ['ivf', '-c:v', 'libaom-av1', '-usage', 'realtime', '-cpu-used', '8', '-b:v', '400k', ...KEY],
    h264: ['h264', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-profile:v', 'baseline', '-pix_fmt', 'yuv420p', '-bsf:v', 'h264_mp4toannexb', ...KEY],
};

let dir;

function ffmpeg(args, input) {
    return new Promise((ok, no) => {
        const p = spawn('ffmpeg', ['-v', 'error', '-y', ...args], { stdio: ['pipe', 'inherit', 'inherit'] });
        p.on('error', no);
        p.on('exit', (c) => (c ? no(new Error(`ffmpeg ended with ${c}`)) : ok()));
        if (input) input(p.stdin);
        else p.stdin.end();
    });
}

/* Beside the marker a strip of noise: a stream that is as large as one of a camera. */
function noise(buf, w, h, from, seed) {
    let x = (seed * 2654435761) >>> 0 || 1;
    for (let o = Math.floor(h * from) * w * 4; o < w * h * 4; o += 4) {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        buf[o] = buf[o + 1] = buf[o + 2] = x & 255;
    }
}

/* o: {w, h, fps, seconds, gop, kbps}; kbps fills the picture's foot with noise. */
export async function videoClip(codec, id, o = {}) {
    dir ??= mkdtempSync(join(tmpdir(), 'e2e-clips-'));
    const { w, h, fps, seconds } = { w: W, h: H, fps: FPS, seconds: SECONDS, ...o };
    const [ext, ...out] = CODECS[codec];
    if (o.gop) out.push('-g', String(o.gop), '-sc_threshold', '0');
    if (o.kbps) out.push('-b:v', `${o.kbps}k`, '-maxrate', `${o.kbps}k`, '-bufsize', `${o.kbps / 2}k`);
    const file = join(dir, `${codec}-${id}-${w}-${o.kbps ?? 0}.${ext}`);
    await ffmpeg(['-f', 'rawvideo', '-pix_fmt', 'rgba', '-s', `${w}x${h}`, '-r', String(fps), '-i', '-', '-pix_fmt', 'yuv420p', ...out, file], (stdin) => {
        const buf = new Uint8Array(w * h * 4);
        for (let i = 0; i < fps * seconds; i++) {
            drawRgba(buf, w, h, id, i);
            if (o.kbps) noise(buf, w, h, 0.8, i + 1);
            stdin.write(Buffer.from(buf));
        }
        stdin.end();
    });
    return file;
}

/* H.264 and stereo Opus in one Matroska file, `times` as long as a clip. */
export async function muxedClip(id, times) {
    const [v, a] = [await videoClip('h264', id), await audioClip(id)];
    const [once, file] = [join(dir, `once-${id}.mkv`), join(dir, `both-${id}.mkv`)];
    await ffmpeg(['-framerate', String(FPS), '-i', v, '-i', a, '-c:v', 'copy', '-c:a', 'libopus', '-ac', '2', '-b:a', '64k', once]);
    await ffmpeg(['-stream_loop', String(times - 1), '-i', once, '-c', 'copy', file]);
    return file;
}

export async function audioClip(id) {
    dir ??= mkdtempSync(join(tmpdir(), 'e2e-clips-'));
    const file = join(dir, `tone-${id}.ogg`);
    await ffmpeg(['-f', 'lavfi', '-i', `sine=frequency=${tone(id)}:sample_rate=48000:duration=${SECONDS}`, '-af', 'volume=3', '-c:a', 'libopus', '-b:a', '64k', file]);
    return file;
}
