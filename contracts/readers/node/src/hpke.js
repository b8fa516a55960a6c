// Opens an epoch key: HPKE base mode, one shot, MLKEM768-X25519 (0x647a), HKDF-SHA256, AES-256-GCM.
// RFC 9180 and draft-ietf-hpke-pq; every value in between is in vectors/hpke.json.

import { createDecipheriv, createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';

const SEED_BYTES = 64;
export const PRIVATE_BYTES = 96;
const MLKEM_CIPHERTEXT_BYTES = 1088;
const ENC_BYTES = MLKEM_CIPHERTEXT_BYTES + 32;
const TAG_BYTES = 16;
export const SEALED_KEY_BYTES = ENC_BYTES + 32 + TAG_BYTES;
const XWING_LABEL = Buffer.from('5c2e2f2f5e5c', 'hex');
const SUITE = Buffer.concat([Buffer.from('HPKE'), Buffer.from('647a00010002', 'hex')]);
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI_X25519 = Buffer.from('302a300506032b656e032100', 'hex');
const NOTHING = Buffer.alloc(0);

/** A private half of 96 bytes: ML-KEM seed (64), then X25519 scalar (32). */
export class PrivateHalf {
  #mlkemSecret;
  #x25519;
  #x25519Public;

  constructor(raw) {
    if (raw.length !== PRIVATE_BYTES) throw new RangeError('a transport private key has 96 bytes');
    const { secretKey, publicKey } = ml_kem768.keygen(raw.subarray(0, SEED_BYTES));
    this.#mlkemSecret = secretKey;
    const der = Buffer.concat([PKCS8_X25519, raw.subarray(SEED_BYTES)]);
    this.#x25519 = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    this.#x25519Public = createPublicKey(this.#x25519).export({ format: 'der', type: 'spki' }).subarray(-32);
    /** Hex of the 4 bytes that name it: the start of the SHA-256 of the public half. */
    this.keyId = createHash('sha256').update(publicKey).update(this.#x25519Public).digest('hex').slice(0, 8);
  }

  /** The plaintext; throws if `sealed` or `info` was changed. */
  open(sealed, info) {
    if (sealed.length < ENC_BYTES + TAG_BYTES) throw new RangeError('too short');
    const mlkemCiphertext = sealed.subarray(0, MLKEM_CIPHERTEXT_BYTES);
    const share = sealed.subarray(MLKEM_CIPHERTEXT_BYTES, ENC_BYTES);
    // 1. Decapsulate both, combine with SHA3-256.
    const mlkemShared = ml_kem768.decapsulate(mlkemCiphertext, this.#mlkemSecret);
    const publicKey = createPublicKey({ key: Buffer.concat([SPKI_X25519, share]), format: 'der', type: 'spki' });
    const x25519Shared = diffieHellman({ privateKey: this.#x25519, publicKey });
    const shared = createHash('sha3-256')
      .update(mlkemShared)
      .update(x25519Shared)
      .update(share)
      .update(this.#x25519Public)
      .update(XWING_LABEL)
      .digest();
    // 2. Key schedule of the base mode.
    const context = Buffer.concat([
      Buffer.of(0),
      extract(NOTHING, 'psk_id_hash', NOTHING),
      extract(NOTHING, 'info_hash', info),
    ]);
    const secret = extract(shared, 'secret', NOTHING);
    const key = expand(secret, 'key', context, 32);
    const nonce = expand(secret, 'base_nonce', context, 12);
    // 3. The first (and only) message: the nonce is the base nonce, the AAD is empty.
    return decrypt(key, nonce, sealed.subarray(ENC_BYTES), NOTHING);
  }
}

/** AES-256-GCM; `ciphertext` ends with the tag. Throws unless it verifies. */
export function decrypt(key, nonce, ciphertext, aad) {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(ciphertext.subarray(0, -TAG_BYTES)), decipher.final()]);
}

function extract(salt, label, ikm) {
  return createHmac('sha256', salt).update('HPKE-v1').update(SUITE).update(label).update(ikm).digest();
}

function expand(secret, label, context, size) {
  return createHmac('sha256', secret)
    .update(Buffer.of(size >> 8, size & 255))
    .update('HPKE-v1')
    .update(SUITE)
    .update(label)
    .update(context)
    .update(Buffer.of(1))
    .digest()
    .subarray(0, size);
}
