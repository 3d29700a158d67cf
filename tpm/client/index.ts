/** A typed client for any TPM 2.0, over any transport. */
export * from './client.ts';
export * from './sessions.ts';
