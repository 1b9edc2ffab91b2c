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

export async function videoClip(codec, id) {
    dir ??= mkdtempSync(join(tmpdir(), 'e2e-clips-'));
    const [ext, ...out] = CODECS[codec];
    const file = join(dir, `${codec}-${id}.${ext}`);
    await ffmpeg(['-f', 'rawvideo', '-pix_fmt', 'rgba', '-s', `${W}x${H}`, '-r', String(FPS), '-i', '-', '-pix_fmt', 'yuv420p', ...out, file], (stdin) => {
        const buf = new Uint8Array(W * H * 4);
        for (let i = 0; i < FPS * SECONDS; i++) {
            drawRgba(buf, W, H, id, i);
            stdin.write(Buffer.from(buf));
        }
        stdin.end();
    });
    return file;
}

export async function audioClip(id) {
    dir ??= mkdtempSync(join(tmpdir(), 'e2e-clips-'));
    const file = join(dir, `tone-${id}.ogg`);
    await ffmpeg(['-f', 'lavfi', '-i', `sine=frequency=${tone(id)}:sample_rate=48000:duration=${SECONDS}`, '-af', 'volume=3', '-c:a', 'libopus', '-b:a', '64k', file]);
    return file;
}
