/** Attestation: evidence formats and appraisal, the verifier and its broker, their client. */
export * from './client.ts';
export * from './verifier/index.ts';
