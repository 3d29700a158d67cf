/**
 * What the root secret of a platform opens to, as policy digests of TPM 2.0 (Part 1, section 19.7; Part 3, section 23).
 * They are computed here, because a release is signed where there is no TPM; the TPM computes the same when it opens.
 *
 *     no release key     PolicyPCR(17, 18)
 *     a release key      PolicyOR(build, releases)
 *     build              PolicyPCR(17, 18), PolicyNV(LEAST_SVN <= svn)
 *     releases           PolicyAuthorize(release key, "nexus-tcb root v1"), PolicyPCR(18)
 *     what a key signs   PolicyPCR(17), PolicyNV(LEAST_SVN <= svn)
 *
 * LEAST_SVN is an NV index whose bits can be set and never cleared: n of them set mean that a release of security
 * version n has run. No command lowers it or removes it, whoever gives it.
 */
import { createHash, type KeyObject } from 'node:crypto';
import {
  encode,
  nvAttributes,
  nvName,
  objectName,
  TPM_ALG,
  TPM_CC,
  TPM_EO,
  TPMA_NV,
  TPMA_OBJECT,
  TPML_PCR_SELECTION,
  type TPMS_NV_PUBLIC,
  type TPMT_PUBLIC,
} from '../../tpm/index.ts';
import { PCR_LAUNCH_POLICY, PCR_NEXUS_CODE } from './late-launch.ts';

/** The largest security version of a release: a bit of LEAST_SVN each. */
export const SVN_MAX = 64;
/** policyRef of what a release key signs. */
export const ROOT_POLICY_REF: Uint8Array = Uint8Array.from(Buffer.from('nexus-tcb root v1'));
const EMPTY = new Uint8Array();
const START = new Uint8Array(32);
const P256 = 3;

/**
 * LEAST_SVN before its first write. The platform's, so that clearing the owner leaves it; deleted by a policy that is
 * empty, so never. That anyone may set bits costs a root nothing that deleting a file would not.
 */
export const LEAST_SVN: TPMS_NV_PUBLIC = {
  nvIndex: 0x01404e58,
  nameAlg: TPM_ALG.SHA256,
  attributes: nvAttributes(
    'BITS',
    TPMA_NV.OWNERWRITE,
    TPMA_NV.OWNERREAD,
    TPMA_NV.NO_DA,
    TPMA_NV.PLATFORMCREATE,
    TPMA_NV.POLICY_DELETE,
  ),
  authPolicy: EMPTY,
  dataSize: 8,
};
/** Its name once it was written: the same on every platform. */
export const LEAST_SVN_NAME: Uint8Array = nvName({ ...LEAST_SVN, attributes: LEAST_SVN.attributes | TPMA_NV.WRITTEN });

/** The bits of LEAST_SVN that say svn: as many as it counts, from the lowest. Throws RangeError above SVN_MAX. */
export function svnBits(svn: number): bigint {
  if (!Number.isInteger(svn) || svn < 0 || svn > SVN_MAX) throw new RangeError(`security version ${svn}`);
  return (1n << BigInt(svn)) - 1n;
}

/** What PolicyNV is given for svn: LEAST_SVN must not be above it. */
export function svnComparison(svn: number) {
  const operandB = new Uint8Array(LEAST_SVN.dataSize);
  new DataView(operandB.buffer).setBigUint64(0, svnBits(svn));
  return { operandB, offset: 0, operation: TPM_EO.UNSIGNED_LE } as const;
}

/** SHA-256 values of registers, by index. */
export type PcrValues = Readonly<Record<number, Uint8Array>>;

/** PCR 17 and 18. */
export const LAUNCH_PCRS: readonly number[] = [PCR_NEXUS_CODE, PCR_LAUNCH_POLICY];
export const sha256Pcrs = (pcrs: readonly number[]): TPML_PCR_SELECTION => [
  { hash: TPM_ALG.SHA256, pcrSelect: [...pcrs] },
];

/** The policy of a root secret without a release key. */
export const rootPolicyOfBuildAlone = (values: PcrValues): Uint8Array => afterPcr(START, LAUNCH_PCRS, values);

/** The branch of the build and launch policy that the root is sealed under, while LEAST_SVN is not above svn. */
export const buildBranch = (values: PcrValues, svn: number): Uint8Array =>
  afterSvn(afterPcr(START, LAUNCH_PCRS, values), svn);

/** The branch of every release signed by the key of that TPM name, under the launch policy of PCR 18. */
export function releasesBranch(releaseKeyName: Uint8Array, values: PcrValues): Uint8Array {
  const authorized = sha256(sha256(START, u32(TPM_CC.PolicyAuthorize), releaseKeyName), ROOT_POLICY_REF);
  return afterPcr(authorized, [PCR_LAUNCH_POLICY], values);
}

/** The policy of a root secret with a release key: either branch. */
export const rootPolicy = (branches: readonly Uint8Array[]): Uint8Array =>
  sha256(START, u32(TPM_CC.PolicyOR), ...branches);

/** What a release key approves: the build of that PCR 17, while LEAST_SVN is not above svn. The same for all platforms. */
export const approvedPolicy = (pcr17: Uint8Array, svn: number): Uint8Array =>
  afterSvn(afterPcr(START, [PCR_NEXUS_CODE], { [PCR_NEXUS_CODE]: pcr17 }), svn);

/** A release key as the TPM loads it: ECDSA P-256 with SHA-256. Throws RangeError for another kind of key. */
export function releaseKeyPublic(key: KeyObject): TPMT_PUBLIC {
  const { crv, x, y } = key.export({ format: 'jwk' });
  if (crv !== 'P-256' || x === undefined || y === undefined) throw new RangeError('not an EC P-256 key');
  const coordinate = (text: string) => Uint8Array.from(Buffer.from(text, 'base64url'));
  return {
    type: TPM_ALG.ECC,
    nameAlg: TPM_ALG.SHA256,
    objectAttributes: TPMA_OBJECT.sign,
    authPolicy: EMPTY,
    parameters: {
      symmetric: { algorithm: TPM_ALG.NULL },
      scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } },
      curveID: P256,
      kdf: { scheme: TPM_ALG.NULL },
    },
    unique: { x: coordinate(x), y: coordinate(y) },
  };
}

/** How a launch policy names a release key: its TPM name, which the policy digest has, in hexadecimal. */
export const releaseKeyName = (key: KeyObject): string =>
  Buffer.from(objectName(releaseKeyPublic(key))).toString('hex');

function afterPcr(policy: Uint8Array, pcrs: readonly number[], values: PcrValues): Uint8Array {
  const registers = pcrs.map((index) => {
    const value = values[index];
    if (value === undefined) throw new RangeError(`no value of PCR ${index}`);
    return value;
  });
  return sha256(policy, u32(TPM_CC.PolicyPCR), encode(TPML_PCR_SELECTION, sha256Pcrs(pcrs)), sha256(...registers));
}

function afterSvn(policy: Uint8Array, svn: number): Uint8Array {
  const { operandB, offset, operation } = svnComparison(svn);
  const argument = sha256(operandB, Uint8Array.of(offset >> 8, offset, operation >> 8, operation));
  return sha256(policy, u32(TPM_CC.PolicyNV), argument, LEAST_SVN_NAME);
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return Uint8Array.from(hash.digest());
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
