// Reads a tenant's events (docs/wire-format.md). Must never log, keep or print what was said.

export { KnownErasures } from './erasures.js';
export { ReadError } from './errors.js';
export { openGrantKey } from './grants.js';
export { headerPairs } from './headers.js';
export { PrivateHalf } from './hpke.js';
export { Keyring, keyFolder } from './keys.js';
export { EventOpener } from './open.js';
export { pinned } from './signers.js';
