/** The root secret on a TPM that boots different builds and policies: who opens it is for the TPM to say. */
import { generateKeyPairSync } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { nvAttributes, TPM_ALG, TPM_RH, TPM_SU, TPMA_NV, Tpm, TpmClient } from '../../tpm/index.ts';
import {
  type LaunchPolicy,
  LEAST_SVN,
  launchMessage,
  launchPcr,
  launchPolicyBytes,
  parseRelease,
  releaseKeyName,
  SVN_MAX,
  signRelease,
  svnBits,
} from '../launch/index.ts';
import { storageKey } from './platform-keys.ts';
import { RootSecret } from './root-secret.ts';

const SECRET = new Uint8Array(32).fill(0x5e);
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const POLICY: LaunchPolicy = { allowDebug: false, engine: 'v86', releaseKey: releaseKeyName(publicKey) };
const filesOf = (build: string) => [{ path: 'nexus.js', content: Buffer.from(build) }];
const statement = (build: string, svn: number) => signRelease({ svn, pcr17: launchPcr(filesOf(build)) }, privateKey);
const release = (build: string, svn: number) => parseRelease(statement(build, svn));

let tpm: Tpm;
let client: TpmClient;
beforeEach(async () => {
  tpm = await Tpm.create();
});

/** Power on, launch a build under a policy. */
async function boot(build: string, policy: LaunchPolicy = POLICY): Promise<RootSecret> {
  tpm.powerOff();
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  tpm.hashStart();
  for (const piece of launchMessage(filesOf(build))) tpm.hashData(piece);
  tpm.hashEnd();
  const { outHash: digest } = await client.Hash({
    data: launchPolicyBytes(policy),
    hashAlg: TPM_ALG.SHA256,
    hierarchy: TPM_RH.NULL,
  });
  await client.PCR_Extend({ pcrHandle: 18, digests: [{ hashAlg: TPM_ALG.SHA256, digest }] }, { locality: 3 });
  return RootSecret.of(client, await storageKey(client), policy);
}
const refused = async (opening: Promise<unknown>, code: string) =>
  expect(opening).rejects.toMatchObject({ name: 'HostError', code });

describe('a root secret with a release key', () => {
  it('opens to its build, and to an admitted release of another one', async () => {
    const sealed = await (await boot('old')).seal(SECRET, 0);
    expect(await (await boot('old')).openAsBuild(sealed)).toEqual(SECRET);
    const root = await boot('new');
    await refused(root.openAsBuild(sealed), 'E_ROOT_SEALED');
    expect(await root.openByRelease(sealed, root.admit(statement('new', 1)))).toEqual(SECRET);
  });

  it('opens to no statement that admission would have refused: the TPM judges for itself', async () => {
    const sealed = await (await boot('old')).seal(SECRET, 0);
    const root = await boot('new');
    const good = release('new', 1);
    const forged = { ...good, signature: good.signature.with(40, (good.signature[40] ?? 0) ^ 1) };
    await refused(root.openByRelease(sealed, forged), 'E_RELEASE_SIGNATURE');
    await refused(root.openByRelease(sealed, { ...good, svn: 2 }), 'E_RELEASE_SIGNATURE');
    await refused(root.openByRelease(sealed, release('other', 1)), 'E_RELEASE_SIGNATURE');
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const foreign = parseRelease(signRelease(good, other.privateKey));
    await refused(root.openByRelease(sealed, foreign), 'E_ROOT_SEALED');
    expect(await root.openByRelease(sealed, good)).toEqual(SECRET);
  });

  it('opens under its launch policy only, and not by the key of another one', async () => {
    const sealed = await (await boot('old')).seal(SECRET, 0);
    for (const build of ['old', 'new']) {
      const root = await boot(build, { ...POLICY, engine: 'kvm' });
      await refused(root.openAsBuild(sealed), 'E_ROOT_SEALED');
      await refused(root.openByRelease(sealed, release(build, 1)), 'E_ROOT_SEALED');
    }
    const thief = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const root = await boot('evil', { ...POLICY, releaseKey: releaseKeyName(thief.publicKey) });
    const evil = signRelease({ svn: 1, pcr17: launchPcr(filesOf('evil')) }, thief.privateKey);
    await refused(root.openByRelease(sealed, root.admit(evil)), 'E_ROOT_SEALED');
  });

  it('opens to nothing below the version that was raised, not even to the build it was sealed to', async () => {
    const sealed = await (await boot('old')).seal(SECRET, 1);
    const newer = await boot('new');
    await newer.raise(2);
    await newer.raise(1);
    const old = await boot('old');
    await refused(old.openAsBuild(sealed), 'E_RELEASE_ROLLED_BACK');
    await refused(old.openByRelease(sealed, release('old', 1)), 'E_RELEASE_ROLLED_BACK');
    await refused(old.requireNotBelow(1), 'E_RELEASE_ROLLED_BACK');
    expect(await old.openByRelease(sealed, release('old', 2))).toEqual(SECRET);
  });

  it('does not open by what its record says of the build, when that was changed', async () => {
    const root = await boot('old');
    const sealed = await root.seal(SECRET, 0);
    const { branch } = sealed.build ?? { branch: new Uint8Array(32) };
    await root.raise(1);
    await refused(root.openAsBuild({ ...sealed, build: { branch, svn: 1 } }), 'E_ROOT_SEALED');
    const changed = { branch: branch.with(0, (branch[0] ?? 0) ^ 1), svn: 1 };
    await refused(root.openByRelease({ ...sealed, build: changed }, release('old', 1)), 'E_ROOT_SEALED');
    const { build: _, ...without } = sealed;
    await refused(root.openAsBuild(without), 'E_ROOT_SEALED');
  });

  it('is not made where somebody spent all versions, or took their place', async () => {
    const root = await boot('old');
    const { nvIndex } = LEAST_SVN;
    await client.NV_SetBits({ authHandle: TPM_RH.OWNER, nvIndex, bits: 2n ** 64n - 1n });
    await root.requireNotBelow(SVN_MAX);
    expect(svnBits(SVN_MAX)).toBe(2n ** 64n - 1n);
    await refused(root.requireNotBelow(SVN_MAX - 1), 'E_RELEASE_ROLLED_BACK');

    tpm = await Tpm.create();
    await boot('old', { allowDebug: false, engine: 'v86' });
    const attributes = nvAttributes('BITS', TPMA_NV.OWNERWRITE, TPMA_NV.OWNERREAD);
    const publicInfo = { ...LEAST_SVN, attributes };
    await client.NV_DefineSpace({ authHandle: TPM_RH.OWNER, auth: new Uint8Array(), publicInfo });
    await refused(boot('old'), 'E_PLATFORM');
  });
});

describe('a root secret without a release key', () => {
  it('opens to its build alone', async () => {
    const { releaseKey: _, ...alone } = POLICY;
    const sealed = await (await boot('old', alone)).seal(SECRET, 0);
    expect(sealed.build).toBeUndefined();
    expect(await (await boot('old', alone)).openAsBuild(sealed)).toEqual(SECRET);
    const root = await boot('new', alone);
    await refused(root.openAsBuild(sealed), 'E_ROOT_SEALED');
    await refused(root.openByRelease(sealed, release('new', 1)), 'E_ROOT_SEALED');
    expect(() => root.admit(statement('new', 1))).toThrow(expect.objectContaining({ code: 'E_RELEASE_KEY' }));
  });
});
