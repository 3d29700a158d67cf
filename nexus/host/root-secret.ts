/**
 * The root secret as an object of the platform TPM: sealed, opened by the build that it is sealed to or by a release that
 * the platform's release key signed. The policies are those of nexus/launch/root-policy.ts.
 */
import type { ClientSession, TpmClient } from '../../tpm/client/index.ts';
import { decode, encode, objectName, TPM_ALG, TPM_RC, TPM_RH, TPMA_OBJECT, TPMT_PUBLIC } from '../../tpm/index.ts';
import {
  buildBranch,
  LAUNCH_PCRS,
  type LaunchPolicy,
  LEAST_SVN,
  PCR_LAUNCH_POLICY,
  PCR_NEXUS_CODE,
  type PcrValues,
  parseRelease,
  type Release,
  ROOT_POLICY_REF,
  releaseKeyName,
  releaseKeyPublic,
  releasesBranch,
  rootPolicy,
  rootPolicyOfBuildAlone,
  sha256Pcrs,
  svnComparison,
} from '../launch/index.ts';
import { HostError } from './errors.ts';
import { LeastSvn } from './least-svn.ts';
import type { LoadedKey } from './platform-keys.ts';
import type { SealedRoot } from './store.ts';
import { isRefusal } from './tpm-refusal.ts';

const EMPTY = new Uint8Array();
const CHOSEN_AT_CREATION = 'a release key is chosen when a state directory is made: docs/release.md';

/** A platform's release key by its TPM name, and the least version that it has seen. */
interface Releases {
  readonly keyName: Uint8Array;
  readonly least: LeastSvn;
}

export class RootSecret {
  private readonly client: TpmClient;
  private readonly storage: LoadedKey;
  private readonly pcrs: PcrValues;
  /** Absent: the launch policy names no release key. */
  private readonly releases: Releases | undefined;

  private constructor(client: TpmClient, storage: LoadedKey, pcrs: PcrValues, releases: Releases | undefined) {
    this.client = client;
    this.storage = storage;
    this.pcrs = pcrs;
    this.releases = releases;
  }

  /** After the late launch under `policy`. `storage` is loaded for as long as this is used. */
  static async of(client: TpmClient, storage: LoadedKey, { releaseKey }: LaunchPolicy): Promise<RootSecret> {
    const { pcrValues } = await client.PCR_Read({ pcrSelectionIn: sha256Pcrs(LAUNCH_PCRS) });
    const pcrs = Object.fromEntries(LAUNCH_PCRS.map((index, i) => [index, pcrValues[i] ?? EMPTY]));
    const releases = releaseKey === undefined ? undefined : await releasesOf(client, releaseKey);
    return new RootSecret(client, storage, pcrs, releases);
  }

  /**
   * A statement as one for this platform and this build. Throws ReleaseError, and HostError E_RELEASE_KEY or
   * E_RELEASE_BUILD.
   */
  admit(statement: Uint8Array): Release {
    const release = parseRelease(statement);
    const signer = releaseKeyName(release.key);
    if (this.releases === undefined) {
      const message = 'the launch policy of this platform names no release key: no release opens its root secret';
      throw new HostError('E_RELEASE_KEY', message, `start the build that made it; ${CHOSEN_AT_CREATION}`);
    }
    if (signer !== hex(this.releases.keyName)) {
      throw new HostError(
        'E_RELEASE_KEY',
        `the release is signed by ${signer}, this platform takes those of ${hex(this.releases.keyName)}`,
        'get the statement of whoever holds that key',
      );
    }
    const pcr17 = hex(this.pcrs[PCR_NEXUS_CODE] ?? EMPTY);
    if (hex(release.pcr17) === pcr17) return release;
    throw new HostError(
      'E_RELEASE_BUILD',
      `the release is the build with PCR 17 ${hex(release.pcr17)}, this one is ${pcr17}`,
      'start the build that the statement is for, or get the statement of this one',
    );
  }

