/**
 * TPM commands as bytes and responses as fields, for benchmarks and tests that drive any TPM, ours or another's, with
 * exactly the same bytes. Independent of `tpm/structures`, so that a mistake there does not cancel out.
 */

export const CC = {
  EvictControl: 0x120,
  NV_UndefineSpace: 0x122,
  NV_DefineSpace: 0x12a,
  CreatePrimary: 0x131,
  NV_Increment: 0x134,
  NV_Extend: 0x136,
  NV_Write: 0x137,
  Startup: 0x144,
  NV_Read: 0x14e,
  Create: 0x153,
  ECDH_ZGen: 0x154,
  HMAC: 0x155,
  Load: 0x157,
  Quote: 0x158,
  RSA_Decrypt: 0x159,
  Sign: 0x15d,
  Unseal: 0x15e,
  ContextLoad: 0x161,
  ContextSave: 0x162,
  ECDH_KeyGen: 0x163,
  FlushContext: 0x165,
  NV_ReadPublic: 0x169,
  ReadPublic: 0x173,
  RSA_Encrypt: 0x174,
  StartAuthSession: 0x176,
  VerifySignature: 0x177,
  GetCapability: 0x17a,
  GetRandom: 0x17b,
  Hash: 0x17d,
  PCR_Read: 0x17e,
  PolicyPCR: 0x17f,
  PCR_Extend: 0x182,
  PolicyGetDigest: 0x189,
  EncryptDecrypt2: 0x193,
} as const;

export const ALG = {
  RSA: 0x01,
  HMAC: 0x05,
  AES: 0x06,
  KEYEDHASH: 0x08,
  SHA256: 0x0b,
  NULL: 0x10,
  RSASSA: 0x14,
  OAEP: 0x17,
  ECDSA: 0x18,
  ECC: 0x23,
  SYMCIPHER: 0x25,
  CFB: 0x43,
} as const;

export const RH = { OWNER: 0x40000001, NULL: 0x40000007, PW: 0x40000009 } as const;

export const u8 = (value: number) => Uint8Array.of(value);
export const u16 = (value: number) => Uint8Array.of(value >>> 8, value & 0xff);
export const u32 = (value: number) =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
export const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
/** TPM2B: a 16-bit size and the bytes. */
export const sized = (...parts: readonly Uint8Array[]): Uint8Array => {
  const bytes = join(...parts);
  return join(u16(bytes.length), bytes);
};
export const NOTHING = new Uint8Array(0);
/** An empty TPM2B. */
export const EMPTY = sized();

/** TPMS_AUTH_COMMAND: an empty password. */
export const EMPTY_PASSWORD = join(u32(RH.PW), EMPTY, u8(0), EMPTY);

/** A command. `auths`: that many empty passwords, or the sessions themselves. */
export function command(
  code: number,
  handles: readonly number[],
  auths: number | readonly Uint8Array[],
  ...parameters: readonly Uint8Array[]
): Uint8Array {
  const sessions = typeof auths === 'number' ? new Array<Uint8Array>(auths).fill(EMPTY_PASSWORD) : auths;
  const area = join(...sessions);
  const rest = join(...handles.map(u32), ...(sessions.length ? [u32(area.length), area] : []), ...parameters);
  return join(u16(sessions.length ? 0x8002 : 0x8001), u32(10 + rest.length), u32(code), rest);
}

/** Reads fields one after the other. */
export class Fields {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u16(): number {
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2);
  }

  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4);
  }

  bytes(size: number): Uint8Array {
    this.#at += size;
    return this.#bytes.slice(this.#at - size, this.#at);
  }

  /** Contents of a TPM2B. */
  sized(): Uint8Array {
    return this.bytes(this.u16());
  }

  rest(): Uint8Array {
    return this.#bytes.slice(this.#at);
  }
}

/** Response code of a response. */
export const responseCode = (response: Uint8Array): number =>
  new DataView(response.buffer, response.byteOffset, response.length).getUint32(6);

