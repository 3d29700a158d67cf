/** TPM2_CertifyX509: an X.509 certificate (RFC 5280) over a loaded key. Part 3, section 18.8. */
import { concat } from '../crypto/bytes.ts';
import { pssSaltSize } from '../crypto/rsa-padding.ts';
import { has, type TpmObject } from '../state/objects.ts';
import {
  TPM_ALG,
  TPM_CC,
  TPM_ECC,
  TPM_RC,
  TPM_RH,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_MAX_BUFFER,
  TPMA_OBJECT,
  TPMT_SIG_SCHEME,
  TPMT_SIGNATURE,
  TpmError,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { DER, type DerElement, der, derBits, derInteger, derOid, readDer, readOne } from './der.ts';
import { orNull, TPMI_DH_OBJECT } from './handles.ts';
import { rsaExponent } from './keys.ts';
import { requireSigningKey, type SigningScheme, selectScheme, sign } from './signing-logic.ts';

const OID = {
  rsaEncryption: derOid('1.2.840.113549.1.1.1'),
  rsassaPss: derOid('1.2.840.113549.1.1.10'),
  mgf1: derOid('1.2.840.113549.1.1.8'),
  ecPublicKey: derOid('1.2.840.10045.2.1'),
  keyUsage: derOid('2.5.29.15'),
  /** tcg-tpmaObject: the object's attributes as a BIT STRING. */
  tpmaObject: derOid('2.23.133.10.1.1.1'),
} as const;

const CURVES: Readonly<Record<number, Uint8Array>> = {
  [TPM_ECC.NIST_P256]: derOid('1.2.840.10045.3.1.7'),
  [TPM_ECC.NIST_P384]: derOid('1.3.132.0.34'),
  [TPM_ECC.NIST_P521]: derOid('1.3.132.0.35'),
};

/** Identifiers of a hash, and of RSASSA and ECDSA with it (RFC 8017, RFC 5758, NIST CSOR). */
const HASHES: Readonly<Record<number, { hash: Uint8Array; rsassa: Uint8Array; ecdsa: Uint8Array }>> = {
  [TPM_ALG.SHA1]: hashOids('1.3.14.3.2.26', '1.2.840.113549.1.1.5', '1.2.840.10045.4.1'),
  [TPM_ALG.SHA256]: hashOids('2.16.840.1.101.3.4.2.1', '1.2.840.113549.1.1.11', '1.2.840.10045.4.3.2'),
  [TPM_ALG.SHA384]: hashOids('2.16.840.1.101.3.4.2.2', '1.2.840.113549.1.1.12', '1.2.840.10045.4.3.3'),
  [TPM_ALG.SHA512]: hashOids('2.16.840.1.101.3.4.2.3', '1.2.840.113549.1.1.13', '1.2.840.10045.4.3.4'),
  [TPM_ALG.SHA3_256]: hashOids('2.16.840.1.101.3.4.2.8', '2.16.840.1.101.3.4.3.14', '2.16.840.1.101.3.4.3.10'),
  [TPM_ALG.SHA3_384]: hashOids('2.16.840.1.101.3.4.2.9', '2.16.840.1.101.3.4.3.15', '2.16.840.1.101.3.4.3.11'),
  [TPM_ALG.SHA3_512]: hashOids('2.16.840.1.101.3.4.2.10', '2.16.840.1.101.3.4.3.16', '2.16.840.1.101.3.4.3.12'),
};

function hashOids(hash: string, rsassa: string, ecdsa: string) {
  return { hash: derOid(hash), rsassa: derOid(rsassa), ecdsa: derOid(ecdsa) };
}

const NULL = der(DER.NULL);

/** AlgorithmIdentifier of a signature scheme; undefined where X.509 has no name for it. */
function signatureAlgorithm({ publicArea }: TpmObject, { scheme, details }: SigningScheme): Uint8Array | undefined {
  const oids = HASHES[details.hashAlg];
  if (oids === undefined) return undefined;
  switch (scheme) {
    case TPM_ALG.RSASSA:
      return der(DER.SEQUENCE, oids.rsassa, NULL);
    case TPM_ALG.ECDSA:
      return der(DER.SEQUENCE, oids.ecdsa);
    case TPM_ALG.RSAPSS: {
      const hash = der(DER.SEQUENCE, oids.hash, NULL);
      const modulus = publicArea.type === TPM_ALG.RSA ? publicArea.unique.length : 0;
      const parameters = der(
        DER.SEQUENCE,
        der(DER.context(0), hash),
        der(DER.context(1), der(DER.SEQUENCE, OID.mgf1, hash)),
        der(DER.context(2), derInteger(Uint8Array.of(pssSaltSize(modulus, details.hashAlg)))),
      );
      return der(DER.SEQUENCE, OID.rsassaPss, parameters);
    }
    default:
      return undefined;
  }
}

/** SubjectPublicKeyInfo of an RSA or ECC key; undefined where X.509 has no name for it. */
function subjectPublicKeyInfo({ publicArea }: TpmObject): Uint8Array | undefined {
  const info = (algorithm: Uint8Array, key: Uint8Array) =>
    der(DER.SEQUENCE, algorithm, der(DER.BIT_STRING, Uint8Array.of(0), key));
  if (publicArea.type === TPM_ALG.RSA) {
    const exponent = rsaExponent(publicArea);
    const e = Uint8Array.of(exponent >>> 24, exponent >>> 16, exponent >>> 8, exponent);
    const key = der(DER.SEQUENCE, derInteger(publicArea.unique), derInteger(e));
    return info(der(DER.SEQUENCE, OID.rsaEncryption, NULL), key);
  }
  if (publicArea.type !== TPM_ALG.ECC) return undefined;
  const curve = CURVES[publicArea.parameters.curveID];
  if (curve === undefined) return undefined;
  const { x, y } = publicArea.unique;
  return info(der(DER.SEQUENCE, OID.ecPublicKey, curve), concat(Uint8Array.of(4), x, y));
}

/** What the caller gives of a TBSCertificate. */
interface Partial {
  /** The signature algorithm, if the caller names it. */
  readonly signature: DerElement | undefined;
  /** Issuer, validity, subject. */
  readonly names: readonly DerElement[];
  /** Unique identifiers, if any, and extensions. */
  readonly rest: readonly DerElement[];
  readonly extensions: DerElement;
}

const UNIQUE_IDS = [0x81, 0x82]; // [1] and [2] IMPLICIT BIT STRING

/** SubjectPublicKeyInfo of no key: OpenSSL writes it into a certificate that is to get its key later. */
const NO_KEY = der(DER.SEQUENCE, der(DER.SEQUENCE), der(DER.BIT_STRING, Uint8Array.of(0)));

/** Take a partial certificate apart; undefined where its form is wrong. In place of a key, no key may stand. */
function readPartial(bytes: Uint8Array): Partial | undefined {
  const given = readDer(readOne(bytes, DER.SEQUENCE)?.content ?? new Uint8Array(0)) ?? [];
  const elements = given.filter((element, i) => i < 3 || element.bytes.join() !== NO_KEY.join());
  const extensions = elements.at(-1);
  const sequences = elements.findIndex(({ tag }) => tag !== DER.SEQUENCE);
  if (extensions?.tag !== DER.context(3) || (sequences !== 3 && sequences !== 4)) return undefined;
  const rest = elements.slice(sequences);
  const ids = rest.slice(0, -1).map(({ tag }) => tag);
  if (!ids.every((tag, i) => UNIQUE_IDS.includes(tag) && (i === 0 || tag > (ids[i - 1] ?? 0)))) return undefined;
  return {
    signature: sequences === 4 ? elements[0] : undefined,
    names: elements.slice(sequences - 3, sequences),
    rest,
    extensions,
  };
}

/** Values of extensions by the hexadecimal of their identifiers; undefined where the form is wrong or one is twice. */
function readExtensions({ content }: DerElement): Map<string, Uint8Array> | undefined {
  const list = readDer(readOne(content, DER.SEQUENCE)?.content ?? new Uint8Array(0));
  if (list === undefined) return undefined;
  const values = new Map<string, Uint8Array>();
  for (const extension of list) {
    const [id, ...more] = extension.tag === DER.SEQUENCE ? (readDer(extension.content) ?? []) : [];
    const value = more.at(-1);
    const critical = more.length === 2 ? more[0] : undefined;
    if (id?.tag !== DER.OID || value?.tag !== DER.OCTET_STRING || more.length > 2) return undefined;
    if (more.length === 2 && critical?.tag !== DER.BOOLEAN) return undefined;
    const key = id.bytes.join();
    if (values.has(key)) return undefined;
    values.set(key, value.content);
  }
  return values;
}

/** Uses of a certified key, bit 0 of the BIT STRING first, and what the TPM holds them to. Part 2, section 8.11. */
const KEY_USAGE = {
  sign: 0x8600_0000, // digitalSignature, keyCertSign, cRLSign
  nonRepudiation: 0x4000_0000,
  keyEncipherment: 0x2000_0000,
  decrypt: 0x3980_0000, // keyEncipherment, dataEncipherment, keyAgreement, encipherOnly, decipherOnly
} as const;

/** Refuse extensions that say of the key what its attributes do not. */
function checkExtensions(object: TpmObject, extensions: DerElement): void {
  const refuse = (code: number) => new TpmError(code, 'partialCertificate');
  const values = readExtensions(extensions);
  const attributes = values?.get(OID.tpmaObject.join());
  const usage = derBits(values?.get(OID.keyUsage.join()) ?? new Uint8Array(0));
  if (values === undefined || usage === undefined) throw refuse(TPM_RC.VALUE);
  if (attributes !== undefined) {
    const bits = derBits(attributes);
    if (bits === undefined) throw refuse(TPM_RC.VALUE);
    if (bits !== object.publicArea.objectAttributes >>> 0) throw refuse(TPM_RC.ATTRIBUTES);
  }
  const claims = (bits: number, attribute: number) => (usage & bits) !== 0 && !has(object, attribute);
  if (
    claims(KEY_USAGE.sign, TPMA_OBJECT.sign) ||
    claims(KEY_USAGE.decrypt, TPMA_OBJECT.decrypt) ||
    claims(KEY_USAGE.nonRepudiation, TPMA_OBJECT.fixedTPM) ||
    claims(KEY_USAGE.keyEncipherment, TPMA_OBJECT.restricted)
  )
    throw refuse(TPM_RC.ATTRIBUTES);
}

/** The same for the same certificate, and told to nobody in advance: a keyed hash, positive, of 16 octets. */
function serialNumber(tpm: Context, ...content: readonly Uint8Array[]): Uint8Array {
  const { proof } = tpm.state.hierarchies[TPM_RH.ENDORSEMENT];
  const serial = tpm.crypto.hmac(TPM_ALG.SHA256, proof, ...content).slice(0, 16);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial;
}

const VERSION_3 = der(DER.context(0), derInteger(Uint8Array.of(2)));

/**
 * TPM_RC_SIZE: `reserved` is not empty. TPM_RC_KEY, TPM_RC_SCHEME: `signHandle` cannot sign a certificate.
 * TPM_RC_ASYMMETRIC: X.509 has no name for the object's kind of key. TPM_RC_VALUE: the partial certificate's form.
 * TPM_RC_ATTRIBUTES: its extensions say of the key what is not so.
 */
export const CertifyX509 = command(
  TPM_CC.CertifyX509,
  {
    handles: { objectHandle: auth(TPMI_DH_OBJECT, 'admin'), signHandle: auth(orNull(TPMI_DH_OBJECT), 'user') },
    params: { reserved: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME, partialCertificate: TPM2B_MAX_BUFFER },
    response: { addedToCertificate: TPM2B_MAX_BUFFER, tbsDigest: TPM2B_DIGEST, signature: TPMT_SIGNATURE },
  },
  (tpm, { objectHandle: object, signHandle: key, reserved, inScheme, partialCertificate }) => {
    if (reserved.length !== 0) throw new TpmError(TPM_RC.SIZE, 'reserved');
    if (key === undefined) throw new TpmError(TPM_RC.KEY, 'signHandle');
    requireSigningKey(key, 'signHandle');
    const scheme = selectScheme(key, inScheme);
    const algorithm = scheme && signatureAlgorithm(key, scheme);
    if (scheme === undefined || algorithm === undefined) throw new TpmError(TPM_RC.SCHEME, 'inScheme');
    const publicKey = subjectPublicKeyInfo(object);
    if (publicKey === undefined) throw new TpmError(TPM_RC.ASYMMETRIC, 'objectHandle');
    const partial = readPartial(partialCertificate);
    if (partial === undefined) throw new TpmError(TPM_RC.VALUE, 'partialCertificate');
    checkExtensions(object, partial.extensions);
    if (partial.signature !== undefined && partial.signature.bytes.join() !== algorithm.join())
      throw new TpmError(TPM_RC.VALUE, 'partialCertificate');

    const serial = derInteger(serialNumber(tpm, key.name, object.name, partialCertificate));
    const added = partial.signature === undefined ? algorithm : new Uint8Array(0);
    const bytesOf = (elements: readonly DerElement[]) => elements.map(({ bytes }) => bytes);
    const tbsDigest = tpm.crypto.hash(
      scheme.details.hashAlg,
      der(
        DER.SEQUENCE,
        ...[VERSION_3, serial, algorithm, ...bytesOf(partial.names)],
        ...[publicKey, ...bytesOf(partial.rest)],
      ),
    );
    return {
      addedToCertificate: der(DER.SEQUENCE, VERSION_3, serial, added, publicKey),
      tbsDigest,
      signature: sign(tpm, key, scheme, tbsDigest),
    };
  },
);
