/** What the browser runs: a TPM makes an attestation key, quotes, and WebCrypto verifies the signature. */
import { NobleCrypto, TPM_ALG, TPM_RH, TPM_SU, TPMA_OBJECT, Tpm, TpmClient } from '../../tpm/browser.ts';

export async function quoteInBrowser(): Promise<{ verified: boolean; magic: string }> {
  const crypto = new NobleCrypto();
  const tpm = await Tpm.create({ crypto });
  tpm.powerOn();
  const client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  const none = new Uint8Array(0);
  const { objectHandle, outPublic } = await client.CreatePrimary({
    primaryHandle: TPM_RH.ENDORSEMENT,
    inSensitive: { userAuth: none, data: none },
    inPublic: {
      type: TPM_ALG.ECC,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes:
        TPMA_OBJECT.fixedTPM |
        TPMA_OBJECT.fixedParent |
        TPMA_OBJECT.sensitiveDataOrigin |
        TPMA_OBJECT.userWithAuth |
        TPMA_OBJECT.restricted |
        TPMA_OBJECT.sign,
      authPolicy: none,
      parameters: {
        symmetric: { algorithm: TPM_ALG.NULL },
        scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } },
        curveID: 3,
        kdf: { scheme: TPM_ALG.NULL },
      },
      unique: { x: none, y: none },
    },
    outsideInfo: none,
    creationPCR: [],
  });
  const { quoted, signature } = await client.Quote({
    signHandle: objectHandle,
    qualifyingData: new Uint8Array(8),
    inScheme: { scheme: TPM_ALG.NULL },
    PCRselect: [{ hash: TPM_ALG.SHA256, pcrSelect: [0, 1, 2] }],
  });
  if (outPublic.type !== TPM_ALG.ECC || signature.sigAlg !== TPM_ALG.ECDSA) throw new Error('not an ECDSA signature');
  const { x, y } = outPublic.unique;
  const point = Uint8Array.of(4, ...padded(x), ...padded(y));
  const key = await globalThis.crypto.subtle.importKey('raw', point, { name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'verify',
  ]);
  const { signatureR, signatureS } = signature.signature;
  const verified = await globalThis.crypto.subtle.verify(
    { name: 'ECDSA', hash: 'SHA-256' },
    key,
    Uint8Array.of(...padded(signatureR), ...padded(signatureS)),
    Uint8Array.from(quoted),
  );
  const magic = String.fromCharCode(...quoted.subarray(1, 4));
  await tpm.close();
  return { verified, magic };
}

function padded(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(32);
  out.set(bytes, 32 - bytes.length);
  return out;
}
