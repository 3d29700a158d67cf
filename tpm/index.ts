/** A TPM 2.0: the device, a typed client, transports and servers, durable state, manufacture. */
export * from './browser.ts';
export { NodeCrypto } from './crypto/node.ts';
export * from './manufacture/index.ts';
export { StoreError } from './state/store-error.ts';
export { type Durability, FileStore, type FileStoreOptions } from './state/store-file.ts';
export type { KeySource } from './state/store-key.ts';
export * from './transports/index.ts';