  /** Seal `secret` to this build, of security version `svn`, and to releases. The transfer is encrypted. */
  async seal(secret: Uint8Array, svn: number): Promise<SealedRoot> {
    const { client, storage, pcrs, releases } = this;
    const build = releases && { branch: buildBranch(pcrs, svn), svn };
    const authPolicy = build ? rootPolicy(this.branches(build.branch, releases)) : rootPolicyOfBuildAlone(pcrs);
    const session = await client.startSession({ salt: storage, decrypt: true });
    try {
      const { outPrivate, outPublic } = await client.Create(
        {
          parentHandle: storage.handle,
          inSensitive: { userAuth: EMPTY, data: secret },
          inPublic: {
            type: TPM_ALG.KEYEDHASH,
            nameAlg: TPM_ALG.SHA256,
            objectAttributes: TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent | TPMA_OBJECT.noDA,
            authPolicy,
            parameters: { scheme: { scheme: TPM_ALG.NULL } },
            unique: EMPTY,
          },
          outsideInfo: EMPTY,
          creationPCR: [],
        },
        { auth: { session } },
      );
      const publicArea = encode(TPMT_PUBLIC, outPublic);
      return { publicArea, privateArea: Uint8Array.from(outPrivate), ...(build && { build }) };
    } finally {
      await client.FlushContext({ flushHandle: session.handle });
    }
  }

  /**
   * The secret, opened as the build that it is sealed to. Throws HostError E_ROOT_SEALED when PCR 17 or 18 is not what
   * it was sealed under, E_RELEASE_ROLLED_BACK when a later release has run since.
   */
  async openAsBuild(sealed: SealedRoot): Promise<Uint8Array> {
    const { build } = sealed;
    return this.open(sealed, async (session) => {
      await this.policyPcr(session, LAUNCH_PCRS);
      if (build === undefined || this.releases === undefined) return;
      await this.policySvn(session, build.svn);
      await this.policyOr(session, this.branches(build.branch, this.releases));
    });
  }

  /**
   * The secret, opened by an admitted release. Throws HostError E_ROOT_SEALED when PCR 18 is not what it was sealed
   * under, E_RELEASE_ROLLED_BACK when a later release has run before, E_RELEASE_SIGNATURE.
   */
  async openByRelease(sealed: SealedRoot, release: Release): Promise<Uint8Array> {
    const { client, releases } = this;
    const { build } = sealed;
    if (build === undefined || releases === undefined) throw this.sealedError();
    return this.open(sealed, async (session) => {
      await this.policyPcr(session, [PCR_NEXUS_CODE]);
      await this.policySvn(session, release.svn);
      const policySession = session.handle;
      const { policyDigest: approvedPolicy } = await client.PolicyGetDigest({ policySession });
      const { keySign, checkTicket } = await this.verify(release, approvedPolicy);
      await client.PolicyAuthorize({ policySession, approvedPolicy, policyRef: ROOT_POLICY_REF, keySign, checkTicket });
      await this.policyPcr(session, [PCR_LAUNCH_POLICY]);
      await this.policyOr(session, this.branches(build.branch, releases));
    });
  }

  /** From now on what is older than `svn` opens nothing. Durable when it resolves. */
  async raise(svn: number): Promise<void> {
    await this.releases?.least.raise(svn);
  }

  /** Throws HostError E_RELEASE_ROLLED_BACK when a later release than `svn` has run here. */
  async requireNotBelow(svn: number): Promise<void> {
    const least = (await this.releases?.least.read()) ?? 0;
    if (least <= svn) return;
    throw new HostError(
      'E_RELEASE_ROLLED_BACK',
      `this build is of security version ${svn}, and one of ${least} has run on this platform`,
      `start a release of version ${least} or later, with its statement (docs/release.md)`,
    );
  }

