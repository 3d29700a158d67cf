/**
 * A guest's quote, chained through its endorsement certificate to the quote of the platform TPM: real platforms, real
 * partition TPMs, and everybody who would like to be somebody else.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  appraiseGuest,
  challengeGuest,
  decodeGuestEvidence,
  type EnrolledGuest,
  encodeGuestEvidence,
  encodeMachineEvidence,
  type GuestContext,
} from 'nexus-tcb/attestation';
import { Platform } from 'nexus-tcb/nexus/host';
import { type Tpm, TpmClient } from 'nexus-tcb/tpm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encode, TPM_ALG, TPM_RH, TPM_SU, TPMT_PUBLIC, TPMT_SIGNATURE } from '../../tpm/structures/index.ts';

const EK_HANDLE = 0x8101000a;
const EK_CERTIFICATE = 0x01c0000a;
const EMPTY = new Uint8Array();
const RESTRICTED_SIGNING = 0x00050072;
const UNRESTRICTED_SIGNING = 0x00040072;
const nonce = new Uint8Array(32).fill(7);
const later = new Uint8Array(32).fill(8);

/** What software in a guest does with its TPM. */
class Guest {
  readonly client: TpmClient;
  readonly #ak: number;
  readonly keys: EnrolledGuest;
  readonly ekCertificate: Uint8Array;

  static async boot(tpm: Tpm, attributes = RESTRICTED_SIGNING): Promise<Guest> {
    tpm.powerOn();
    const client = await TpmClient.of(tpm);
    await client.Startup({ startupType: TPM_SU.CLEAR });
    const { objectHandle, outPublic } = await client.CreatePrimary({
      primaryHandle: TPM_RH.ENDORSEMENT,
      inSensitive: { userAuth: EMPTY, data: EMPTY },
      inPublic: {
        type: TPM_ALG.ECC,
        nameAlg: TPM_ALG.SHA256,
        objectAttributes: attributes,
        authPolicy: EMPTY,
        parameters: {
          symmetric: { algorithm: TPM_ALG.NULL },
          scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } },
          curveID: 3,
          kdf: { scheme: TPM_ALG.NULL },
        },
        unique: { x: EMPTY, y: EMPTY },
      },
      outsideInfo: EMPTY,
      creationPCR: [],
    });
    const ek = await client.ReadPublic({ objectHandle: EK_HANDLE });
    const { nvPublic } = await client.NV_ReadPublic({ nvIndex: EK_CERTIFICATE });
    const area = { authHandle: EK_CERTIFICATE, nvIndex: EK_CERTIFICATE };
    const parts: Uint8Array[] = [];
    for (let offset = 0; offset < nvPublic.dataSize; offset += 512) {
      const size = Math.min(512, nvPublic.dataSize - offset);
      parts.push((await client.NV_Read({ ...area, size, offset })).data);
    }
    return new Guest(client, objectHandle, Uint8Array.from(Buffer.concat(parts)), {
      akPublic: encode(TPMT_PUBLIC, outPublic),
      ekPublic: encode(TPMT_PUBLIC, ek.outPublic),
    });
  }

  private constructor(client: TpmClient, ak: number, ekCertificate: Uint8Array, keys: EnrolledGuest) {
    this.client = client;
    this.#ak = ak;
    this.ekCertificate = ekCertificate;
    this.keys = keys;
  }

  async activate(credentialBlob: Uint8Array, secret: Uint8Array): Promise<Uint8Array> {
    const session = await this.client.startSession({ type: 'policy' });
    await this.client.PolicySecret({
      ...{ authHandle: TPM_RH.ENDORSEMENT, policySession: session.handle },
      ...{ nonceTPM: EMPTY, cpHashA: EMPTY, policyRef: EMPTY, expiration: 0 },
    });
    const keys = { activateHandle: this.#ak, keyHandle: EK_HANDLE };
    const { certInfo } = await this.client.ActivateCredential(
      { ...keys, credentialBlob, secret },
      { auth: [EMPTY, { session }] },
    );
    return certInfo;
  }

  /** Machine evidence: PCR 8 and 16, over a nonce. */
  async evidence(qualifyingData: Uint8Array): Promise<Uint8Array> {
    const selection = [{ hash: TPM_ALG.SHA256, pcrSelect: [15, 16] }];
    const { quoted, signature } = await this.client.Quote({
      ...{ signHandle: this.#ak, qualifyingData, inScheme: { scheme: TPM_ALG.NULL }, PCRselect: selection },
    });
    const { pcrValues } = await this.client.PCR_Read({ pcrSelectionIn: selection });
    return encodeMachineEvidence({
      quoted: Uint8Array.from(quoted),
      signature: encode(TPMT_SIGNATURE, signature),
      akPublic: this.keys.akPublic,
      eventLog: EMPTY,
      pcrs: new Map([[TPM_ALG.SHA256, new Map([15, 16].map((pcr, i) => [pcr, Uint8Array.from(pcrValues[i] ?? [])]))]]),
    });
  }
}

interface Site {
  readonly platform: Platform;
  readonly ak: Uint8Array;
  readonly reference: object;
}

const hexOf = (value: unknown) => Uint8Array.from(Buffer.from(value as string, 'hex')); // the method's result

async function site(directory: string): Promise<Site> {
  const policy = { allowDebug: false, engine: 'v86' } as const;
  const platform = await Platform.open(
    directory,
    () => policy,
    () => {},
  );
  const methods = platform.operatorMethods();
  const pcrs = (await methods.pcrs?.(undefined)) as Record<string, string>;
  const reference = { pcrs: { 17: [pcrs[17]], 18: [pcrs[18]] }, partitions: [] };
  return { platform, ak: hexOf(await methods.attestationKey?.(undefined)), reference };
}

let directory = '';
let here: Site;
let elsewhere: Site;
let web: Guest;
let db: Guest;
let foreign: Guest;
let forger: Guest;
const tpms: Tpm[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-guest-evidence-'));
  here = await site(join(directory, 'here'));
  elsewhere = await site(join(directory, 'elsewhere'));
  const boot = async ({ platform }: Site, name: string, attributes?: number) => {
    const tpm = await platform.partitionTpm(name);
    tpms.push(tpm);
    return Guest.boot(tpm, attributes);
  };
  web = await boot(here, 'web');
  db = await boot(here, 'db');
  foreign = await boot(elsewhere, 'web');
  forger = await boot(here, 'forger', UNRESTRICTED_SIGNING);
}, 60_000);
afterAll(async () => {
  for (const tpm of tpms) await tpm.close();
  await here?.platform.close();
  await elsewhere?.platform.close();
  rmSync(directory, { recursive: true, force: true });
});

