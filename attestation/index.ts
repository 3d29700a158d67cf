/** Attestation: evidence formats and appraisal, the verifier and its broker, their client. */
import type { ServeOptions, ServingAgent } from './agent/serve.ts';

export * from './agent/agent.ts';
export { AgentError, type KeyKind } from './agent/keys.ts';
export * from './appraise.ts';
export { tpmKek } from './broker/tpm-kek.ts';
export * from './cbor.ts';
export * from './client.ts';
export * from './cmw.ts';
export * from './corim/coev.ts';
export * from './corim/comid.ts';
export * from './corim/corim.ts';
export * from './corim/values.ts';
export * from './cose/index.ts';
export * from './ear/claims.ts';
export * from './ear/cwt.ts';
export * from './ear/cwt-sign.ts';
export * from './ear/jwt.ts';
export * from './eat.ts';
export * from './eat-claims.ts';
export * from './eat-sign.ts';
export * from './eventlog/binding.ts';
export * from './eventlog/canonical.ts';
export * from './eventlog/efi.ts';
export * from './eventlog/format.ts';
export * from './eventlog/host-log.ts';
export * from './eventlog/meaning.ts';
export * from './eventlog/replay.ts';
export * from './eventlog/secure-boot.ts';
export * from './eventlog/typed.ts';
export * from './eventlog/windows.ts';
export {
  decodeEvidence,
  EVIDENCE_MEDIA_TYPE,
  type Evidence,
  EvidenceError,
  encodeEvidence,
  type PlatformEvidence,
  quoteBinding,
} from './evidence.ts';
export * from './freshness.ts';
export * from './guest/appraise.ts';
export * from './guest/enrol.ts';
export * from './guest/evidence.ts';
export * from './ima/boot-aggregate.ts';
export * from './ima/increment.ts';
export * from './ima/keyrings.ts';
export * from './ima/list.ts';
export * from './ima/module-signature.ts';
export * from './ima/replay.ts';
export * from './ima/signature.ts';
export * from './machine/appraise.ts';
export * from './machine/certificates.ts';
export * from './machine/evidence.ts';
export * from './machine/ima.ts';
export * from './machine/learn.ts';
export * from './machine/manifests.ts';
export * from './machine/reference.ts';
export * from './policy/library.ts';
export * from './policy/model.ts';
export * from './policy/policy.ts';
export * from './policy/recorded.ts';
export * from './policy/test-file.ts';
export * from './quote.ts';
export * from './verifier/index.ts';
export * from './x509/attribute.ts';
export { CertificateError, readCertificate } from './x509/certificate.ts';
export { Trust, validateChain } from './x509/chain.ts';
export type { ServeOptions, ServingAgent };

/** Have an agent listen. Its web server is loaded for it alone. */
export const serveAgent = async (options: ServeOptions): Promise<ServingAgent> =>
  (await import('./agent/serve.ts')).serveAgent(options);
