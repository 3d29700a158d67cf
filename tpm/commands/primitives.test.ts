/** Symmetric and asymmetric primitives and sequences, against node:crypto. */
import { createCipheriv, createHash, createHmac } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import {
  atHandle,
  atParameter,
  type Infer,
  TPM_ALG,
  TPM_ECC,
  TPM_RC,
  TPM_RH,
  TPM_SU,
  type TPM2B_PUBLIC,
  TPMA_OBJECT,
} from '../structures/index.ts';
import { Tpm } from '../tpm.ts';
import { newCommit } from './commits.ts';
import type { Context } from './context.ts';

const EMPTY = new Uint8Array(0);
const NULL = { scheme: TPM_ALG.NULL } as const;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const plain = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes);
type Public = Infer<typeof TPM2B_PUBLIC>;

let client: TpmClient;
beforeAll(async () => {
  const onFault = (fault: unknown) => {
    throw fault;
  };
  const tpm = await Tpm.create({ onFault });
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
});

async function code(call: Promise<unknown>): Promise<number> {
  try {
    await call;
    return TPM_RC.SUCCESS;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return error.code as number;
    throw error;
  }
}

const common = (uses: number) => ({
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: TPMA_OBJECT.userWithAuth | TPMA_OBJECT.noDA | uses,
  authPolicy: EMPTY,
});

