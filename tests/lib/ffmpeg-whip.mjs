/*
 * ffmpeg's own WHIP publisher (since ffmpeg 8), by the library of the npm package node-av: a process of its own that
 * sends FILE (Matroska with H.264 and Opus) at its own pace.
 *   node ffmpeg-whip.mjs FILE URL [TOKEN]
 */
import { Dictionary, FFmpegError, FormatContext, Packet } from 'node-av';

const [file, url, token] = process.argv.slice(2);
const check = (r, what) => {
    if (r >= 0) return;
    console.log(`${what}: ${new FFmpegError(r).message}`);
    process.exit(1);
};

const from = new FormatContext();
check(await from.openInput(file, null, null), 'input');
check(await from.findStreamInfo(null), 'streams');
const to = new FormatContext();
check(to.allocOutputContext2(null, 'whip', url), 'muxer');
for (const s of from.streams) {
    const o = to.newStream(null);
    check(s.codecpar.copy(o.codecpar), 'codec');
    o.codecpar.codecTag = 0;
    o.timeBase = s.timeBase;
}
check(await to.writeHeader(token ? Dictionary.fromObject({ authorization: token }) : null), 'connect');
console.log('connected');
const t0 = Date.now();
const p = new Packet();
p.alloc();
while ((await from.readFrame(p)) >= 0) {
    const { timeBase } = from.streams[p.streamIndex];
    const wait = (Number(p.dts) * timeBase.num * 1000) / timeBase.den - (Date.now() - t0);
    if (wait > 0) await new Promise((ok) => setTimeout(ok, wait));
    p.rescaleTs(timeBase, to.streams[p.streamIndex].timeBase);
    check(await to.writeFrame(p), 'send');
    p.unref();
}
await to.writeTrailer(); /* DELETE */
console.log('ended');
