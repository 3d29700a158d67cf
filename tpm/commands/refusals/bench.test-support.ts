/** What a refusal is provoked with: a started TPM with nothing in it, this one or another, and templates of keys. */
import type { CommandOptions, TpmClient } from '../../client/index.ts';
import type { RsaKey } from '../../crypto/provider.ts';
import type { Locality } from '../../device.ts';
import {
  TPM_ALG,
  TPM_ECC,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPM_SU,
  TPMA_OBJECT,
  type TPMT_ECC_SCHEME,
  type TPMT_KDF_SCHEME,
  type TPMT_KEYEDHASH_SCHEME,
  type TPMT_PUBLIC,
  type TPMT_RSA_SCHEME,
  type TPMT_SYM_DEF_OBJECT,
  type Writer,
} from '../../structures/index.ts';
import type { AnyCommand } from '../command.ts';
import { allCommands } from '../index.ts';
import type { Code, CommandName } from './listed.test-support.ts';

/** The refusal of a command: its code, its handle (h), parameter (p) or session (s) if it has a number, and the situation. */
export type Case = readonly [
  command: CommandName,
  code: Code,
  at: '' | `${'h' | 'p' | 's'}${1 | 2 | 3 | 4 | 5}`,
  why: string,
  provoke: (bench: Bench) => Promise<unknown>,
];

/** The response code of a case, with its number. Part 2, section 6.6.2. */
export function expectedCode([, code, at]: Case): number {
  const number = Number(at.slice(1)) << 8;
  const kind = at.startsWith('p') ? 0x40 : at.startsWith('s') ? 0x800 : 0;
  return TPM_RC[code] | number | kind;
}

export const EMPTY: Uint8Array = new Uint8Array(0);
export const text = (value: string): Uint8Array => new TextEncoder().encode(value);
export const NULL = { scheme: TPM_ALG.NULL } as const;
export const NO_SYMMETRIC = { algorithm: TPM_ALG.NULL } as const;
export const AES_CFB = { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB } as const;
export const ECDSA = { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } } as const;
export const HMAC = { scheme: TPM_ALG.HMAC, details: { hashAlg: TPM_ALG.SHA256 } } as const;
export const XOR = {
  scheme: TPM_ALG.XOR,
  details: { hashAlg: TPM_ALG.SHA256, kdf: TPM_ALG.KDF1_SP800_108 },
} as const;
export const NO_HASHCHECK = { tag: TPM_ST.HASHCHECK, hierarchy: TPM_RH.NULL, digest: EMPTY } as const;

export const { sign: SIGN, decrypt: DECRYPT, restricted: RESTRICTED } = TPMA_OBJECT;
export const { fixedTPM: FIXED_TPM, fixedParent: FIXED_PARENT, sensitiveDataOrigin: ORIGIN } = TPMA_OBJECT;
export const FIXED = FIXED_TPM | FIXED_PARENT;
const USER = TPMA_OBJECT.userWithAuth;

interface EccOptions {
  readonly scheme?: TPMT_ECC_SCHEME;
  readonly symmetric?: TPMT_SYM_DEF_OBJECT;
  readonly kdf?: TPMT_KDF_SCHEME;
  readonly nameAlg?: TPMT_PUBLIC['nameAlg'];
  readonly authPolicy?: Uint8Array;
}

/** A P-256 key with these attributes; its secret is the TPM's. */
export function ecc(attributes: number, options: EccOptions = {}): Extract<TPMT_PUBLIC, { type: typeof TPM_ALG.ECC }> {
  const { scheme = NULL, kdf = NULL, symmetric = NO_SYMMETRIC, nameAlg = TPM_ALG.SHA256, authPolicy = EMPTY } = options;
  return {
    type: TPM_ALG.ECC,
    nameAlg,
    objectAttributes: attributes | ORIGIN | USER,
    authPolicy,
    parameters: { symmetric, scheme, curveID: TPM_ECC.NIST_P256, kdf },
    unique: { x: EMPTY, y: EMPTY },
  };
}

/** A storage parent. */
export const storage = (attributes = 0, options: EccOptions = {}) =>
  ecc(RESTRICTED | DECRYPT | attributes, { symmetric: AES_CFB, ...options });

/** An RSA-2048 key with these attributes. */
export function rsa(
  attributes: number,
  scheme: TPMT_RSA_SCHEME = NULL,
  symmetric: TPMT_SYM_DEF_OBJECT = NO_SYMMETRIC,
): Extract<TPMT_PUBLIC, { type: typeof TPM_ALG.RSA }> {
  return {
    type: TPM_ALG.RSA,
    nameAlg: TPM_ALG.SHA256,
    objectAttributes: attributes | ORIGIN | USER,
    authPolicy: EMPTY,
    parameters: { symmetric, scheme, keyBits: 2048, exponent: 0 },
    unique: EMPTY,
  };
}

/** A keyed-hash object: `ORIGIN` is the caller's to set. */
export const keyedHash = (
  attributes: number,
  scheme: TPMT_KEYEDHASH_SCHEME = NULL,
): Extract<TPMT_PUBLIC, { type: typeof TPM_ALG.KEYEDHASH }> => ({
  type: TPM_ALG.KEYEDHASH,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: attributes | USER,
  authPolicy: EMPTY,
  parameters: { scheme },
  unique: EMPTY,
});

