/** Services: what a partition may ask of the nexus. */
export * from './abi.ts';
export * from './keys.ts';
export * from './requests.ts';
export * from './sealing.ts';
export * from './services.ts';
