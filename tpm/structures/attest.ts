/** Attestation structures: what a TPM signs. Part 2, section 10.12. */
import {
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_MAX_NV_BUFFER,
  TPM2B_NAME,
  TPML_PCR_SELECTION,
  TPMS_CLOCK_INFO,
  TPMS_TIME_INFO,
} from './base.ts';
import { buffer, type Infer, oneOf, struct, tagged, u16, u32, u64, yesNo } from './codec.ts';
import { TPM_GENERATED_VALUE, TPM_RC, TPM_ST } from './constants.ts';

export const TPMS_CERTIFY_INFO = struct({ name: TPM2B_NAME, qualifiedName: TPM2B_NAME });
export const TPMS_QUOTE_INFO = struct({ pcrSelect: TPML_PCR_SELECTION, pcrDigest: TPM2B_DIGEST });
export const TPMS_COMMAND_AUDIT_INFO = struct({
  auditCounter: u64,
  digestAlg: u16,
  auditDigest: TPM2B_DIGEST,
  commandDigest: TPM2B_DIGEST,
});
export const TPMS_SESSION_AUDIT_INFO = struct({ exclusiveSession: yesNo, sessionDigest: TPM2B_DIGEST });
export const TPMS_CREATION_INFO = struct({ objectName: TPM2B_NAME, creationHash: TPM2B_DIGEST });
export const TPMS_TIME_ATTEST_INFO = struct({ time: TPMS_TIME_INFO, firmwareVersion: u64 });
export const TPMS_NV_CERTIFY_INFO = struct({ indexName: TPM2B_NAME, offset: u16, nvContents: TPM2B_MAX_NV_BUFFER });
export const TPMS_NV_DIGEST_CERTIFY_INFO = struct({ indexName: TPM2B_NAME, nvDigest: TPM2B_DIGEST });

/**
 * TPMS_ATTEST. Part 2, section 10.12.12. `magic` other than TPM_GENERATED_VALUE is TPM_RC_VALUE, so that a structure
 * that decodes did come from a TPM (once its signature by a restricted key is verified).
 */
export const TPMS_ATTEST = tagged(
  {
    magic: oneOf(u32, [TPM_GENERATED_VALUE], TPM_RC.VALUE),
    type: u16,
    qualifiedSigner: TPM2B_NAME,
    extraData: TPM2B_DATA,
    clockInfo: TPMS_CLOCK_INFO,
    firmwareVersion: u64,
  },
  'type',
  {
    [TPM_ST.ATTEST_NV]: { attested: TPMS_NV_CERTIFY_INFO },
    [TPM_ST.ATTEST_COMMAND_AUDIT]: { attested: TPMS_COMMAND_AUDIT_INFO },
    [TPM_ST.ATTEST_SESSION_AUDIT]: { attested: TPMS_SESSION_AUDIT_INFO },
    [TPM_ST.ATTEST_CERTIFY]: { attested: TPMS_CERTIFY_INFO },
    [TPM_ST.ATTEST_QUOTE]: { attested: TPMS_QUOTE_INFO },
    [TPM_ST.ATTEST_TIME]: { attested: TPMS_TIME_ATTEST_INFO },
    [TPM_ST.ATTEST_CREATION]: { attested: TPMS_CREATION_INFO },
    [TPM_ST.ATTEST_NV_DIGEST]: { attested: TPMS_NV_DIGEST_CERTIFY_INFO },
  },
  TPM_RC.SELECTOR,
);
export type TPMS_ATTEST = Infer<typeof TPMS_ATTEST>;
/** TPM2B_ATTEST stays bytes: a verifier hashes exactly what was signed, then decodes it as TPMS_ATTEST. */
export const TPM2B_ATTEST = buffer(2048);
