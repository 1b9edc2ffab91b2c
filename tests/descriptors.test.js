// Our .proto files against the descriptors in the npm package @livekit/protocol: every number,
// type and name that both have must be equal, and what we lack is listed by name, so that a
// new version of the package says what it added.
//
//   node --test tests/descriptors.test.js
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { FileDescriptorSet, proto3, ScalarType } from '@bufbuild/protobuf';
import * as protocol from '@livekit/protocol';

import { lacking } from './descriptors.lacking.js';

const proto = join(dirname(fileURLToPath(import.meta.url)), '..', 'proto');

// Types that are ours to know although the package does not export them: well-known ones, the
// frames of the bus, what server and ingress say to each other, and our own.
const ONLY_OURS = /^(google\.protobuf|internal|rpc|sluice)\./;

/** "int64", "livekit.Room", "repeated string", "map<string, string>", "optional bool". */
function ourType(field, message, entries) {
  const entry = entries.get(field.typeName?.slice(1));
  if (entry) {
    const [key, value] = entry.field;
    return `map<${ourType(key, entry, entries)}, ${ourType(value, entry, entries)}>`;
  }
  const base = field.typeName ? field.typeName.slice(1) : ScalarType[field.type].toLowerCase();
  if (field.label === 3) return `repeated ${base}`;
  return isOptional(field, message) && !(field.type === 11) ? `optional ${base}` : base;
}

/** `optional` is written as a oneof of one member, which the wire cannot tell apart. */
function isOptional(field, message) {
  if (field.oneofIndex === undefined) return false;
  return message.oneofDecl[field.oneofIndex].name === `_${field.name}`;
}

function ourDescriptors() {
  const files = readdirSync(proto).filter((f) => f.endsWith('.proto'));
  const folder = mkdtempSync(join(tmpdir(), 'descriptors-'));
  const out = join(folder, 'set');
  execFileSync('protoc', [
    `--proto_path=${proto}`,
    '--include_imports',
    `--descriptor_set_out=${out}`,
    ...files,
  ]);
  const bytes = readFileSync(out);
  rmSync(folder, { recursive: true });
  const messages = new Map();
  const enums = new Map();
  const entries = new Map();
  const all = [];
  const walk = (name, m) => {
    if (m.options?.mapEntry) entries.set(name, m);
    else all.push([name, m]);
    for (const e of m.enumType) enums.set(`${name}.${e.name}`, e);
    for (const n of m.nestedType) walk(`${name}.${n.name}`, n);
  };
  for (const file of FileDescriptorSet.fromBinary(bytes).file) {
    for (const m of file.messageType) walk(`${file.package}.${m.name}`, m);
    for (const e of file.enumType) enums.set(`${file.package}.${e.name}`, e);
  }
  for (const [name, m] of all) {
    const fields = new Map();
    for (const f of m.field) {
      const grouped = f.oneofIndex !== undefined && !isOptional(f, m);
      fields.set(f.name, {
        number: f.number,
        type: ourType(f, m, entries),
        oneof: grouped ? m.oneofDecl[f.oneofIndex].name : '',
      });
    }
    messages.set(name, fields);
  }
  const values = new Map();
  for (const [name, e] of enums) values.set(name, new Map(e.value.map((v) => [v.name, v.number])));
  return { messages, enums: values };
}

function theirBase(kind, T) {
  if (kind === 'scalar') return ScalarType[T].toLowerCase();
  return (typeof T === 'function' && !T.typeName ? T() : T).typeName;
}

function theirType(f) {
  if (f.kind === 'map') return `map<${ScalarType[f.K].toLowerCase()}, ${theirBase(f.V.kind, f.V.T)}>`;
  const base = theirBase(f.kind, f.T);
  if (f.repeated) return `repeated ${base}`;
  return f.opt && f.kind !== 'message' ? `optional ${base}` : base;
}

function theirDescriptors() {
  const messages = new Map();
  const enums = new Map();
  const seeEnum = (T) => enums.set(T.typeName, new Map(T.values.map((v) => [v.name, v.no])));
  for (const value of Object.values(protocol)) {
    if (value && typeof value === 'object') {
      try {
        seeEnum(proto3.getEnumType(value));
      } catch {
        // an export of another kind
      }
    }
    if (!value?.typeName || !value.fields) continue;
    const fields = new Map();
    for (const f of value.fields.list()) {
      if (f.kind === 'enum') seeEnum(f.T);
      fields.set(f.name, {
        number: f.no,
        type: theirType(f),
        oneof: f.oneof?.name ?? '',
      });
    }
    messages.set(value.typeName, fields);
  }
  return { messages, enums };
}

