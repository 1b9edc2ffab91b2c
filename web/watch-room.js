/* The player on livekit-client, for when WHEP does not get through: it can do TCP and reconnects in more
 * ways, and takes half a megabyte. */
import { DisconnectReason, Room, RoomEvent, VideoQuality } from 'livekit-client';
import { $, ask, chat, randomId, say, Stage } from './common.js';

const RETRY_MS = [500, 1000, 2000, 4000, 8000];

/* o: {name, live(bool), seen()} -> {sound(on), quality(id), close()} */
export function watchByRoom(o) {
    const me = `viewer-${randomId()}`;
    const room = new Room({ adaptiveStream: true });
    let wanted = 'auto';
    const quality = () => {
        const q = { low: VideoQuality.LOW, medium: VideoQuality.MEDIUM, high: VideoQuality.HIGH, auto: VideoQuality.HIGH }[wanted];
        for (const p of room.remoteParticipants.values())
            for (const pub of p.videoTrackPublications.values()) if (pub.isSubscribed) pub.setVideoQuality(q ?? VideoQuality.HIGH);
    };
    const stage = new Stage($('stage'), room, {
        drawn: (tiles) => {
            o.live(tiles.length > 0, tiles.some((t) => t.track));
            const n = 1 + [...room.remoteParticipants.values()].filter((p) => p.trackPublications.size === 0).length;
            $('count').textContent = n === 1 ? '1 viewer' : `${n} viewers`;
            quality();
        },
    });
    let tries = 0;
    let over = false;
    const later = () => setTimeout(connect, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
    async function connect() {
        if (over) return;
        try {
            const { url, token } = await ask(o.name, me, 'watch', o.token);
            await room.connect(url, token);
            tries = 0;
            say('');
            stage.draw();
        } catch (err) {
            say(`Not connected (${err.message}): trying again`);
            later();
        }
    }
    room.on(RoomEvent.Reconnecting, () => say('Connection lost: reconnecting'));
    room.on(RoomEvent.SignalReconnecting, () => say('Connection lost: reconnecting'));
    room.on(RoomEvent.Reconnected, () => say(''));
    room.on(RoomEvent.Disconnected, (reason) => {
        stage.draw();
        if (reason === DisconnectReason.CLIENT_INITIATED) return;
        if (reason === DisconnectReason.PARTICIPANT_REMOVED) {
            say('You were removed from this room.');
            return;
        }
        say('Connection lost: trying again');
        later();
    });
    chat(room, o.seen);
    connect();
    return {
        sound(on) {
            stage.mute(!on);
            if (on) room.startAudio().catch(() => {});
        },
        quality(id) {
            wanted = id;
            quality();
        },
        close() {
            over = true;
            room.disconnect();
        },
    };
}
