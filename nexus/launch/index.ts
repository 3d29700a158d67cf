/** Launch: what is measured, and what a signer says of it. */
export * from './late-launch.ts';
export * from './manifest.ts';
export * from './measurement.ts';
export * from './release.ts';
export * from './root-policy.ts';
