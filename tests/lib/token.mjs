import { AccessToken } from 'livekit-server-sdk';
import { KEY, SECRET } from './server.mjs';

/* o: grants to add or override, plus name, metadata, attributes, ttl, key, secret. */
export async function token(identity, room, o = {}) {
    const { name, metadata, attributes, ttl, key, secret, roomConfig, ...grants } = o;
    const t = new AccessToken(key ?? KEY, secret ?? SECRET, { identity, name, metadata, attributes, ttl: ttl ?? '1h' });
    t.addGrant({ roomJoin: true, room, canUpdateOwnMetadata: true, ...grants });
    if (roomConfig) t.roomConfig = roomConfig;
    return t.toJwt();
}
