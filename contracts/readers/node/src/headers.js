// Headers: unique names, the digest that the seal covers, and signed `q_*` facts. Values are Buffers, names strings.

import { createHash } from 'node:crypto';
import { tampered } from './errors.js';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest();
const byName = ([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b));

function u16(number) {
  const out = Buffer.alloc(2);
  out.writeUInt16BE(number);
  return out;
}

function u32(number) {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(number);
  return out;
}

/** [name, Buffer] pairs of a Kafka client's header object, where a name that stands twice has a list of values. */
export function headerPairs(headers) {
  return Object.entries(headers ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => [name, Buffer.from(one ?? '')]),
  );
}

/** A Map by name. Throws `tampered` if a name stands twice: readers might take either. */
export function index(headers) {
  const found = new Map(headers);
  if (found.size !== headers.length) throw tampered('a header stands twice');
  return found;
}

function canonical(topic, pairs) {
  const parts = [];
  const text = (value) => {
    const encoded = Buffer.from(value);
    parts.push(u16(encoded.length), encoded);
  };
  text(topic);
  let previous;
  for (const [name, value] of pairs.toSorted(byName)) {
    if (name === previous) throw tampered('a header stands twice');
    previous = name;
    text(name);
    parts.push(u32(value.length), value);
  }
  return Buffer.concat(parts);
}

/** SHA-256 over the topic and all `ce_*` and `mk_*` headers. */
export function sealedDigest(topic, headers) {
  const covered = headers.filter(([name]) => name.startsWith('ce_') || name.startsWith('mk_'));
  return sha256(canonical(topic, covered));
}

/** What `q_sig` is over. */
export function addedFactsMessage(value, headers) {
  const original = headers.filter(([name]) => !name.startsWith('q_'));
  const added = headers.filter(([name]) => name.startsWith('q_') && name !== 'q_sig');
  return Buffer.concat([
    Buffer.from('mkchannels q-facts v1\0'),
    sha256(value),
    sha256(canonical('', original)),
    canonical('', added),
  ]);
}

/** The `q_*` facts, verified; an empty Map if there are none. */
export function addedFacts(value, headers, signers) {
  const facts = new Map([...index(headers)].filter(([name]) => name.startsWith('q_')));
  if (facts.size === 0) return facts;
  const signature = facts.get('q_sig');
  const signer = signers(facts.get('q_by')?.toString('latin1') ?? '');
  if (!signature || !signer) throw tampered('added facts are signed by nobody we know');
  signer.verify(signature, addedFactsMessage(value, headers), 'quarantine.tenant');
  return facts;
}
