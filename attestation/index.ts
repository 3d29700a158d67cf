/** Attestation: evidence formats and appraisal, the verifier and its broker, their client. */

export * from './appraise.ts';
export * from './cbor.ts';
export * from './client.ts';
export * from './cose.ts';
export * from './eat.ts';
export * from './eventlog/binding.ts';
export * from './eventlog/efi.ts';
export * from './eventlog/format.ts';
export * from './eventlog/host-log.ts';
export * from './eventlog/meaning.ts';
export * from './eventlog/replay.ts';
export * from './eventlog/secure-boot.ts';
export * from './eventlog/typed.ts';
export * from './eventlog/windows.ts';
export * from './evidence.ts';
export * from './ima/list.ts';
export * from './ima/replay.ts';
export * from './ima/signature.ts';
export * from './machine/appraise.ts';
export * from './machine/evidence.ts';
export * from './machine/reference.ts';
export * from './policy/library.ts';
export * from './policy/model.ts';
export * from './policy/policy.ts';
export * from './quote.ts';
export * from './verifier/index.ts';
