/**
 * A key-encryption key that a TPM holds: 32 bytes from the TPM's generator, sealed under its storage primary key. The
 * file has the sealed object only, and opens on this TPM alone; copied with the database it is worth nothing. The key
 * crosses to this process in a salted, encrypting session. Clearing the owner hierarchy destroys it.
 */
import fs from 'node:fs';
import type { TpmClient } from '../../tpm/client/index.ts';
import { decode, encode, TPM_ALG, TPM_ECC, TPM_RH, TPMA_OBJECT, TPMT_PUBLIC } from '../../tpm/structures/index.ts';
import { VerifierError } from '../verifier/errors.ts';
import { writeOnce } from './kek.ts';

const KEY_BYTES = 32;
const EMPTY = new Uint8Array(0);
const { fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt } = TPMA_OBJECT;

/** TCG TPM v2.0 Provisioning Guidance, section 7.5.1: the ECC storage primary key of the owner hierarchy. */
const STORAGE: TPMT_PUBLIC = {
  type: TPM_ALG.ECC,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | noDA | restricted | decrypt,
  authPolicy: EMPTY,
  parameters: {
    symmetric: { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB },
    scheme: { scheme: TPM_ALG.NULL },
    curveID: TPM_ECC.NIST_P256,
    kdf: { scheme: TPM_ALG.NULL },
  },
  unique: { x: EMPTY, y: EMPTY },
};

const SEALED: TPMT_PUBLIC = {
  type: TPM_ALG.KEYEDHASH,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: fixedTPM | fixedParent | userWithAuth | noDA,
  authPolicy: EMPTY,
  parameters: { scheme: { scheme: TPM_ALG.NULL } },
  unique: EMPTY,
};

interface Storage {
  readonly handle: number;
  readonly publicArea: TPMT_PUBLIC;
}

/** The key; made and sealed into `path` where there is none. Throws `VerifierError` `kek-wrong` for another TPM's. */
export async function tpmKek(tpm: TpmClient, path: string): Promise<Uint8Array> {
  const { objectHandle: handle, outPublic: publicArea } = await tpm.CreatePrimary({
    primaryHandle: TPM_RH.OWNER,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: STORAGE,
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  const storage = { handle, publicArea };
  try {
    const sealed = fs.existsSync(path) ? fs.readFileSync(path) : writeOnce(path, await seal(tpm, storage));
    return await unseal(tpm, storage, sealed).catch((cause: unknown) => {
      throw new VerifierError('kek-wrong', `${path} does not open on this TPM.`, {
        remedy: 'Start on the TPM that sealed it; after its owner hierarchy was cleared, restore from a backup.',
        cause,
      });
    });
  } finally {
    await tpm.FlushContext({ flushHandle: handle });
  }
}

async function seal(tpm: TpmClient, storage: Storage): Promise<Uint8Array> {
  const { randomBytes: secret } = await tpm.GetRandom({ bytesRequested: KEY_BYTES });
  const session = await tpm.startSession({ salt: storage, decrypt: true });
  try {
    const { outPrivate, outPublic } = await tpm.Create(
      {
        parentHandle: storage.handle,
        inSensitive: { userAuth: EMPTY, data: secret },
        inPublic: SEALED,
        outsideInfo: EMPTY,
        creationPCR: [],
      },
      { auth: { session } },
    );
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
    return Buffer.from(
      `${JSON.stringify({ public: text(encode(TPMT_PUBLIC, outPublic)), private: text(outPrivate) })}\n`,
    );
  } finally {
    secret.fill(0);
    await tpm.FlushContext({ flushHandle: session.handle });
  }
}

async function unseal(tpm: TpmClient, storage: Storage, sealed: Uint8Array): Promise<Uint8Array> {
  const file = JSON.parse(Buffer.from(sealed).toString('utf8')) as { public: string; private: string };
  const { objectHandle } = await tpm.Load({
    parentHandle: storage.handle,
    inPrivate: Buffer.from(file.private, 'base64url'),
    inPublic: decode(TPMT_PUBLIC, Buffer.from(file.public, 'base64url')),
  });
  try {
    const session = await tpm.startSession({ salt: storage, encrypt: true });
    try {
      const { outData } = await tpm.Unseal({ itemHandle: objectHandle }, { auth: { session } });
      return Uint8Array.from(outData);
    } finally {
      await tpm.FlushContext({ flushHandle: session.handle });
    }
  } finally {
    await tpm.FlushContext({ flushHandle: objectHandle });
  }
}
