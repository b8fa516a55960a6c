// Where private halves come from. Must never write a key anywhere.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PRIVATE_BYTES, PrivateHalf } from './hpke.js';

/** Private halves in memory: `raw` are Buffers of 96 bytes. */
export class Keyring {
  #halves = new Map();

  constructor(raw = []) {
    for (const one of raw) this.add(one);
  }

  add(raw) {
    const half = new PrivateHalf(raw);
    this.#halves.set(half.keyId, half);
  }

  /** The private half of that id (hex), or undefined. */
  get(keyId) {
    return this.#halves.get(keyId);
  }
}

/** Private halves as files of 96 bytes whose names end with the key id in hex; looked for whenever one is needed. */
export function keyFolder(folder) {
  return {
    get(keyId) {
      for (const name of readdirSync(folder).sort()) {
        if (!name.endsWith(keyId)) continue;
        const raw = readFileSync(join(folder, name));
        if (raw.length !== PRIVATE_BYTES) continue;
        const half = new PrivateHalf(raw);
        if (half.keyId === keyId) return half;
      }
      return undefined;
    },
  };
}
