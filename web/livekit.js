export {
    ConnectionQuality, ConnectionState, DisconnectReason, Room, RoomEvent, Track, VideoPresets, VideoQuality,
} from 'livekit-client';
