/** The policy digests that are computed without a TPM, against those of a TPM's trial session; and LEAST_SVN itself. */
import { generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ClientSession, objectName, TPM_ALG, TPM_RC, TPM_RH, TPM_SU, Tpm, TpmClient } from '../../tpm/index.ts';
import {
  approvedPolicy,
  buildBranch,
  LAUNCH_PCRS,
  LEAST_SVN,
  LEAST_SVN_NAME,
  type PcrValues,
  ROOT_POLICY_REF,
  releaseKeyName,
  releaseKeyPublic,
  releasesBranch,
  rootPolicy,
  rootPolicyOfBuildAlone,
  SVN_MAX,
  sha256Pcrs,
  svnBits,
  svnComparison,
} from './root-policy.ts';

const EMPTY = new Uint8Array();
const { nvIndex } = LEAST_SVN;
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let client: TpmClient;
let values: PcrValues;

beforeAll(async () => {
  const tpm = await Tpm.create();
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  tpm.hashStart();
  tpm.hashData(Buffer.from('a nexus'));
  tpm.hashEnd();
  const digests = [{ hashAlg: TPM_ALG.SHA256, digest: new Uint8Array(32).fill(18) }];
  await client.PCR_Extend({ pcrHandle: 18, digests }, { locality: 3 });
  const { pcrValues } = await client.PCR_Read({ pcrSelectionIn: sha256Pcrs(LAUNCH_PCRS) });
  values = Object.fromEntries(LAUNCH_PCRS.map((index, i) => [index, pcrValues[i] ?? EMPTY]));
  await client.NV_DefineSpace({ authHandle: TPM_RH.PLATFORM, auth: EMPTY, publicInfo: LEAST_SVN });
  await client.NV_SetBits({ authHandle: TPM_RH.OWNER, nvIndex, bits: svnBits(3) });
});

/** The digest of a trial session after some commands. */
async function trial(steps: (session: ClientSession) => Promise<unknown>): Promise<Uint8Array> {
  const session = await client.startSession({ type: 'trial' });
  await steps(session);
  const { policyDigest } = await client.PolicyGetDigest({ policySession: session.handle });
  await client.FlushContext({ flushHandle: session.handle });
  return policyDigest;
}
const policyPcr = ({ handle }: ClientSession, pcrs: readonly number[]) =>
  client.PolicyPCR({ policySession: handle, pcrDigest: EMPTY, pcrs: sha256Pcrs(pcrs) });
const policySvn = ({ handle }: ClientSession, svn: number) =>
  client.PolicyNV({ authHandle: TPM_RH.OWNER, nvIndex, policySession: handle, ...svnComparison(svn) });

describe('policy digests of the root secret', () => {
  it('are those of a TPM, for each branch and for both together', async () => {
    expect(await trial((session) => policyPcr(session, [17, 18]))).toEqual(rootPolicyOfBuildAlone(values));
    const ofBuild = await trial(async (session) => {
      await policyPcr(session, [17, 18]);
      await policySvn(session, 5);
    });
    expect(ofBuild).toEqual(buildBranch(values, 5));
    const approved = await trial(async (session) => {
      await policyPcr(session, [17]);
      await policySvn(session, 7);
    });
    expect(approved).toEqual(approvedPolicy(values[17] ?? EMPTY, 7));

    const keySign = objectName(releaseKeyPublic(publicKey));
    const checkTicket = { tag: 0x8022, hierarchy: TPM_RH.NULL, digest: EMPTY } as const;
    const ofReleases = await trial(async (session) => {
      const common = { approvedPolicy: EMPTY, policyRef: ROOT_POLICY_REF, keySign, checkTicket };
      await client.PolicyAuthorize({ policySession: session.handle, ...common });
      await policyPcr(session, [18]);
    });
    expect(ofReleases).toEqual(releasesBranch(keySign, values));
    const both = await trial((session) =>
      client.PolicyOR({ policySession: session.handle, pHashList: [ofBuild, ofReleases] }),
    );
    expect(both).toEqual(rootPolicy([ofBuild, ofReleases]));
  });

  it('are of the name that a TPM gives the release key, which verifies what the key signed', async () => {
    const inPublic = releaseKeyPublic(publicKey);
    const loaded = await client.LoadExternal({ inPrivate: undefined, inPublic, hierarchy: TPM_RH.OWNER });
    expect(Buffer.from(loaded.name).toString('hex')).toBe(releaseKeyName(publicKey));
    const message = Buffer.from('approved');
    const raw = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
    const { outHash: digest } = await client.Hash({ data: message, hashAlg: TPM_ALG.SHA256, hierarchy: TPM_RH.NULL });
    const signature = {
      sigAlg: TPM_ALG.ECDSA,
      signature: { hash: TPM_ALG.SHA256, signatureR: raw.subarray(0, 32), signatureS: raw.subarray(32) },
    } as const;
    const { validation } = await client.VerifySignature({ keyHandle: loaded.objectHandle, digest, signature });
    expect(validation.hierarchy).toBe(TPM_RH.OWNER);
    expect(() => releaseKeyPublic(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)).toThrow(RangeError);
  });
});

