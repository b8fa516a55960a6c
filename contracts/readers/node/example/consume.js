// A consumer for one tenant, as a service would write it: node example/consume.js '{"brokers": [...], ...}'.
// `tls`: {ca, cert, key}, files of PEM; its certificate's name is the reader's of the grant, `group` begins with that and a dot.
// Prints one JSON line for each reading; ends after `count` of them, or never. Handle first, then commit.

import { readFileSync } from 'node:fs';
import kafkajs from 'kafkajs';
import { decompress } from 'fzstd';
import { EventOpener, ReadError, headerPairs, keyFolder, pinned } from '../src/index.js';

const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = kafkajs;
// The tenants' topics are compressed with zstd, which kafkajs does not bring.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  decompress: async (buffer) => Buffer.from(decompress(buffer)),
});

const { brokers, tls, topic, group, keys, signers, tenant, count = Infinity } = JSON.parse(process.argv[2]);
const ssl = tls && { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) };
const opener = new EventOpener({ keys: keyFolder(keys), signers: pinned(signers), tenant });
const consumer = new Kafka({ clientId: 'mk-node-reader', brokers, ssl, logLevel: logLevel.ERROR }).consumer({
  groupId: group,
  maxWaitTimeInMs: 200, // leaving waits for the fetch in flight
});
let left = count;

function read({ key, value, headers, timestamp }) {
  try {
    const brokerTimeMs = Number(timestamp);
    return opener.open({ topic, key, value, headers: headerPairs(headers), brokerTimeMs, nowMs: Date.now() });
  } catch (error) {
    if (error instanceof ReadError && !error.isTransient) return { kind: 'refused', reason: error.code };
    throw error; // kafkajs tries the record again: the key is not here yet
  }
}

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ partition, message }) => {
    const reading = read(message);
    console.log(JSON.stringify({ partition, offset: Number(message.offset), ...reading }));
    await consumer.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }]);
    left -= 1;
    if (left === 0) setImmediate(() => consumer.disconnect());
  },
});
