/**
 * The part of attestation that runs anywhere, browsers included: evidence, event logs, IMA, manifests, policies, appraisal
 * and results. What signs, serves or talks to a TPM is left out. Importing it makes the portable cryptography the provider
 * where there is no Node.
 */
import { nodeVerification } from './crypto/node.ts';
import { useVerification } from './crypto/port.ts';
import { portableVerification } from './crypto/portable.ts';

if (nodeVerification() === undefined) useVerification(portableVerification);

export * from './appraise.ts';
export * from './cbor.ts';
export * from './client.ts';
export * from './cmw.ts';
export * from './corim/coev.ts';
export * from './corim/comid.ts';
export * from './corim/corim.ts';
export * from './corim/values.ts';
export { decodeCoseKey } from './cose/key.ts';
export { CoseError, type Headers } from './cose/object.ts';
export * from './cose/sign1.ts';
export * from './ear/claims.ts';
export * from './ear/cwt.ts';
export * from './ear/jwt.ts';
export * from './eat.ts';
export * from './eat-claims.ts';
export * from './eventlog/binding.ts';
export * from './eventlog/canonical.ts';
export * from './eventlog/efi.ts';
export * from './eventlog/format.ts';
export * from './eventlog/meaning.ts';
export * from './eventlog/replay.ts';
export * from './eventlog/secure-boot.ts';
export * from './eventlog/typed.ts';
export * from './eventlog/windows.ts';
export { decodeEvidence, EVIDENCE_MEDIA_TYPE, type Evidence, EvidenceError, quoteBinding } from './evidence.ts';
export * from './freshness.ts';
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
export * from './machine/learn.ts';
export * from './machine/manifests.ts';
export * from './machine/reference.ts';
export * from './policy/library.ts';
export * from './policy/model.ts';
export * from './policy/policy.ts';
export * from './policy/test-file.ts';
export * from './quote.ts';
export * from './x509/attribute.ts';
export { CertificateError, readCertificate } from './x509/certificate.ts';
export { Trust, validateChain } from './x509/chain.ts';