/** A symmetric cipher key: `ORIGIN` is the caller's to set. */
export const cipher = (
  attributes: number,
  sym: TPMT_SYM_DEF_OBJECT = AES_CFB,
): Extract<TPMT_PUBLIC, { type: typeof TPM_ALG.SYMCIPHER }> => ({
  type: TPM_ALG.SYMCIPHER,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: attributes | USER,
  authPolicy: EMPTY,
  parameters: { sym },
  unique: EMPTY,
});

/** Attributes taken away. */
export const without = <T extends TPMT_PUBLIC>(area: T, attributes: number): T => ({
  ...area,
  objectAttributes: area.objectAttributes & ~attributes,
});

/** A point of P-256 that is not its base point: 2 G. SEC 2, section 2.4.2, doubled. */
export const POINT = {
  x: Uint8Array.from(Buffer.from('7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978', 'hex')),
  y: Uint8Array.from(Buffer.from('07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1', 'hex')),
};
export const OFF_CURVE = { x: POINT.x, y: POINT.x };

export const changed = (bytes: Uint8Array): Uint8Array =>
  bytes.map((octet, i) => (i === bytes.length - 1 ? octet ^ 1 : octet));

const commands = new Map(
  allCommands.map((command) => [command.name, command as unknown as AnyCommand]), // handlers differ in argument types
);

/** This TPM cannot be brought into the situation by a test. */
export class OutOfReach extends Error {
  override readonly name = 'OutOfReach';
}

/** An RSA key pair made once, of 2048 bits. */
let pair: RsaKey | undefined;

export class Bench {
  readonly client: TpmClient;
  /** Cut the power and bring it back: no TPM2_Startup yet. */
  readonly restart: () => Promise<void>;
  /** Let so many milliseconds pass. Throws `OutOfReach` where time cannot be chosen. */
  readonly advance: (milliseconds: number) => void;

  constructor({ client, restart, advance }: Pick<Bench, 'client' | 'restart' | 'advance'>) {
    this.client = client;
    this.restart = restart;
    this.advance = advance;
  }

  startup(locality: Locality = 0, startupType: 0 | 1 = TPM_SU.CLEAR): Promise<unknown> {
    return this.client.Startup({ startupType }, { locality });
  }

  createPrimary(inPublic: TPMT_PUBLIC, data = EMPTY, primaryHandle: number = TPM_RH.OWNER, userAuth = EMPTY) {
    const rest = { outsideInfo: EMPTY, creationPCR: [] };
    return this.client.CreatePrimary({ primaryHandle, inSensitive: { userAuth, data }, inPublic, ...rest });
  }

  /** The handle of a primary key of the owner, or of another hierarchy. */
  async primary(inPublic: TPMT_PUBLIC, data = EMPTY, hierarchy: number = TPM_RH.OWNER): Promise<number> {
    return (await this.createPrimary(inPublic, data, hierarchy)).objectHandle;
  }

  create(parentHandle: number, inPublic: TPMT_PUBLIC, data = EMPTY, userAuth = EMPTY) {
    const rest = { outsideInfo: EMPTY, creationPCR: [] };
    return this.client.Create({ parentHandle, inSensitive: { userAuth, data }, inPublic, ...rest });
  }

  load(parentHandle: number, created: { outPrivate: Uint8Array; outPublic: TPMT_PUBLIC }) {
    return this.client.Load({ parentHandle, inPrivate: created.outPrivate, inPublic: created.outPublic });
  }

  /** A child's handle. */
  async child(parent: number, inPublic: TPMT_PUBLIC, data = EMPTY): Promise<number> {
    return (await this.load(parent, await this.create(parent, inPublic, data))).objectHandle;
  }

  /** An RSA key of which both parts come from outside. */
  async rsaKey(attributes: number, scheme: TPMT_RSA_SCHEME = NULL): Promise<number> {
    pair ??= this.client.crypto.rsaGenerate(2048, 65537);
    const inPublic = { ...without(rsa(attributes, scheme), ORIGIN), unique: pair.n };
    const inPrivate = { sensitiveType: TPM_ALG.RSA, authValue: EMPTY, seedValue: EMPTY, sensitive: pair.p } as const;
    return (await this.client.LoadExternal({ inPrivate, inPublic, hierarchy: TPM_RH.NULL })).objectHandle;
  }

  /** The public part of a key, loaded by itself. */
  async publicOnly(inPublic: TPMT_PUBLIC, hierarchy: typeof TPM_RH.NULL | typeof TPM_RH.OWNER = TPM_RH.NULL) {
    return (await this.client.LoadExternal({ inPrivate: undefined, inPublic, hierarchy })).objectHandle;
  }

  /** Run a command with octets in place of parameters that its schema would not write. */
  raw(name: CommandName, args: Record<string, unknown>, octets: Readonly<Record<string, Uint8Array>>) {
    const command = commands.get(name)!; // every name is a command's
    const paramList = command.paramList.map((field) => {
      const bytes = octets[field.name];
      return bytes === undefined
        ? field
        : { ...field, schema: { ...field.schema, write: (w: Writer) => w.bytes(bytes) } };
    });
    return this.client.run({ ...command, paramList }, args);
  }

  policy(type: 'policy' | 'trial' = 'policy') {
    return this.client.startSession({ type });
  }

  flush(flushHandle: number) {
    return this.client.FlushContext({ flushHandle });
  }

  /** Options that authorise the first handle by a policy session. */
  by(session: Awaited<ReturnType<TpmClient['startSession']>>): CommandOptions {
    return { auth: [{ session }] };
  }

  hash(...parts: readonly Uint8Array[]): Uint8Array {
    return this.client.crypto.hash(TPM_ALG.SHA256, ...parts);
  }
}
