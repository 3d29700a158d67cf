/** The part of the TPM that runs anywhere, browsers included: the device, the client, the structures of Part 2. */
export * from './client/index.ts';
export { NobleCrypto } from './crypto/noble.ts';
export type { CryptoProvider } from './crypto/provider.ts';
export * from './device.ts';
export { StateFormatError } from './state/portable.ts';
export { PROFILES, type Profile } from './state/profile.ts';
export { MemoryStore, type RecordChange, type RecordStore } from './state/store.ts';
export * from './structures/index.ts';
export { ProfileError, Tpm, type TpmOptions } from './tpm.ts';
export { localTransport } from './transports/local.ts';
