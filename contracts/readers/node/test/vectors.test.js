// The published vectors, read by this reader: good ones give what they say, wrong ones the code of their error.

import assert from 'node:assert/strict';
import { createHash, createHmac, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decompress } from 'fzstd';
import { addedFactsMessage, sealedDigest } from '../src/headers.js';
import { PrivateHalf } from '../src/hpke.js';
import { EventOpener, Keyring, ReadError, openGrantKey } from '../src/index.js';
import { KnownSigner } from '../src/signers.js';
import { decodeStatement } from '../src/statement.js';

const load = (name) => JSON.parse(readFileSync(new URL(`../../../vectors/${name}.json`, import.meta.url)));
const hex = (text) => Buffer.from(text, 'hex');
const pairs = (headers) => headers.map(([name, value]) => [name, hex(value)]);
const keys = load('keys');
const signers = new Map(
  Object.entries(keys.signers)
    .filter(([name]) => name !== 'mallory')
    .map(([name, { public: raw, may }]) => [name, new KnownSigner(hex(raw), may)]),
);
const ring = new Keyring(['acme', 'other'].map((name) => hex(keys.recipients[name].private)));
const opener = (tenant) => new EventOpener({ keys: ring, signers: (name) => signers.get(name), tenant });

function read(by, one, shared) {
  const raw = (text) => hex(text.startsWith('=') ? shared[text] : text);
  return by.open({
    topic: one.topic,
    key: one.key === null ? null : hex(one.key),
    value: raw(one.value),
    headers: one.headers.map(([name, value]) => [name, raw(value)]),
    brokerTimeMs: one.broker_time_ms,
    nowMs: one.now_ms,
  });
}

function described(reading) {
  if (reading.kind === 'event') {
    const { id, type, version, tenant, account, source, direction, conversation, persons, raw } = reading;
    return {
      event: {
        id, type, version, tenant, account, source, direction, conversation, persons, data: raw,
        occurred_at: reading.occurredAt, received_at_ms: reading.receivedAtMs, message_ref: reading.messageRef,
        is_replay: reading.isReplay,
      },
    };
  }
  if (reading.kind === 'erased') {
    const { id, type, request, pseudonyms } = reading;
    return { erased: { id, type, request, pseudonyms } };
  }
  const { kind, ...said } = reading;
  return kind === 'unavailable' ? { unavailable: said.reason } : { subject_erased: said };
}

function asPublished(by, one, shared) {
  const { error } = one.reads;
  if (error && !one.needs_models) {
    assert.throws(() => read(by, one, shared), (thrown) => thrown instanceof ReadError && thrown.code === error, one.name);
  } else if (!error) {
    assert.deepEqual(described(read(by, one, shared)), one.reads, one.name);
  }
}

test('every record reads as published', () => {
  const { good, refused, shared } = load('record');
  assert.ok(good.length > 10 && refused.length > 100);
  for (const one of [...good, ...refused]) asPublished(opener(one.tenant), one, shared);
});

test('every wrong record is refused once its epoch is known as well', () => {
  const { good, refused, shared } = load('record');
  const by = opener(keys.tenants.acme);
  read(by, good[0], shared);
  for (const one of refused.filter((one) => one.tenant === keys.tenants.acme)) asPublished(by, one, shared);
});

test('events of an erased person read as erased', () => {
  const { sequence, shared } = load('erasure');
  const by = opener(keys.tenants.acme);
  for (const one of sequence) asPublished(by, one, shared);
});

test('statements decode, and wrong ones do not', () => {
  const { good, refused } = load('statement');
  for (const one of good) {
    const statement = decodeStatement(hex(one.encoded));
    assert.deepEqual(statement, {
      recipientKeyId: one.recipient_key_id, tenant: one.tenant, notBeforeS: one.not_before_s,
      notAfterS: one.not_after_s, signer: one.signer, topic: one.topic,
    });
    const message = Buffer.concat([Buffer.from('mkchannels epoch signature v1\0'), hex(one.encoded), hex(one.ek_key)]);
    signers.get(one.signer).verify(hex(one.ek_sig), message, 'seal.tenant');
  }
  for (const one of refused) assert.throws(() => decodeStatement(hex(one.encoded)), ReadError, one.because);
});

