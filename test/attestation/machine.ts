/** A machine with a TPM in software: quotes made with plain keys over a boot log, for tests of appraisal. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { toHex } from '../../attestation/bytes.ts';
import { EVENT, EventLogWriter, parseEventLog } from '../../attestation/eventlog/format.ts';
import { replayLog } from '../../attestation/eventlog/replay.ts';
import { SHA1, SHA256 } from '../../attestation/hash.ts';
import { encodeMachineEvidence, type MachineEvidence } from '../../attestation/machine/evidence.ts';
import {
  encode,
  TPM_ALG,
  TPM_GENERATED_VALUE,
  TPM_ST,
  TPMS_ATTEST,
  TPMT_PUBLIC,
  TPMT_SIGNATURE,
} from '../../tpm/structures/index.ts';

export const NONCE = new Uint8Array(32).fill(5);
export const SELECTION = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const ATTRIBUTES = 0x00050072;
const NO_SYMMETRIC = { algorithm: TPM_ALG.NULL } as const;

export type KeyKind = 'ecdsa' | 'rsassa' | 'rsapss';

/** An attestation key: its TPMT_PUBLIC, and what signs with it. */
export interface SoftwareKey {
  readonly publicArea: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export function softwareKey(kind: KeyKind): SoftwareKey {
  if (kind === 'ecdsa') {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return { publicArea: eccArea(publicKey), sign: (message) => ecdsaSignature(privateKey, message) };
  }
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const sigAlg = kind === 'rsassa' ? TPM_ALG.RSASSA : TPM_ALG.RSAPSS;
  const padding = kind === 'rsassa' ? 1 : 6;
  return {
    publicArea: rsaArea(publicKey, sigAlg),
    sign: (message) => {
      const sig = sign('sha256', message, { key: privateKey, padding, saltLength: 32 });
      return encode(TPMT_SIGNATURE, { sigAlg, signature: { hash: TPM_ALG.SHA256, sig } });
    },
  };
}

function ecdsaSignature(key: KeyObject, message: Uint8Array): Uint8Array {
  const raw = sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' });
  const [signatureR, signatureS] = [raw.subarray(0, 32), raw.subarray(32)];
  return encode(TPMT_SIGNATURE, {
    sigAlg: TPM_ALG.ECDSA,
    signature: { hash: TPM_ALG.SHA256, signatureR, signatureS },
  });
}

const fromUrl = (text: string | undefined) => Uint8Array.from(Buffer.from(text ?? '', 'base64url'));

function eccArea(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: 'jwk' });
  return encode(TPMT_PUBLIC, {
    type: TPM_ALG.ECC,
    nameAlg: TPM_ALG.SHA256,
    objectAttributes: ATTRIBUTES,
    authPolicy: new Uint8Array(),
    parameters: {
      symmetric: NO_SYMMETRIC,
      scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } },
      curveID: 3,
      kdf: { scheme: TPM_ALG.NULL },
    },
    unique: { x: fromUrl(x), y: fromUrl(y) },
  });
}

function rsaArea(key: KeyObject, scheme: typeof TPM_ALG.RSASSA | typeof TPM_ALG.RSAPSS): Uint8Array {
  return encode(TPMT_PUBLIC, {
    type: TPM_ALG.RSA,
    nameAlg: TPM_ALG.SHA256,
    objectAttributes: ATTRIBUTES,
    authPolicy: new Uint8Array(),
    parameters: {
      symmetric: NO_SYMMETRIC,
      scheme: { scheme, details: { hashAlg: TPM_ALG.SHA256 } },
      keyBits: 2048,
      exponent: 0,
    },
    unique: fromUrl(key.export({ format: 'jwk' }).n),
  });
}

/** A boot log with Secure Boot on and a kernel command line, in the SHA-1 and SHA-256 banks. */
export function bootLog(extra: (log: EventLogWriter) => void = () => {}): Uint8Array {
  const log = new EventLogWriter([SHA1.id, SHA256.id]);
  const text = (pcr: number, type: number, data: string) => log.appendMeasured(pcr, type, Buffer.from(data, 'latin1'));
  text(0, EVENT.S_CRTM_VERSION, 'firmware 1');
  log.appendMeasured(7, EVENT.EFI_VARIABLE_DRIVER_CONFIG, efiVariable('SecureBoot', Uint8Array.of(1)));
  for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7]) text(pcr, EVENT.SEPARATOR, '\0\0\0\0');
  const line = 'kernel_cmdline: root=/dev/vda1 ro';
  log.appendMeasured(8, EVENT.IPL, Buffer.from(`${line}\0`), Buffer.from(line.slice('kernel_cmdline: '.length)));
  extra(log);
  return log.bytes();
}