/** A successful response, taken apart. Throws for a response code other than success. */
export function open(response: Uint8Array, makesHandle = false): { handle: number; parameters: Fields; auth: Fields } {
  const code = responseCode(response);
  if (code !== 0) throw new Error(`TPM response code 0x${code.toString(16).padStart(3, '0')}`);
  const fields = new Fields(response.subarray(10));
  const handle = makesHandle ? fields.u32() : 0;
  if (response[1] !== 2) return { handle, parameters: fields, auth: new Fields(NOTHING) };
  const parameters = new Fields(fields.bytes(fields.u32()));
  return { handle, parameters, auth: new Fields(fields.rest()) };
}

/** One bank's selection list: the given PCRs of SHA-256. */
export function selection(pcrs: readonly number[]): Uint8Array {
  const map = new Uint8Array(3);
  for (const pcr of pcrs) map[pcr >> 3] = (map[pcr >> 3] ?? 0) | (1 << (pcr & 7));
  return join(u32(1), u16(ALG.SHA256), u8(3), map);
}

const AES128_CFB = join(u16(ALG.AES), u16(128), u16(ALG.CFB));
const NONE = u16(ALG.NULL);
export const NO_SCHEME = NONE;
export const scheme = (algorithm: number) => join(u16(algorithm), u16(ALG.SHA256));

function publicArea(
  type: number,
  attributes: number,
  policy: Uint8Array,
  parameters: Uint8Array,
  unique: Uint8Array,
): Uint8Array {
  return sized(u16(type), u16(ALG.SHA256), u32(attributes), sized(policy), parameters, unique);
}

const ecc = (attributes: number, symmetric: Uint8Array, signing: Uint8Array, x: Uint8Array = NOTHING) =>
  publicArea(ALG.ECC, attributes, NOTHING, join(symmetric, signing, u16(3), NONE), join(sized(x), sized(x)));
const rsa = (attributes: number, symmetric: Uint8Array, signing: Uint8Array, n: Uint8Array = NOTHING) =>
  publicArea(ALG.RSA, attributes, NOTHING, join(symmetric, signing, u16(2048), u32(0)), sized(n));

/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA. */
const COMMON = 0x472;
const RESTRICTED = 0x10000;
const DECRYPT = 0x20000;
const SIGN = 0x40000;

/** TPM2B_PUBLIC templates. */
export const template = {
  eccStorage: (x: Uint8Array = new Uint8Array(32)) => ecc(COMMON | RESTRICTED | DECRYPT, AES128_CFB, NONE, x),
  rsaStorage: (n: Uint8Array = new Uint8Array(256)) => rsa(COMMON | RESTRICTED | DECRYPT, AES128_CFB, NONE, n),
  eccSign: () => ecc(COMMON | SIGN, NONE, scheme(ALG.ECDSA)),
  rsaSign: () => rsa(COMMON | SIGN, NONE, scheme(ALG.RSASSA)),
  eccAttest: () => ecc(COMMON | RESTRICTED | SIGN, NONE, scheme(ALG.ECDSA)),
  eccDh: () => ecc(COMMON | DECRYPT, NONE, NONE),
  rsaDecrypt: () => rsa(COMMON | DECRYPT, NONE, NONE),
  hmac: () => publicArea(ALG.KEYEDHASH, COMMON | SIGN, NOTHING, join(u16(ALG.HMAC), u16(ALG.SHA256)), EMPTY),
  aes: () => publicArea(ALG.SYMCIPHER, COMMON | SIGN | DECRYPT, NOTHING, AES128_CFB, EMPTY),
  /** As `sealed`, opened by its authorisation value. */
  sealedByPassword: () => publicArea(ALG.KEYEDHASH, 0x452, NOTHING, NONE, EMPTY),
  /** fixedTPM, fixedParent, noDA: opened by policy only. */
  sealed: (policy: Uint8Array) => publicArea(ALG.KEYEDHASH, 0x412, policy, NONE, EMPTY),
};

/** TPM2B_SENSITIVE_CREATE with an empty authorisation value. */
export const sensitive = (data: Uint8Array = NOTHING) => sized(EMPTY, sized(data));

/** TPMS_NV_PUBLIC as TPM2B. */
export const nvPublic = (index: number, attributes: number, size: number) =>
  sized(u32(index), u16(ALG.SHA256), u32(attributes), EMPTY, u16(size));
