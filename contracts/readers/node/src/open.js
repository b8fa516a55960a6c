// One record's bytes and headers in, one reading out. The steps are numbered as in docs/wire-format.md.

import { createHash } from 'node:crypto';
import { KnownErasures } from './erasures.js';
import { ReadError, tampered, violation } from './errors.js';
import { addedFacts, index, sealedDigest } from './headers.js';
import { decrypt } from './hpke.js';
import { decodeStatement, uuid } from './statement.js';

const PREFIX_BYTES = 24;
const NONCE_BYTES = 12;
const OVERHEAD_BYTES = PREFIX_BYTES + NONCE_BYTES + 16;
const MAGIC = Buffer.from([0x4d, 0x57, 1, 1]);
const CLOCK_SLACK_S = 300;
const KEY_KEPT_AFTER_S = 7 * 86_400;
const MAX_REPLAYS = 3;
const MAX_PERSONS = 64;
const EPOCHS_KEPT = 128;
const INFO = Buffer.from('mkchannels epoch v1\0');
const SIGNED = Buffer.from('mkchannels epoch signature v1\0');
const DIRECTIONS = new Map([['i', 'inbound'], ['o', 'outbound'], ['s', 'system']]);
const TENANT_TOPIC = /^mk\.t\.[^.]+\.events\.v1$/;
const SCHEMA = /^urn:mkchannels:event:([a-z0-9._]{1,64}):([1-9][0-9]{0,3})$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PSEUDONYM = /^[0-9a-f]{32}$/;
const DECIMAL = /^[0-9]{1,15}$/;
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$/;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** Opens a tenant's records; remembers who was erased and the epochs it opened last. */
export class EventOpener {
  #keys;
  #signers;
  #tenant;
  #epochs = new Map();

  /** `keys.get(keyId)`; `signers(name)`; `tenant`: whose records these must be. */
  constructor({ keys, signers, tenant, erased = new KnownErasures() }) {
    this.#keys = keys;
    this.#signers = signers;
    this.#tenant = tenant;
    this.erased = erased;
  }

  /** Drop what was opened before: a signer was revoked or a private half destroyed. */
  forget() {
    this.#epochs.clear();
  }