/** Run `work` with a primary key that has these data or is made here. */
async function withKey<T>(inPublic: Public, data: Uint8Array, work: (handle: number) => Promise<T>): Promise<T> {
  const origin = data.length === 0 ? TPMA_OBJECT.sensitiveDataOrigin : 0;
  const objectAttributes = inPublic.objectAttributes | origin | TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent;
  const { objectHandle } = await client.CreatePrimary({
    primaryHandle: TPM_RH.OWNER,
    inSensitive: { userAuth: EMPTY, data },
    inPublic: { ...inPublic, objectAttributes },
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  try {
    return await work(objectHandle);
  } finally {
    await client.FlushContext({ flushHandle: objectHandle });
  }
}

const BOTH = TPMA_OBJECT.sign | TPMA_OBJECT.decrypt;
const KEY = Uint8Array.from({ length: 16 }, (_, i) => i);
const IV = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i);
const aesKey = (mode: typeof TPM_ALG.NULL | typeof TPM_ALG.CFB | typeof TPM_ALG.CMAC, uses: number = BOTH): Public => ({
  type: TPM_ALG.SYMCIPHER,
  ...common(uses),
  parameters: { sym: { algorithm: TPM_ALG.AES, keyBits: 128, mode } },
  unique: EMPTY,
});

describe('TPM2_EncryptDecrypt2', () => {
  it.each([
    ['cfb', TPM_ALG.CFB, 40],
    ['ctr', TPM_ALG.CTR, 40],
    ['ofb', TPM_ALG.OFB, 40],
    ['cbc', TPM_ALG.CBC, 48],
  ] as const)('enciphers in %s as OpenSSL does, in pieces joined by ivOut, and back', async (name, mode, size) => {
    const data = Uint8Array.from({ length: size }, (_, i) => i * 7);
    const expected = plain(createCipheriv(`aes-128-${name}`, KEY, IV).setAutoPadding(false).update(data));
    await withKey(aesKey(TPM_ALG.NULL), KEY, async (keyHandle) => {
      const run = (decrypt: boolean, inData: Uint8Array, ivIn: Uint8Array) =>
        client.EncryptDecrypt2({ keyHandle, inData, decrypt, mode, ivIn });
      for (const decrypt of [false, true]) {
        const [from, to] = decrypt ? [expected, data] : [data, expected];
        const first = await run(decrypt, from.subarray(0, 32), IV);
        const second = await run(decrypt, from.subarray(32), first.ivOut);
        expect([...first.outData, ...second.outData]).toEqual([...to]);
      }
      const old = await client.EncryptDecrypt({ keyHandle, inData: data, decrypt: false, mode, ivIn: IV });
      expect(old.outData).toEqual(expected);
    });
  });

  it('refuses other keys, uses, modes and sizes', async () => {
    const run = (
      keyHandle: number,
      more: { mode?: typeof TPM_ALG.CTR | typeof TPM_ALG.NULL; ivIn?: Uint8Array } = {},
    ) =>
      code(
        client.EncryptDecrypt2({ keyHandle, inData: text('x'), decrypt: false, mode: TPM_ALG.NULL, ivIn: IV, ...more }),
      );
    await withKey(aesKey(TPM_ALG.NULL), KEY, async (key) => {
      expect(await run(key)).toBe(atParameter(TPM_RC.MODE, 3));
    });
    await withKey(aesKey(TPM_ALG.CFB), KEY, async (key) => {
      expect(await run(key, { mode: TPM_ALG.CTR })).toBe(atParameter(TPM_RC.MODE, 3));
      expect(await run(key, { ivIn: EMPTY })).toBe(atParameter(TPM_RC.SIZE, 4));
    });
    await withKey(aesKey(TPM_ALG.CFB, TPMA_OBJECT.decrypt), KEY, async (key) => {
      expect(await run(key)).toBe(atHandle(TPM_RC.ATTRIBUTES, 1));
    });
    await withKey(hmacKey, EMPTY, async (key) => {
      expect(await run(key)).toBe(atHandle(TPM_RC.KEY, 1));
    });
  });
});

const hmacKey: Public = {
  type: TPM_ALG.KEYEDHASH,
  ...common(TPMA_OBJECT.sign),
  parameters: { scheme: { scheme: TPM_ALG.HMAC, details: { hashAlg: TPM_ALG.SHA256 } } },
  unique: EMPTY,
};

describe('hashes, MACs and sequences', () => {
  const message = Uint8Array.from({ length: 3000 }, (_, i) => i);

  it('HMAC and CMAC, at once and in pieces', async () => {
    await withKey(hmacKey, text('a key of some length'), async (handle) => {
      const expected = plain(createHmac('sha256', 'a key of some length').update(message).digest());
      const { outHMAC } = await client.HMAC({ handle, buffer: text('m'), hashAlg: TPM_ALG.NULL });
      expect(outHMAC).toEqual(plain(createHmac('sha256', 'a key of some length').update('m').digest()));
      const { sequenceHandle } = await client.HMAC_Start({ handle, auth: EMPTY, hashAlg: TPM_ALG.SHA256 });
      expect(await finish(sequenceHandle, message)).toEqual(expected);
      const wrong = client.HMAC({ handle, buffer: EMPTY, hashAlg: TPM_ALG.SHA384 });
      expect(await code(wrong)).toBe(atParameter(TPM_RC.VALUE, 2));
    });
    await withKey(aesKey(TPM_ALG.CMAC, TPMA_OBJECT.sign), KEY, async (handle) => {
      const { outHMAC } = await client.HMAC({ handle, buffer: message.subarray(0, 1000), hashAlg: TPM_ALG.CMAC });
      const { sequenceHandle } = await client.HMAC_Start({ handle, auth: EMPTY, hashAlg: TPM_ALG.NULL });
      expect(await finish(sequenceHandle, message.subarray(0, 1000))).toEqual(outHMAC);
    });
  });

  async function finish(sequenceHandle: number, data: Uint8Array): Promise<Uint8Array> {
    let at = 0;
    for (; at + 700 < data.length; at += 700)
      await client.SequenceUpdate({ sequenceHandle, buffer: data.subarray(at, at + 700) });
    const rest = { sequenceHandle, buffer: data.subarray(at), hierarchy: TPM_RH.OWNER };
    const { result } = await client.SequenceComplete(rest);
    expect(await code(client.SequenceComplete(rest))).toBe(TPM_RC.REFERENCE_H0);
    return result;
  }

  it('a hash, with a ticket unless the message could be of the TPM itself', async () => {
    const { sequenceHandle } = await client.HashSequenceStart({ auth: EMPTY, hashAlg: TPM_ALG.SHA384 });
    expect(await finish(sequenceHandle, message)).toEqual(plain(createHash('sha384').update(message).digest()));
    const ticket = async (data: Uint8Array) =>
      (await client.Hash({ data, hashAlg: TPM_ALG.SHA256, hierarchy: TPM_RH.OWNER })).validation.digest.length;
    expect(await ticket(text('plain message'))).toBeGreaterThan(0);
    expect(await ticket(Uint8Array.of(0xff, 0x54, 0x43, 0x47, 1))).toBe(0);
    expect(await ticket(text('abc'))).toBe(0);
  });

  it('an event sequence extends every bank', async () => {
    const { sequenceHandle } = await client.HashSequenceStart({ auth: EMPTY, hashAlg: TPM_ALG.NULL });
    await client.SequenceUpdate({ sequenceHandle, buffer: text('boot') });
    const end = { sequenceHandle, buffer: text('ed'), hierarchy: TPM_RH.NULL };
    expect(await code(client.SequenceComplete(end))).toBe(atHandle(TPM_RC.MODE, 1));
    const { results } = await client.EventSequenceComplete({ pcrHandle: 16, sequenceHandle, buffer: text('ed') });
    expect(results.map(({ hashAlg }) => hashAlg)).toEqual([4, 11, 12, 13]);
    expect(results[1]?.digest).toEqual(plain(createHash('sha256').update('booted').digest()));
  });
});

const rsaKey: Public = {
  type: TPM_ALG.RSA,
  ...common(TPMA_OBJECT.decrypt),
  parameters: { symmetric: { algorithm: TPM_ALG.NULL }, scheme: NULL, keyBits: 2048, exponent: 0 },
  unique: EMPTY,
};
const eccKey: Public = {
  type: TPM_ALG.ECC,
  ...common(TPMA_OBJECT.decrypt),
  parameters: { symmetric: { algorithm: TPM_ALG.NULL }, scheme: NULL, curveID: TPM_ECC.NIST_P256, kdf: NULL },
  unique: { x: EMPTY, y: EMPTY },
};

describe('asymmetric primitives', () => {
  it('RSA encrypts and decrypts with each padding, and refuses what does not fit', async () => {
    await withKey(rsaKey, EMPTY, async (keyHandle) => {
      const oaep = { scheme: TPM_ALG.OAEP, details: { hashAlg: TPM_ALG.SHA256 } } as const;
      for (const inScheme of [oaep, { scheme: TPM_ALG.RSAES } as const]) {
        const label = text('L\0');
        const { outData } = await client.RSA_Encrypt({ keyHandle, message: text('secret'), inScheme, label });
        const opened = await client.RSA_Decrypt({ keyHandle, cipherText: outData, inScheme, label });
        expect(opened.message).toEqual(text('secret'));
        outData[255]! ^= 1;
        const damaged = client.RSA_Decrypt({ keyHandle, cipherText: outData, inScheme, label });
        expect(await code(damaged)).toBe(atParameter(TPM_RC.VALUE, 1));
      }
      const raw = await client.RSA_Encrypt({ keyHandle, message: text('raw'), inScheme: NULL, label: EMPTY });
      const back = await client.RSA_Decrypt({ keyHandle, cipherText: raw.outData, inScheme: NULL, label: EMPTY });
      expect(back.message.subarray(-3)).toEqual(text('raw'));
      const call = (message: Uint8Array, label: Uint8Array) =>
        code(client.RSA_Encrypt({ keyHandle, message, inScheme: oaep, label }));
      expect(await call(new Uint8Array(191), EMPTY)).toBe(atParameter(TPM_RC.VALUE, 1));
      expect(await call(EMPTY, text('no zero'))).toBe(atParameter(TPM_RC.VALUE, 3));
      const long = client.RSA_Decrypt({ keyHandle, cipherText: new Uint8Array(255), inScheme: NULL, label: EMPTY });
      expect(await code(long)).toBe(atParameter(TPM_RC.SIZE, 1));
      const large = new Uint8Array(256).fill(255);
      const above = client.RSA_Decrypt({ keyHandle, cipherText: large, inScheme: NULL, label: EMPTY });
      expect(await code(above)).toBe(atParameter(TPM_RC.VALUE, 1));
    });
  });

  it('ECDH agrees from both sides, and refuses points off the curve', async () => {
    await withKey(eccKey, EMPTY, async (keyHandle) => {
      const { zPoint, pubPoint } = await client.ECDH_KeyGen({ keyHandle });
      const { outPoint } = await client.ECDH_ZGen({ keyHandle, inPoint: pubPoint });
      expect(outPoint).toEqual(zPoint);
      const off = { x: pubPoint.x, y: pubPoint.x };
      expect(await code(client.ECDH_ZGen({ keyHandle, inPoint: off }))).toBe(atParameter(TPM_RC.ECC_POINT, 1));
      expect(await code(client.RSA_Encrypt({ keyHandle, message: EMPTY, inScheme: NULL, label: EMPTY }))).toBe(
        atHandle(TPM_RC.KEY, 1),
      );
    });
  });

  it('ECC encrypts for a public point; what was changed has one refusal', async () => {
    const inScheme = { scheme: TPM_ALG.KDF2, details: { hashAlg: TPM_ALG.SHA256 } } as const;
    await withKey(eccKey, EMPTY, async (keyHandle) => {
      const plainText = Uint8Array.from({ length: 100 }, (_, i) => i);
      const sealed = await client.ECC_Encrypt({ keyHandle, plainText, inScheme });
      expect((await client.ECC_Decrypt({ keyHandle, ...sealed, inScheme })).plainText).toEqual(plainText);
      const { outPoint } = await client.ECDH_ZGen({ keyHandle, inPoint: sealed.C1 });
      const hash = createHash('sha256').update(outPoint.x).update(plainText).update(outPoint.y);
      expect(sealed.C3).toEqual(plain(hash.digest()));
      const stream = createHash('sha256')
        .update(outPoint.x)
        .update(outPoint.y)
        .update(Uint8Array.of(0, 0, 0, 1));
      expect(sealed.C2.subarray(0, 32)).toEqual(plain(stream.digest()).map((octet, i) => octet ^ i));
      const changed = [
        { ...sealed, C1: { x: sealed.C1.y, y: sealed.C1.x } },
        { ...sealed, C2: sealed.C2.map((octet) => octet ^ 1) },
        { ...sealed, C3: new Uint8Array(32) },
      ];
      for (const bad of changed)
        expect(await code(client.ECC_Decrypt({ keyHandle, ...bad, inScheme }))).toBe(TPM_RC.VALUE);
      expect(await code(client.ECC_Encrypt({ keyHandle, plainText, inScheme: NULL }))).toBe(
        atParameter(TPM_RC.SCHEME, 2),
      );
    });
  });

  it('agrees in two phases, each ephemeral key once', async () => {
    await withKey(eccKey, EMPTY, async (keyA) => {
      const [a, b] = [await client.EC_Ephemeral({ curveID: 3 }), await client.EC_Ephemeral({ curveID: 3 })];
      const { outPublic } = await client.ReadPublic({ objectHandle: keyA });
      if (outPublic.type !== TPM_ALG.ECC) throw new Error('not an ECC key');
      const phase = (counter: number, inQeB: typeof a.Q) =>
        client.ZGen_2Phase({ keyA, inQsB: outPublic.unique, inQeB, inScheme: TPM_ALG.ECDH, counter });
      const [first, second] = [await phase(a.counter, b.Q), await phase(b.counter, a.Q)];
      expect(first).toEqual(second);
      expect(first.outZ1).not.toEqual(first.outZ2);
      expect(await code(phase(a.counter, b.Q))).toBe(atParameter(TPM_RC.VALUE, 4));
    });
  });

  it('never gives an ephemeral scalar twice, though its counter has 16 bits', async () => {
    const tpm = { crypto: client.crypto, random: { bytes: (size: number) => new Uint8Array(size).fill(7) } };
    const commits = { nonce: EMPTY, next: 0n, pending: new Map<number, bigint>() };
    const context = { ...tpm, state: { commits } } as unknown as Context; // what the function reads of it
    const first = newCommit(context, EMPTY, TPM_ECC.NIST_P256);
    commits.next = 65536n;
    const wrapped = newCommit(context, EMPTY, TPM_ECC.NIST_P256);
    expect(wrapped.counter).toBe(first.counter);
    expect(wrapped.scalar).not.toBe(first.scalar);
  });

  it('names the parameters of its curves', async () => {
    const { parameters } = await client.ECC_Parameters({ curveID: TPM_ECC.BN_P256 });
    expect([parameters.keySize, parameters.b[31], parameters.gY[31], parameters.h]).toEqual([
      256,
      3,
      2,
      Uint8Array.of(1),
    ]);
  });
});
