// Whose signatures count, and for what. A known signer on something outside its list is as wrong as a forger.

import { createPublicKey, verify } from 'node:crypto';
import { tampered } from './errors.js';

const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');
/** What a process of each name may say, of what a reader meets. */
const RIGHTS = {
  router: ['seal.tenant'],
  erasure: ['seal.tenant', 'announce.erasure'],
  store: ['quarantine.tenant'],
  custodian: ['sign.grant_keys'],
};

/** A public signing key of 32 bytes and what it may say. */
export class KnownSigner {
  #key;

  constructor(raw, may) {
    if (raw.length !== 32) throw new RangeError('a public signing key has 32 bytes');
    this.#key = createPublicKey({ key: Buffer.concat([SPKI_ED25519, raw]), format: 'der', type: 'spki' });
    this.may = new Set(may);
  }

  /** Throws `tampered` if the signature is wrong or the signer may not say this. */
  verify(signature, message, right) {
    if (!this.may.has(right)) throw tampered('the signer may not sign this');
    if (!verify(null, message, this.#key, signature)) throw tampered('the signature does not verify');
  }
}

/** A look-up for pinned keys: process name to base64 of its 32 public bytes. */
export function pinned(publicKeys) {
  const known = new Map();
  for (const [name, encoded] of Object.entries(publicKeys)) {
    if (!Object.hasOwn(RIGHTS, name)) throw new RangeError('not a process whose records a reader meets');
    known.set(name, new KnownSigner(Buffer.from(encoded, 'base64'), RIGHTS[name]));
  }
  return (name) => known.get(name);
}