test('sealed epoch keys open, and changed ones do not', () => {
  for (const one of load('hpke').good) {
    const half = new PrivateHalf(hex(one.private));
    assert.equal(half.open(hex(one.sealed), hex(one.info)).toString('hex'), one.plaintext);
    for (const at of [0, 1087, 1088, 1119, 1120, 1167]) {
      const changed = hex(one.sealed);
      changed[at] ^= 1;
      assert.throws(() => half.open(changed, hex(one.info)), `byte ${at}`);
    }
  }
});

test('headers hash as published', () => {
  const { good, refused } = load('header_digest');
  for (const one of good) assert.equal(sealedDigest(one.topic, pairs(one.headers)).toString('hex'), one.digest, one.name);
  for (const one of refused) assert.throws(() => sealedDigest(one.topic, pairs(one.headers)), ReadError);
});

test('what added facts are signed over is as published', () => {
  for (const one of load('q_facts').good) {
    assert.equal(addedFactsMessage(hex(one.value), pairs(one.headers)).toString('hex'), one.message);
    signers.get('store').verify(hex(one.signature), hex(one.message), 'quarantine.tenant');
  }
});

test('pseudonyms, event ids, blocks and control records follow their description', () => {
  const u16 = (size) => Buffer.of(size >> 8, size & 255);
  const u32 = (size) => Buffer.concat([u16(size >>> 16), u16(size & 0xffff)]);
  const key = hex(keys.pseudonym_key);
  for (const one of load('pseudonym').good) {
    const value = Buffer.from(one.value);
    const mac = createHmac('sha256', key).update(one.domain).update(u16(value.length)).update(value).digest('hex');
    assert.equal(mac.slice(0, 32), one.pseudonym);
  }
  for (const one of load('event_id').good) {
    const mac = createHmac('sha256', key).update('mkchannels event id v1\0');
    for (const part of [one.object, one.account, one.kind, one.native_id ?? '', ...one.discriminator]) {
      mac.update(u32(Buffer.byteLength(part))).update(part);
    }
    const time = Math.floor((one.occurred_at_ms ?? 0) / 1000) * 1000;
    const raw = Buffer.concat([hex(time.toString(16).padStart(12, '0')), mac.digest().subarray(6, 16)]);
    raw[6] = (raw[6] & 0x0f) | 0x80;
    raw[8] = (raw[8] & 0x3f) | 0x80;
    assert.equal(raw.toString('hex'), one.id.replaceAll('-', ''));
  }
  for (const one of load('block').good) {
    assert.equal(Buffer.from(decompress(hex(one.compressed))).toString('hex'), one.plain);
  }
  const control = load('control');
  const of = (one) => {
    const [by, id] = [Buffer.from(one.by), hex(one.key)];
    return Buffer.concat([Buffer.from('mkchannels control v1\0'), u16(by.length), by, u16(id.length), id, hex(one.value)]);
  };
  for (const one of control.good) {
    assert.equal(of(one).toString('hex'), one.message);
    const der = Buffer.concat([hex('302a300506032b6570032100'), hex(keys.signers[one.by].public)]);
    const signer = createPublicKey({ key: der, format: 'der', type: 'spki' });
    assert.ok(verify(null, of(one), signer, hex(one.sig)));
  }
  assert.equal(createHash('sha256').update(hex(keys.recipients.acme.public)).digest('hex').slice(0, 8), keys.recipients.acme.key_id);
});

test("a grant's keys open for their reader, and nowhere else", () => {
  const vectors = load('grant');
  const reader = new PrivateHalf(hex(keys.recipients[vectors.reader].private));
  const open = (one) =>
    openGrantKey({
      topic: one.topic,
      key: hex(one.key),
      value: Buffer.from(one.value),
      headers: [['by', Buffer.from(one.by)], ['sig', hex(one.sig)]],
      reader,
      signers: (name) => signers.get(name),
    });
  for (const one of vectors.good) {
    const opened = open(one);
    assert.equal(opened.raw.toString('hex'), one.private);
    assert.equal(opened.tenant, one.tenant);
  }
  for (const one of vectors.refused) {
    assert.throws(() => open(one), (thrown) => thrown instanceof ReadError && thrown.code === 'tampered', one.because);
  }
});
