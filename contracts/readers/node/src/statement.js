// The epoch statement: who seals what for whom, from when to when.

import { tampered } from './errors.js';

const FIXED_BYTES = 38;

/** Throws `tampered` unless `raw` is exactly one statement. Times are Unix seconds. */
export function decodeStatement(raw) {
  const unreadable = () => tampered('the epoch statement cannot be read');
  if (raw.length < FIXED_BYTES + 2 || raw[0] !== 1 || raw[1] !== 1) throw unreadable();
  const signerEnd = FIXED_BYTES + 1 + raw[FIXED_BYTES];
  if (signerEnd >= raw.length || signerEnd + 1 + raw[signerEnd] !== raw.length) throw unreadable();
  if (raw.subarray(FIXED_BYTES).some((byte) => byte > 127)) throw unreadable();
  return {
    recipientKeyId: raw.toString('hex', 2, 6),
    tenant: uuid(raw.subarray(6, 22)),
    notBeforeS: Number(raw.readBigUInt64BE(22)),
    notAfterS: Number(raw.readBigUInt64BE(30)),
    signer: raw.toString('latin1', FIXED_BYTES + 1, signerEnd),
    topic: raw.toString('latin1', signerEnd + 1),
  };
}

/** The text of a UUID's 16 bytes. */
export function uuid(raw) {
  const hex = raw.toString('hex');
  return [0, 8, 12, 16, 20].map((at, i, all) => hex.slice(at, all[i + 1])).join('-');
}
