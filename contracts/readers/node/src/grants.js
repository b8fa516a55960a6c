// Opens a grant's keys (docs/wire-format.md, "Keys of a grant"): from `mk.t.<slot>.keys.v1` into a Keyring.

import { tampered } from './errors.js';
import { index } from './headers.js';
import { PrivateHalf } from './hpke.js';

const MESSAGE = Buffer.from('mkchannels grant key v1\0');
const INFO = Buffer.from('mkchannels grant key info v1\0');
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const uuid = (text) => Buffer.from(text.replaceAll('-', ''), 'hex');

function u16(number) {
  return Buffer.of(number >> 8, number & 255);
}

function u64(number) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(number));
  return out;
}

/**
 * One record: `{ topic, key, value, headers }` (headers as [name, Buffer] pairs), the `reader`'s own PrivateHalf and
 * `signers`, which must know the custodian. Gives `{ raw, half, grant, tenant, sealUntilMs }`; `raw` is for `Keyring.add`.
 * Throws `tampered`.
 */
export function openGrantKey({ topic, key, value, headers, reader, signers }) {
  const byName = index(headers);
  const by = byName.get('by')?.toString('ascii') ?? '';
  const signature = byName.get('sig');
  const signer = signers(by);
  if (!signer || !signature || !key || !value) throw tampered("a grant's key is not signed by anybody known");
  const name = Buffer.from(by);
  const where = Buffer.from(topic);
  const message = [MESSAGE, u16(name.length), name, u16(where.length), where, u16(key.length), key, value];
  signer.verify(signature, Buffer.concat(message), 'sign.grant_keys');
  try {
    const record = JSON.parse(value.toString('utf8'));
    const { grant, tenant, key_id: keyId, active_from_ms: activeFromMs, seal_until_ms: sealUntilMs } = record;
    const right = record.version === 1 && UUID.test(grant) && UUID.test(tenant) && /^[0-9a-f]{8}$/.test(keyId);
    if (!right || !uuid(grant).equals(key)) throw new RangeError('not a record of this grant');
    const info = [INFO, u16(where.length), where, uuid(tenant), uuid(grant), Buffer.from(keyId, 'hex')];
    const raw = reader.open(Buffer.from(record.wrapped, 'base64'), Buffer.concat([...info, u64(activeFromMs), u64(sealUntilMs)]));
    const half = new PrivateHalf(raw);
    if (half.keyId !== keyId) throw new RangeError('another key than it says');
    return { raw, half, grant, tenant, sealUntilMs };
  } catch {
    throw tampered("a grant's key does not open");
  }
}
