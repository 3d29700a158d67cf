/** Attestation: evidence formats and appraisal, the verifier and its broker, their client. */

export * from './appraise.ts';
export * from './cbor.ts';
export * from './client.ts';
export * from './cose.ts';
export * from './eat.ts';
export * from './eventlog/format.ts';
export * from './eventlog/host-log.ts';
export * from './eventlog/replay.ts';
export * from './evidence.ts';
export * from './verifier/index.ts';