const reference = () => ({
  host: here.reference,
  guest: { selection: [{ bank: 'sha256', pcrs: [15, 16] }] },
  names: ['web'],
});
const context = (more: Partial<GuestContext> = {}): GuestContext => ({
  ...{ nonce, akPublic: here.ak, guest: web.keys, reference: reference(), clock: null, now: new Date() },
  ...more,
});

interface Parts {
  readonly host?: Uint8Array;
  readonly ekCertificate?: Uint8Array;
  readonly guest?: Uint8Array;
}
async function evidence(parts: Parts = {}): Promise<Uint8Array> {
  return encodeGuestEvidence({
    host: parts.host ?? (await here.platform.evidence(nonce)),
    ekCertificate: parts.ekCertificate ?? web.ekCertificate,
    guest: parts.guest ?? (await web.evidence(nonce)),
  });
}

async function failures(parts: Parts, more: Partial<GuestContext> = {}): Promise<string[]> {
  const { state, checks } = appraiseGuest(decodeGuestEvidence(await evidence(parts)), context(more));
  expect(state).toBe('contraindicated');
  return checks.filter(({ passed }) => !passed).map(({ name }) => name);
}

describe('a guest with a TPM of its own', () => {
  test('is believed when its quote chains to the platform TPM', async () => {
    const appraised = appraiseGuest(decodeGuestEvidence(await evidence()), context());
    expect(appraised.checks.filter(({ passed }) => !passed)).toEqual([]);
    expect(appraised.state).toBe('affirming');
    expect(Object.keys(appraised.modules)).toEqual(['platform', 'endorsement', 'guest']);
    expect(appraised.checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['reference-pcr-17', 'endorsement-certificate', 'endorsement-key', 'guest-quote-nonce']),
    );
  });

  test('enrols by giving back a secret that only the TPM of both keys opens', async () => {
    const { credentialBlob, encryptedSecret, secret } = challengeGuest(web.keys);
    expect(Buffer.from(await web.activate(credentialBlob, encryptedSecret))).toEqual(Buffer.from(secret));
    // The AK of one guest with the EK of another: neither of them can solve it.
    const crossed = challengeGuest({ akPublic: web.keys.akPublic, ekPublic: db.keys.ekPublic });
    await expect(web.activate(crossed.credentialBlob, crossed.encryptedSecret)).rejects.toThrow(/TPM_RC/);
    await expect(db.activate(crossed.credentialBlob, crossed.encryptedSecret)).rejects.toThrow(/TPM_RC/);
    expect(() => challengeGuest(forger.keys)).toThrow(expect.objectContaining({ code: 'ak-unsuitable' }));
  });

  test('keeps its endorsement key and certificate over a power cycle', async () => {
    const [tpm] = tpms;
    tpm?.powerOff();
    if (tpm) web = await Guest.boot(tpm);
    expect((await appraiseGuest(decodeGuestEvidence(await evidence()), context())).state).toBe('affirming');
  });

  test('does not go back: an older copy of its TPM is refused, whatever the guest did since', async () => {
    const state = join(directory, 'here', 'partitions', 'old', 'tpm');
    const copy = join(directory, 'copy');
    const first = await here.platform.partitionTpm('old');
    await first.close();
    cpSync(state, copy, { recursive: true });
    const second = await here.platform.partitionTpm('old');
    await second.close();
    rmSync(state, { recursive: true });
    cpSync(copy, state, { recursive: true });
    await expect(here.platform.partitionTpm('old')).rejects.toMatchObject({ code: 'E_STATE_ROLLED_BACK' });
    rmSync(state, { recursive: true });
    await expect(here.platform.partitionTpm('old')).rejects.toMatchObject({ code: 'E_STATE_ROLLED_BACK' });
  });

  test('is not another partition: certificate, keys and name belong together', async () => {
    expect(await failures({ ekCertificate: db.ekCertificate })).toEqual(['endorsement-key', 'partition-name']);
    // All of it is db's and genuine; web is wanted.
    const ofDb = { ekCertificate: db.ekCertificate, guest: await db.evidence(nonce) };
    expect(await failures(ofDb, { guest: db.keys })).toEqual(['partition-name']);
    // db's quote under web's certificate.
    expect(await failures({ guest: await db.evidence(nonce) })).toEqual([
      'guest-attestation-key',
      'guest-quote-signature',
    ]);
  });

  test('is not a partition of the same name on another platform', async () => {
    const parts = { ekCertificate: foreign.ekCertificate, guest: await foreign.evidence(nonce) };
    expect(await failures(parts, { guest: foreign.keys })).toEqual([
      'endorsement-certificate',
      'endorsement-key',
      'partition-name',
    ]);
    // With the other platform's own evidence everything fits, but that platform is not the enrolled one.
    const host = await elsewhere.platform.evidence(nonce);
    expect(await failures({ ...parts, host }, { guest: foreign.keys })).toEqual(['attestation-key', 'quote-signature']);
  });

  test('is as fresh as its nonce, on both ends', async () => {
    expect(await failures({ host: await here.platform.evidence(later) })).toEqual(['quote-binding']);
    expect(await failures({ guest: await web.evidence(later) })).toEqual(['guest-quote-nonce']);
  });

  test('a key that signs anything, and a certificate of something else, are refused', async () => {
    const parts = { ekCertificate: forger.ekCertificate, guest: await forger.evidence(nonce) };
    const named = { ...reference(), names: ['forger'] };
    expect(await failures(parts, { guest: forger.keys, reference: named })).toEqual(['attestation-key-kind']);
    const cut = web.ekCertificate.subarray(0, -1);
    expect(await failures({ ekCertificate: cut })).toContain('endorsement-certificate');
    expect(await failures({}, { reference: undefined })).toContain('guest-reference-values');
    expect(await failures({}, { reference: { ...reference(), names: [] } })).toContain('guest-reference-values');
  });

  test('one flipped bit anywhere is refused, or at least never believed', async () => {
    const good = await evidence();
    // In the host's log, digests of banks that are not quoted are nobody's word, and nothing reads them.
    const { eventLog } = decodeGuestEvidence(good).host.platform;
    const log = Buffer.from(good).indexOf(eventLog);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        fc.pre(at < log || at >= log + eventLog.length);
        const bad = good.slice();
        bad[at] = (bad[at] ?? 0) ^ (1 << bit);
        let state = 'refused';
        try {
          ({ state } = appraiseGuest(decodeGuestEvidence(bad), context()));
        } catch (error) {
          expect((error as { code?: string }).code).toBe('E_EVIDENCE');
        }
        expect(state).not.toBe('affirming');
      }),
      { numRuns: 150 },
    );
  });
});
