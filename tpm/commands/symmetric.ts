/** Symmetric primitives. Part 3, section 15. TPM2_MAC shares its code with TPM2_HMAC, as the specification has it. */
import { u16be } from '../crypto/bytes.ts';
import { Cmac } from '../crypto/cmac.ts';
import { AES_BLOCK, chainedIv, takesWholeBlocks } from '../crypto/modes.ts';
import type { AesMode, HashState } from '../crypto/provider.ts';
import { has, type TpmObject } from '../state/objects.ts';
import {
  type Infer,
  TPM_ALG,
  TPM_CC,
  TPM_GENERATED_VALUE,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPM2B_DIGEST,
  TPM2B_IV,
  TPM2B_MAX_BUFFER,
  TPMA_OBJECT,
  TPMI_ALG_CIPHER_MODE_OR_NULL,
  TPMI_ALG_HASH,
  TPMI_ALG_MAC_SCHEME_OR_NULL,
  TPMI_RH_HIERARCHY,
  TPMI_YES_NO,
  TPMT_TK_HASHCHECK,
  TpmError,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { TPMI_DH_OBJECT } from './handles.ts';
import { ticketDigest } from './object-logic.ts';

const MODES: Readonly<Record<number, AesMode>> = {
  [TPM_ALG.CFB]: 'cfb',
  [TPM_ALG.CTR]: 'ctr',
  [TPM_ALG.OFB]: 'ofb',
  [TPM_ALG.CBC]: 'cbc',
  [TPM_ALG.ECB]: 'ecb',
};

interface CipherRequest {
  readonly keyHandle: TpmObject;
  readonly decrypt: boolean;
  readonly mode: number;
  readonly ivIn: Uint8Array;
  readonly inData: Uint8Array;
}

/** The key's mode, or the caller's where the key leaves it open. TPM_RC_MODE. */
function selectMode(own: number, wanted: number): AesMode {
  const selected = own === TPM_ALG.NULL ? wanted : own;
  const agree = wanted === TPM_ALG.NULL || wanted === selected;
  const mode = agree ? MODES[selected] : undefined;
  if (mode === undefined) throw new TpmError(TPM_RC.MODE, 'mode');
  return mode;
}

/**
 * TPM_RC_KEY for another kind of key; TPM_RC_ATTRIBUTES for a restricted one, or one not for this use; TPM_RC_MODE;
 * TPM_RC_SIZE for a wrong IV, or parts of blocks where the mode takes whole ones.
 */
function encryptDecrypt(tpm: Context, { keyHandle, decrypt, mode: wanted, ivIn, inData }: CipherRequest) {
  const { publicArea, sensitive } = keyHandle;
  if (publicArea.type !== TPM_ALG.SYMCIPHER || sensitive === undefined) throw new TpmError(TPM_RC.KEY, 'keyHandle');
  const use = decrypt ? TPMA_OBJECT.decrypt : TPMA_OBJECT.sign;
  if (has(keyHandle, TPMA_OBJECT.restricted) || !has(keyHandle, use))
    throw new TpmError(TPM_RC.ATTRIBUTES, 'keyHandle');
  const { sym } = publicArea.parameters;
  const mode = selectMode(sym.algorithm === TPM_ALG.NULL ? TPM_ALG.NULL : sym.mode, wanted);
  if (takesWholeBlocks(mode) && inData.length % AES_BLOCK !== 0) throw new TpmError(TPM_RC.SIZE, 'inData');
  if (ivIn.length !== (mode === 'ecb' ? 0 : AES_BLOCK)) throw new TpmError(TPM_RC.SIZE, 'ivIn');
  const outData = tpm.crypto.aes(mode, !decrypt, sensitive.sensitive, ivIn, inData);
  const ivOut = decrypt ? chainedIv(mode, ivIn, outData, inData) : chainedIv(mode, ivIn, inData, outData);
  return { outData, ivOut };
}

const cipherResponse = { outData: TPM2B_MAX_BUFFER, ivOut: TPM2B_IV };

/** TPM2_EncryptDecrypt. Section 15.2. */
export const EncryptDecrypt = command(
  TPM_CC.EncryptDecrypt,
  {
    handles: { keyHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: {
      decrypt: TPMI_YES_NO,
      mode: TPMI_ALG_CIPHER_MODE_OR_NULL,
      ivIn: TPM2B_IV,
      inData: TPM2B_MAX_BUFFER,
    },
    response: cipherResponse,
  },
  encryptDecrypt,
);

/** TPM2_EncryptDecrypt2: the data comes first, so that a session may encrypt it. Section 15.3. */
export const EncryptDecrypt2 = command(
  TPM_CC.EncryptDecrypt2,
  {
    handles: { keyHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: {
      inData: TPM2B_MAX_BUFFER,
      decrypt: TPMI_YES_NO,
      mode: TPMI_ALG_CIPHER_MODE_OR_NULL,
      ivIn: TPM2B_IV,
    },
    response: cipherResponse,
  },
  encryptDecrypt,
);

/** Whether a message's start shows that it is no structure of the TPM's own making. */
export function isSafeStart(first: Uint8Array): boolean {
  // By octets: a DataView makes the engine move a small array out of its heap.
  const word = ((first[0]! << 24) | (first[1]! << 16) | (first[2]! << 8) | first[3]!) >>> 0;
  return first.length >= 4 && word !== TPM_GENERATED_VALUE;
}

/** A ticket that a restricted key may sign this digest; an empty one where it may not. Part 2, section 10.7.6. */
export function hashTicket(
  tpm: Context,
  hierarchy: Infer<typeof TPMI_RH_HIERARCHY>,
  hashAlg: number,
  digest: Uint8Array,
  safe: boolean,
): Infer<typeof TPMT_TK_HASHCHECK> {
  const tag = TPM_ST.HASHCHECK;
  if (!safe || hierarchy === TPM_RH.NULL) return { tag, hierarchy: TPM_RH.NULL, digest: new Uint8Array(0) };
  return { tag, hierarchy, digest: ticketDigest(tpm, hierarchy, tag, u16be(hashAlg), digest) };
}

/** TPM2_Hash. Section 15.4. */
export const Hash = command(
  TPM_CC.Hash,
  {
    params: { data: TPM2B_MAX_BUFFER, hashAlg: TPMI_ALG_HASH, hierarchy: TPMI_RH_HIERARCHY },
    response: { outHash: TPM2B_DIGEST, validation: TPMT_TK_HASHCHECK },
  },
  (tpm, { data, hashAlg, hierarchy }) => {
    const outHash = tpm.crypto.hash(hashAlg, data);
    return { outHash, validation: hashTicket(tpm, hierarchy, hashAlg, outHash, isSafeStart(data)) };
  },
);

/**
 * The algorithm and secret of a MAC, by the key's scheme or the caller's. TPM_RC_TYPE for a key that makes none; TPM_RC_ATTRIBUTES
 * for a restricted one; TPM_RC_KEY without sign; TPM_RC_VALUE where the schemes do not agree.
 */
function macOf(key: TpmObject, wanted: number, schemeName: string): { alg: number; secret: Uint8Array } {
  const { publicArea, sensitive } = key;
  if ((publicArea.type !== TPM_ALG.KEYEDHASH && publicArea.type !== TPM_ALG.SYMCIPHER) || sensitive === undefined)
    throw new TpmError(TPM_RC.TYPE, 'handle');
  if (has(key, TPMA_OBJECT.restricted)) throw new TpmError(TPM_RC.ATTRIBUTES, 'handle');
  if (!has(key, TPMA_OBJECT.sign)) throw new TpmError(TPM_RC.KEY, 'handle');
  const own = ownMac(publicArea);
  const alg = own === TPM_ALG.NULL ? wanted : own;
  const suits = (publicArea.type === TPM_ALG.SYMCIPHER) === (alg === TPM_ALG.CMAC);
  const agree = wanted === TPM_ALG.NULL || wanted === alg;
  if (alg === TPM_ALG.NULL || !suits || !agree) throw new TpmError(TPM_RC.VALUE, schemeName);
  return { alg, secret: sensitive.sensitive };
}

/** A MAC in the making; refuses as `macOf`. */
export function startMac(
  tpm: Context,
  key: TpmObject,
  wanted: number,
  schemeName: string,
): { alg: number; state: HashState } {
  const { alg, secret } = macOf(key, wanted, schemeName);
  return { alg, state: alg === TPM_ALG.CMAC ? new Cmac(tpm.crypto, secret) : tpm.crypto.hmacStart(alg, secret) };
}

/** The hash of an HMAC key, CMAC of a cipher key of that mode, TPM_ALG_NULL where it is open. */
function ownMac(publicArea: TpmObject['publicArea']): number {
  if (publicArea.type === TPM_ALG.KEYEDHASH) {
    const { scheme } = publicArea.parameters;
    return scheme.scheme === TPM_ALG.NULL ? TPM_ALG.NULL : scheme.details.hashAlg;
  }
  if (publicArea.type !== TPM_ALG.SYMCIPHER) return TPM_ALG.NULL;
  const { sym } = publicArea.parameters;
  return sym.algorithm === TPM_ALG.NULL ? TPM_ALG.NULL : sym.mode;
}

/** TPM2_HMAC and TPM2_MAC. Sections 15.5 and 15.6. */
export const HMAC = command(
  TPM_CC.HMAC,
  {
    handles: { handle: auth(TPMI_DH_OBJECT, 'user') },
    params: { buffer: TPM2B_MAX_BUFFER, hashAlg: TPMI_ALG_MAC_SCHEME_OR_NULL },
    response: { outHMAC: TPM2B_DIGEST },
  },
  (tpm, { handle, buffer, hashAlg }) => {
    const { alg, secret } = macOf(handle, hashAlg, 'hashAlg');
    const outHMAC =
      alg === TPM_ALG.CMAC
        ? new Cmac(tpm.crypto, secret).update(buffer).digest()
        : tpm.crypto.hmac(alg, secret, buffer);
    return { outHMAC };
  },
);

export const symmetricCommands = [EncryptDecrypt, EncryptDecrypt2, Hash, HMAC] as const;