const GLOBAL_GUID = '61dfe48bca93d211aa0d00e098032b8c';

/** UEFI_VARIABLE_DATA of a variable of UEFI's own namespace. */
export function efiVariable(name: string, value: Uint8Array): Uint8Array {
  const sizes = Buffer.alloc(16);
  sizes.writeBigUInt64LE(BigInt(name.length), 0);
  sizes.writeBigUInt64LE(BigInt(value.length), 8);
  return Uint8Array.from(Buffer.concat([Buffer.from(GLOBAL_GUID, 'hex'), sizes, Buffer.from(name, 'utf16le'), value]));
}

/** Everything in an evidence that an attacker, or a test, may want otherwise. */
export interface Variation {
  readonly magic?: number;
  readonly nonce?: Uint8Array;
  readonly bank?: number;
  readonly selection?: readonly number[];
  readonly selections?: readonly { readonly hash: number; readonly pcrSelect: readonly number[] }[];
  readonly pcrDigest?: Uint8Array;
  readonly clock?: {
    readonly clock: bigint;
    readonly resetCount: number;
    readonly restartCount: number;
    readonly safe: boolean;
  };
  readonly firmwareVersion?: bigint;
  readonly signer?: SoftwareKey;
  readonly log?: Uint8Array;
  readonly ima?: Uint8Array;
  /** Register values that the quote covers beside those of the log. */
  readonly registers?: Readonly<Record<number, Uint8Array>>;
  /** Register values that the evidence claims, where they are to differ from those quoted. */
  readonly claimed?: Readonly<Record<number, Uint8Array>>;
}

export interface Machine {
  readonly key: SoftwareKey;
  readonly reference: Readonly<Record<string, unknown>>;
  parts(variation?: Variation): MachineEvidence;
  evidence(variation?: Variation): Uint8Array;
}

export function softwareMachine(kind: KeyKind = 'ecdsa', good: Uint8Array = bootLog()): Machine {
  const key = softwareKey(kind);
  const goodPcrs = replayLog(parseEventLog(good), SHA256.id);
  const parts = (variation: Variation = {}): MachineEvidence => {
    const bank = variation.bank ?? SHA256.id;
    const indices = variation.selection ?? SELECTION;
    const replayed = bank === SHA256.id ? goodPcrs : replayLog(parseEventLog(good), bank);
    const values = new Map(
      indices.map((index) => [index, variation.registers?.[index] ?? replayed[index] ?? new Uint8Array(32)]),
    );
    const hash = createHash('sha256');
    for (const value of values.values()) hash.update(value);
    // Hostile on purpose where a variation says so; the codec's types allow good values only.
    const quoted = encode(TPMS_ATTEST, {
      magic: (variation.magic ?? TPM_GENERATED_VALUE) as typeof TPM_GENERATED_VALUE,
      type: TPM_ST.ATTEST_QUOTE,
      qualifiedSigner: new Uint8Array(34).fill(1),
      extraData: variation.nonce ?? NONCE,
      clockInfo: variation.clock ?? { clock: 1000n, resetCount: 3, restartCount: 0, safe: true },
      firmwareVersion: variation.firmwareVersion ?? 1n,
      attested: {
        pcrSelect: (variation.selections ?? [{ hash: bank, pcrSelect: indices }]) as never,
        pcrDigest: variation.pcrDigest ?? hash.digest(),
      },
    });
    const claimed = new Map([...values].map(([index, value]) => [index, variation.claimed?.[index] ?? value]));
    return {
      quoted,
      signature: (variation.signer ?? key).sign(quoted),
      akPublic: key.publicArea,
      eventLog: variation.log ?? good,
      pcrs: new Map([[bank, claimed]]),
      ...(variation.ima === undefined ? {} : { ima: variation.ima }),
    };
  };
  return {
    key,
    reference: {
      selection: [{ bank: 'sha256', pcrs: SELECTION }],
      pcrs: { sha256: { 0: [toHex(goodPcrs[0] ?? new Uint8Array())] } },
    },
    parts,
    evidence: (variation) => encodeMachineEvidence(parts(variation)),
  };
}