  /**
   * `headers`: [name, Buffer] pairs, all of them. `brokerTimeMs`: the record's timestamp. `key`: the record's key or
   * null. `nowMs`: the present, by which a key that is not here is known to be destroyed rather than late.
   * Gives { kind: 'event' | 'erased' | 'subject_erased' | 'unavailable', … }; throws ReadError.
   */
  open({ topic, key = null, value, headers, brokerTimeMs, nowMs = null }) {
    const sealed = value ?? Buffer.alloc(0);
    // 1. What was added after sealing.
    const facts = addedFacts(sealed, headers, this.#signers);
    const isReplay = facts.has('q_replay');
    let timeMs = brokerTimeMs;
    if (isReplay) {
      timeMs = addedNumber(facts.get('q_received_at'));
      if (addedNumber(facts.get('q_replay')) > MAX_REPLAYS) {
        throw new ReadError('replay_limit', 'the record was replayed three times already');
      }
    }
    // 2. Layout and epoch.
    const named = index(headers);
    const epoch = this.#epoch(topic, sealed, named, timeMs, nowMs);
    if (epoch === null) return { kind: 'unavailable', reason: 'key_gone' };
    const { statement } = epoch;
    // 3. The record belongs to this epoch, topic and time; the AEAD covers prefix, topic and headers.
    if (sealed.toString('hex', 4, 8) !== statement.recipientKeyId || statement.topic !== topic) {
      throw tampered('the record was sealed for something else');
    }
    if (timeMs / 1000 < statement.notBeforeS - CLOCK_SLACK_S) throw tampered('the record is older than its epoch');
    const aad = Buffer.concat([sealed.subarray(0, PREFIX_BYTES), sealedDigest(topic, headers)]);
    const body = sealed.subarray(PREFIX_BYTES + NONCE_BYTES);
    const plaintext = orTampered('the record does not open', () =>
      decrypt(epoch.key, sealed.subarray(PREFIX_BYTES, PREFIX_BYTES + NONCE_BYTES), body, aad),
    );
    // 4. Whose it is, and who may say it.
    const text = (name) => named.get(name)?.toString('latin1');
    if (text('ce_tenant') !== statement.tenant || (this.#tenant && this.#tenant !== statement.tenant)) {
      throw tampered("the record is another tenant's");
    }
    const isNotice = text('ce_type') === 'subject.erased';
    if (this.#signers(statement.signer)?.may.has('announce.erasure') !== isNotice) {
      throw tampered('the signer may not say this');
    }
    // 5. What it says.
    const schema = SCHEMA.exec(text('ce_dataschema') ?? '');
    if (!schema) throw violation("an event's schema is none of ours");
    if (isNotice) return this.#notice(schema, plaintext, statement, key);
    return this.#event({ type: schema[1], version: Number(schema[2]) }, plaintext, statement, text, key, isReplay);
  }

  /** The epoch, verified and opened now or before; null if its private half was destroyed. */
  #epoch(topic, sealed, named, timeMs, nowMs) {
    if (sealed.length < OVERHEAD_BYTES || !sealed.subarray(0, 4).equals(MAGIC)) throw tampered('not a transport record');
    const [encoded, sealedKey, signature] = ['ek_statement', 'ek_key', 'ek_sig'].map((name) => named.get(name));
    if (!encoded || !sealedKey || !signature) throw tampered('the epoch key is missing');
    const epochId = sealed.toString('hex', 8, PREFIX_BYTES);
    const known = this.#epochs.get(epochId);
    if (known?.encoded.equals(encoded) && known.sealedKey.equals(sealedKey) && known.signature.equals(signature)) {
      return known;
    }
    // a. The id is the key's hash.
    if (createHash('sha256').update(sealedKey).digest('hex').slice(0, 32) !== epochId) {
      throw tampered("the epoch key is not the record's");
    }
    const statement = decodeStatement(encoded);
    // b. The signature, before any private key is needed.
    const signer = this.#signers(statement.signer);
    if (!signer) throw tampered('sealed by nobody we know');
    if (!TENANT_TOPIC.test(statement.topic)) throw tampered('not a topic of a tenant');
    signer.verify(signature, Buffer.concat([SIGNED, encoded, sealedKey]), 'seal.tenant');
    // c. The private half.
    const half = this.#keys.get(statement.recipientKeyId);
    if (!half) {
      const gone = (statement.notAfterS + KEY_KEPT_AFTER_S) * 1000;
      if (timeMs > gone || (nowMs !== null && nowMs > gone)) return null;
      throw new ReadError('key_not_yet_known', 'no private half for this key id');
    }
    const key = orTampered('the epoch key does not open', () => half.open(sealedKey, Buffer.concat([INFO, encoded])));
    const epoch = { encoded, sealedKey, signature, statement, key };
    this.#epochs.set(epochId, epoch);
    if (this.#epochs.size > EPOCHS_KEPT) this.#epochs.delete(this.#epochs.keys().next().value);
    return epoch;
  }

  #notice(schema, plaintext, statement, key) {
    if (schema[1] !== 'subject.erased' || schema[2] !== '1') {
      throw violation('an erasure of a version that this release cannot read');
    }
    const said = json(plaintext).value;
    const isRead =
      UUID.test(said?.request) &&
      UUID.test(said.tenant) &&
      Array.isArray(said.pseudonyms) &&
      said.pseudonyms.length > 0 &&
      said.pseudonyms.every((one) => typeof one === 'string' && PSEUDONYM.test(one)) &&
      Number.isSafeInteger(said.watermark_s) &&
      Number.isSafeInteger(said.executed_at_ms);
    if (!isRead) throw violation('an erasure cannot be read');
    if (said.tenant !== statement.tenant || (key !== null && !(key.length === 16 && uuid(key) === said.request))) {
      throw tampered("the erasure is another tenant's or another request's");
    }
    const { request, tenant, pseudonyms, watermark_s, executed_at_ms } = said;
    const erased = { request, tenant, pseudonyms, watermark_s, executed_at_ms };
    this.erased.remember(erased);
    return { kind: 'subject_erased', ...erased };
  }

  #event({ type, version }, plaintext, statement, text, key, isReplay) {
    const must = (name, shape) => {
      const found = text(name);
      if (found === undefined || !shape.test(found)) throw violation("an event's headers cannot be read");
      return found;
    };
    const id = must('ce_id', UUID);
    const conversation = must('ce_subject', PSEUDONYM);
    const account = must('mk_account', UUID);
    const source = must('ce_source', /^[\x20-\x7e]*$/);
    const direction = DIRECTIONS.get(must('mk_dir', /^[ios]$/));
    const receivedAtMs = Number(must('mk_received_at', DECIMAL));
    const persons = [...new Set(must('mk_person', /^[0-9a-f,]*$/).split(',').filter(Boolean))];
    const messageRef = text('mk_ref') ? must('mk_ref', PSEUDONYM) : null;
    const occurredAt = text('ce_time') === undefined ? null : must('ce_time', TIME);
    if (occurredAt !== null && Number.isNaN(Date.parse(occurredAt))) throw violation("an event's time cannot be read");
    if (!persons.every((one) => PSEUDONYM.test(one)) || persons.length > MAX_PERSONS || text('ce_type') !== type) {
      throw violation("an event's headers contradict each other");
    }
    if (key !== null && key.toString('hex') !== conversation) throw tampered("the record's key is not its conversation");
    // The first 48 bits of the id are the event's own second; 0 when undated.
    const occurredMs = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
    const occurredS = occurredMs === 0 ? null : Math.floor(occurredMs / 1000);
    const covering = persons.map((one) => [one, this.erased.covering(one, occurredS, receivedAtMs)]).filter(([, by]) => by);
    const { tenant } = statement;
    if (covering.length > 0) {
      const pseudonyms = covering.map(([one]) => one);
      return { kind: 'erased', id, type, tenant, receivedAtMs, request: covering[0][1].request, pseudonyms };
    }
    const { value: data, raw } = json(plaintext);
    return {
      kind: 'event', id, type, version, tenant, account, source, direction, occurredAt, receivedAtMs, conversation,
      persons, messageRef, isReplay, data, raw,
    };
  }
}

function json(plaintext) {
  try {
    const raw = strictUtf8.decode(plaintext);
    return { value: JSON.parse(raw), raw };
  } catch {
    throw violation("an event's data is not JSON");
  }
}

function addedNumber(raw) {
  const decimal = raw?.toString('latin1') ?? '';
  if (!DECIMAL.test(decimal)) throw tampered('a fact that was added is not a number');
  return Number(decimal);
}

function orTampered(message, open) {
  try {
    return open();
  } catch {
    throw tampered(message);
  }
}
