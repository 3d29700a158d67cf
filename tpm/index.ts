/** A TPM 2.0: the device, a typed client, transports and the structures of Part 2. */
export * from './client/index.ts';
export * from './device.ts';
export { PROFILES, type Profile } from './state/profile.ts';
export { MemoryStore, type RecordChange, type RecordStore } from './state/store.ts';
export * from './structures/index.ts';
export { Tpm, type TpmOptions } from './tpm.ts';
