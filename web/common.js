/* What the pages on livekit-client share: tiles and chat. */
import { RoomEvent, Track } from 'livekit-client';
import { chatBox } from './ui.js';

export * from './ui.js';

/* The server takes the wished identity for the name: without the four digits that make it unique. */
export const label = (p) =>
    p.name && p.name !== p.identity && !p.identity.startsWith('watch_') ? p.name : (p.name || p.identity).replace(/-[0-9a-f]{4}$/, '');

/* One figure for each picture, and one for each person who publishes but shows none. */
export class Stage {
    constructor(el, room, o) {
        Object.assign(this, { el, room, o, tiles: new Map() });
        const E = RoomEvent;
        const again = () => this.draw();
        for (const ev of [E.TrackSubscribed, E.TrackUnsubscribed, E.TrackMuted, E.TrackUnmuted, E.LocalTrackPublished, E.LocalTrackUnpublished,
            E.ParticipantConnected, E.ParticipantDisconnected, E.ParticipantNameChanged, E.Connected, E.Disconnected, E.TrackPublished, E.TrackUnpublished])
            room.on(ev, again);
        room.on(E.ActiveSpeakersChanged, () => this.speakers());
        room.on(E.TrackSubscribed, (t) => t.kind === 'audio' && this.sound(t));
        room.on(E.TrackUnsubscribed, (t) => t.kind === 'audio' && t.detach().forEach((x) => x.remove()));
        room.on(E.Disconnected, () => document.querySelectorAll('audio').forEach((x) => x.remove()));
    }
    sound(track) {
        const a = track.attach();
        a.muted = this.muted ?? false;
        document.body.append(a);
    }
    mute(yes) {
        this.muted = yes;
        document.querySelectorAll('audio').forEach((a) => {
            a.muted = yes;
            if (!yes) a.play().catch(() => {});
        });
    }
    wanted() {
        const out = [];
        const people = [...(this.o.self ? [this.room.localParticipant] : []), ...this.room.remoteParticipants.values()];
        for (const p of people) {
            let pictures = 0;
            for (const pub of p.trackPublications.values()) {
                if (pub.kind !== 'video' || !pub.videoTrack || pub.isMuted) continue;
                const share = pub.source === Track.Source.ScreenShare;
                out.push({ key: p.identity + pub.trackSid, p, track: pub.videoTrack, share });
                if (!share) pictures++;
            }
            const shows = this.o.everybody || p.trackPublications.size > 0;
            if (!pictures && shows) out.push({ key: p.identity, p });
        }
        return out.sort((a, b) => !!b.share - !!a.share);
    }
    draw() {
        const want = this.room.state === 'disconnected' ? [] : this.wanted();
        for (const [key, t] of this.tiles)
            if (!want.some((w) => w.key === key && w.track === t.track)) {
                t.track?.detach().forEach((v) => v.remove());
                t.el.remove();
                this.tiles.delete(key);
            }
        for (const w of want) {
            if (!this.tiles.has(w.key)) this.tiles.set(w.key, this.make(w));
            const { el, caption } = this.tiles.get(w.key);
            const self = w.p === this.room.localParticipant;
            const quiet = [...w.p.audioTrackPublications.values()].every((x) => x.isMuted);
            caption.textContent = `${label(w.p)}${self ? ' (you)' : ''}${w.share ? ': screen' : quiet ? ', muted' : ''}`;
            this.el.append(el);
        }
        this.el.classList.toggle('shared', want.some((w) => w.share));
        this.o.drawn?.(want);
        this.speakers();
    }
    make(w) {
        const el = document.createElement('figure');
        el.className = w.share ? 'tile share' : 'tile';
        el.dataset.identity = w.p.identity;
        const caption = document.createElement('figcaption');
        if (w.track) {
            const v = w.track.attach();
            v.muted = true;
            v.playsInline = true;
            if (w.p === this.room.localParticipant && !w.share) v.style.transform = 'scaleX(-1)';
            el.append(v);
        } else {
            const f = document.createElement('span');
            f.className = 'face';
            f.ariaHidden = 'true';
            f.textContent = [...label(w.p)][0]?.toUpperCase() ?? '?';
            el.append(f);
        }
        el.append(caption);
        return { el, caption, track: w.track };
    }
    speakers() {
        const who = new Set(this.room.activeSpeakers.map((p) => p.identity));
        for (const t of this.tiles.values()) t.el.classList.toggle('talks', who.has(t.el.dataset.identity));
    }
}

const CHAT = 'lk.chat';

/* Text messages as LiveKit's own components send them. */
export function chat(room, seen) {
    const { line } = chatBox((text) => room.localParticipant.sendText(text, { topic: CHAT }));
    room.registerTextStreamHandler(CHAT, async (reader, from) => {
        const text = await reader.readAll();
        const p = room.remoteParticipants.get(from.identity);
        line(label(p ?? from) || 'A viewer', text.slice(0, 2000));
        seen();
    });
}