describe('LEAST_SVN', () => {
  const refused = (command: Promise<unknown>) => expect(command).rejects;
  const read = async () =>
    Buffer.from((await client.NV_Read({ authHandle: TPM_RH.OWNER, nvIndex, size: 8, offset: 0 })).data);

  it('has one name, and is neither lowered nor removed by any command', async () => {
    expect((await client.NV_ReadPublic({ nvIndex })).nvName).toEqual(LEAST_SVN_NAME);
    await client.NV_SetBits({ authHandle: TPM_RH.OWNER, nvIndex, bits: 0n });
    expect((await read()).readBigUInt64BE()).toBe(svnBits(3));
    await refused(
      client.NV_Write({ authHandle: TPM_RH.OWNER, nvIndex, data: new Uint8Array(8), offset: 0 }),
    ).toMatchObject({ code: TPM_RC.ATTRIBUTES });
    for (const authHandle of [TPM_RH.OWNER, TPM_RH.PLATFORM])
      await refused(client.NV_UndefineSpace({ authHandle, nvIndex })).toThrow(/NV_UndefineSpace/);
    const policy = await client.startSession({ type: 'policy' });
    const auth = [{ session: policy }, EMPTY];
    await refused(client.NV_UndefineSpaceSpecial({ nvIndex, platform: TPM_RH.PLATFORM }, { auth })).toThrow(/TPM_RC/);
    await refused(client.NV_UndefineSpaceSpecial({ nvIndex, platform: TPM_RH.PLATFORM })).toThrow(/TPM_RC/);
    await refused(
      client.NV_DefineSpace({ authHandle: TPM_RH.PLATFORM, auth: EMPTY, publicInfo: LEAST_SVN }),
    ).toMatchObject({ code: TPM_RC.NV_DEFINED });
    await client.Clear({ authHandle: TPM_RH.LOCKOUT });
    await client.Clear({ authHandle: TPM_RH.PLATFORM });
    expect((await read()).readBigUInt64BE()).toBe(svnBits(3));
  });

  it('lets a comparison pass for its own version and later ones, and for no earlier one', async () => {
    const session = await client.startSession({ type: 'policy' });
    for (let svn = 0; svn <= SVN_MAX; svn++) {
      if (svn >= 3) await policySvn(session, svn);
      else await refused(policySvn(session, svn)).toMatchObject({ code: TPM_RC.POLICY });
    }
  });

  it('compares as the versions do, whatever was set before', () => {
    const svn = fc.integer({ min: 0, max: SVN_MAX });
    fc.assert(
      fc.property(svn, svn, svn, (a, b, asked) => {
        expect((svnBits(a) | svnBits(b)) <= svnBits(asked)).toBe(Math.max(a, b) <= asked);
      }),
    );
    for (const wrong of [-1, 1.5, SVN_MAX + 1, Number.NaN]) expect(() => svnBits(wrong)).toThrow(RangeError);
  });
});