const ours = ourDescriptors();
const theirs = theirDescriptors();

test('both sides have been read', () => {
  assert.ok(ours.messages.size > 150, `${ours.messages.size} messages of ours`);
  assert.ok(theirs.messages.size > 150, `${theirs.messages.size} messages of theirs`);
  assert.equal(ours.messages.get('livekit.SignalRequest').get('offer').number, 1);
});

test('every message of ours is one of theirs, field by field', () => {
  const wrong = [];
  for (const [name, fields] of ours.messages) {
    if (ONLY_OURS.test(name)) continue;
    const other = theirs.messages.get(name);
    if (!other) {
      wrong.push(`${name}: not in the package`);
      continue;
    }
    for (const [field, mine] of fields) {
      const its = other.get(field);
      if (!its) wrong.push(`${name}.${field}: not in the package`);
      else if (JSON.stringify(mine) !== JSON.stringify(its))
        wrong.push(`${name}.${field}: ${JSON.stringify(mine)}, theirs ${JSON.stringify(its)}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('every message of an ingress is held against theirs', () => {
  const held = [...ours.messages.keys()].filter((n) => /^livekit\.\w*Ingress/.test(n));
  assert.ok(held.length >= 11, held.join(' '));
  for (const name of held) assert.ok(theirs.messages.has(name), name);
});

test('what goes over the bus has the numbers that the originals use', () => {
  const numbers = (name) =>
    Object.fromEntries([...ours.messages.get(name)].map(([f, { number }]) => [f, number]));
  assert.deepEqual(numbers('internal.Msg'), { type_url: 1, value: 2, channel: 3 });
  assert.deepEqual(numbers('internal.Request'), {
    request_id: 1, client_id: 2, sent_at: 3, expiry: 4, multi: 5, request: 6, metadata: 7, raw_request: 8,
  });
  assert.deepEqual(numbers('internal.Response'), {
    request_id: 1, server_id: 2, sent_at: 3, response: 4, error: 5, code: 6, raw_response: 7, error_details: 8,
  });
  assert.deepEqual(numbers('internal.ClaimRequest'), { request_id: 1, server_id: 2, affinity: 3 });
  assert.deepEqual(numbers('internal.ClaimResponse'), { request_id: 1, server_id: 2 });
  assert.deepEqual(numbers('rpc.GetIngressInfoRequest'), { ingress_id: 1, stream_key: 2 });
  assert.deepEqual(numbers('rpc.GetIngressInfoResponse'), {
    info: 1, token: 2, ws_url: 3, logging_fields: 4, feature_flags: 5, project_id: 6,
  });
  assert.deepEqual(numbers('rpc.UpdateIngressStateRequest'), { ingress_id: 1, state: 2 });
  assert.deepEqual(numbers('rpc.StartIngressRequest'), {
    info: 1, token: 2, ws_url: 3, logging_fields: 4, feature_flags: 5,
  });
});

test('every enum of ours is one of theirs, value by value', () => {
  const wrong = [];
  for (const [name, values] of ours.enums) {
    const other = theirs.enums.get(name);
    if (!other) {
      wrong.push(`${name}: not in the package`);
      continue;
    }
    for (const [value, number] of values) {
      if (other.get(value) !== number)
        wrong.push(`${name}.${value}: ${number}, theirs ${other.get(value)}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('what we lack is known by name', () => {
  const found = [];
  for (const [kind, mine, other] of [
    ['message', ours.messages, theirs.messages],
    ['enum', ours.enums, theirs.enums],
  ]) {
    for (const [name, members] of other) {
      if (!name.startsWith('livekit.')) continue;
      if (!mine.has(name)) {
        found.push(`${kind} ${name}`);
        continue;
      }
      for (const member of members.keys())
        if (!mine.get(name).has(member)) found.push(`${kind} ${name}.${member}`);
    }
  }
  assert.deepEqual(found.sort(), [...lacking].sort());
});