  private async open(sealed: SealedRoot, satisfy: (session: ClientSession) => Promise<void>): Promise<Uint8Array> {
    const { client, storage } = this;
    const { objectHandle } = await client.Load({
      parentHandle: storage.handle,
      inPrivate: sealed.privateArea,
      inPublic: decode(TPMT_PUBLIC, sealed.publicArea),
    });
    const session = await client.startSession({ type: 'policy', salt: storage, encrypt: true });
    try {
      await satisfy(session);
      const { outData } = await client.Unseal({ itemHandle: objectHandle }, { auth: { session } });
      return Uint8Array.from(outData);
    } catch (error) {
      throw isRefusal(error, TPM_RC.POLICY_FAIL, 'Unseal') ? this.sealedError(error) : error;
    } finally {
      await client.FlushContext({ flushHandle: session.handle });
      await client.FlushContext({ flushHandle: objectHandle });
    }
  }

  private branches(build: Uint8Array, { keyName }: Releases): Uint8Array[] {
    return [build, releasesBranch(keyName, this.pcrs)];
  }

  private async policyPcr({ handle }: ClientSession, pcrs: readonly number[]): Promise<void> {
    await this.client.PolicyPCR({ policySession: handle, pcrDigest: EMPTY, pcrs: sha256Pcrs(pcrs) });
  }

  private async policySvn({ handle }: ClientSession, svn: number): Promise<void> {
    const index = { authHandle: TPM_RH.OWNER, nvIndex: LEAST_SVN.nvIndex };
    try {
      await this.client.PolicyNV({ ...index, policySession: handle, ...svnComparison(svn) });
    } catch (error) {
      if (isRefusal(error, TPM_RC.POLICY, 'PolicyNV')) await this.requireNotBelow(svn);
      throw error;
    }
  }

  /** The TPM refuses when none of the branches is where the session stands. */
  private async policyOr({ handle }: ClientSession, branches: Uint8Array[]): Promise<void> {
    try {
      await this.client.PolicyOR({ policySession: handle, pHashList: branches });
    } catch (error) {
      throw isRefusal(error, TPM_RC.VALUE, 'PolicyOR') ? this.sealedError(error) : error;
    }
  }

  /** The TPM's own word that the release key signed `approvedPolicy`. */
  private async verify({ key, signature }: Release, approvedPolicy: Uint8Array) {
    const { client } = this;
    const inPublic = releaseKeyPublic(key);
    const loaded = await client.LoadExternal({ inPrivate: undefined, inPublic, hierarchy: TPM_RH.OWNER });
    const data = Buffer.concat([approvedPolicy, ROOT_POLICY_REF]);
    try {
      const { outHash } = await client.Hash({ data, hashAlg: TPM_ALG.SHA256, hierarchy: TPM_RH.NULL });
      const { validation } = await client.VerifySignature({
        keyHandle: loaded.objectHandle,
        digest: outHash,
        signature: {
          sigAlg: TPM_ALG.ECDSA,
          signature: {
            hash: TPM_ALG.SHA256,
            signatureR: signature.subarray(0, signature.length / 2),
            signatureS: signature.subarray(signature.length / 2),
          },
        },
      });
      return { keySign: objectName(inPublic), checkTicket: validation };
    } catch (error) {
      if (!isRefusal(error, TPM_RC.SIGNATURE, 'VerifySignature')) throw error;
      const remedy = 'get the statement of this build anew from who released it';
      throw new HostError('E_RELEASE_SIGNATURE', 'the TPM refuses the release', remedy, { cause: error });
    } finally {
      await client.FlushContext({ flushHandle: loaded.objectHandle });
    }
  }

  private sealedError(cause?: Error): HostError {
    const says = cause === undefined ? '' : `${cause.message}: `;
    const older = 'start the build that made this state directory, with the same engine';
    return new HostError(
      'E_ROOT_SEALED',
      `${says}the root secret is sealed to another build of the nexus or another launch policy (its engine among it)`,
      this.releases === undefined
        ? `${older}, or begin anew in an empty one; ${CHOSEN_AT_CREATION}`
        : `upgrade with the release statement of this build: nexus up --release FILE (docs/release.md); or ${older}`,
      { cause },
    );
  }
}

async function releasesOf(client: TpmClient, releaseKey: string): Promise<Releases> {
  return { keyName: Uint8Array.from(Buffer.from(releaseKey, 'hex')), least: await LeastSvn.open(client) };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
