/** Attestation. Part 3, section 18. */
import { equalSecret, u16be } from '../crypto/bytes.ts';
import { KDFa } from '../crypto/kdf.ts';
import type { TpmObject } from '../state/objects.ts';
import {
  encode,
  MAX_NV_BUFFER,
  TPM_ALG,
  TPM_CC,
  TPM_GENERATED_VALUE,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPM2B_ATTEST,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPML_PCR_SELECTION,
  TPMS_ATTEST,
  TPMT_SIG_SCHEME,
  TPMT_SIGNATURE,
  TPMT_TK_CREATION,
  TpmError,
  u16,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import {
  orNull,
  TPMI_DH_OBJECT,
  TPMI_RH_ENDORSEMENT,
  TPMI_RH_NV_AUTH,
  TPMI_RH_NV_INDEX,
  TPMI_SH_HMAC,
} from './handles.ts';
import { nvRange, requireReadable } from './nv.ts';
import { ticketDigest } from './object-logic.ts';
import { requireSigningKey, type SigningScheme, selectScheme, sign } from './signing-logic.ts';

/** TPM_PT_FIRMWARE_VERSION_1 and _2 together. */
export const FIRMWARE_VERSION = 0x2026_1122_0000_0001n;

type Attested = TPMS_ATTEST extends infer A
  ? A extends { type: infer T; attested: infer V }
    ? { type: T; attested: V }
    : never
  : never;

const response = { signature: TPMT_SIGNATURE };
const scheme = { qualifyingData: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME };

/** The signing key and scheme of an attestation: refusals name `signHandle` and `inScheme`. */
function signer(key: TpmObject | undefined, inScheme: TPMT_SIG_SCHEME): SigningScheme | undefined {
  if (key === undefined) return undefined;
  requireSigningKey(key, 'signHandle');
  const chosen = selectScheme(key, inScheme);
  if (chosen === undefined) throw new TpmError(TPM_RC.SCHEME, 'inScheme');
  return chosen;
}

/** Fill in the common part, encode, hash and sign. Part 3, section 18.1. */
function attest(
  tpm: Context,
  key: TpmObject | undefined,
  scheme: SigningScheme | undefined,
  extraData: Uint8Array,
  attested: Attested,
): { bytes: Uint8Array; signature: TPMT_SIGNATURE } {
  const clockInfo = tpm.clock.clockInfo;
  let firmwareVersion = FIRMWARE_VERSION;
  const trusted = key === undefined || key.hierarchy === TPM_RH.PLATFORM || key.hierarchy === TPM_RH.ENDORSEMENT;
  if (!trusted) {
    // Counters would identify the platform across owners: hide them from keys of other hierarchies. Part 1, 36.7.
    const { proof } = tpm.state.hierarchies[TPM_RH.OWNER];
    const hide = KDFa(tpm.crypto, TPM_ALG.SHA256, proof, 'OBFUSCATE', key.qualifiedName, new Uint8Array(0), 128);
    const view = new DataView(hide.buffer, hide.byteOffset);
    firmwareVersion = BigInt.asUintN(64, firmwareVersion + view.getBigUint64(0));
    clockInfo.resetCount = (clockInfo.resetCount + view.getUint32(8)) >>> 0;
    clockInfo.restartCount = (clockInfo.restartCount + view.getUint32(12)) >>> 0;
  }
  const bytes = encode(TPMS_ATTEST, {
    magic: TPM_GENERATED_VALUE,
    qualifiedSigner: key?.qualifiedName ?? nullName,
    extraData,
    clockInfo,
    firmwareVersion,
    ...attested,
  } as TPMS_ATTEST); // tag and value come together in `attested`
  if (key === undefined || scheme === undefined) return { bytes, signature: { sigAlg: TPM_ALG.NULL } };
  const digest = tpm.crypto.hash(scheme.details.hashAlg, bytes);
  return { bytes, signature: sign(tpm, key, scheme, digest) };
}

const nullName = Uint8Array.of(0x40, 0, 0, 7);

/** TPM2_Certify: this object is loaded in this TPM. Part 3, section 18.2. */
export const Certify = command(
  TPM_CC.Certify,
  {
    handles: { objectHandle: auth(TPMI_DH_OBJECT, 'admin'), signHandle: auth(orNull(TPMI_DH_OBJECT), 'user') },
    params: scheme,
    response: { certifyInfo: TPM2B_ATTEST, ...response },
  },
  (tpm, { objectHandle, signHandle, qualifyingData, inScheme }) => {
    const chosen = signer(signHandle, inScheme);
    const { bytes, signature } = attest(tpm, signHandle, chosen, qualifyingData, {
      type: TPM_ST.ATTEST_CERTIFY,
      attested: { name: objectHandle.name, qualifiedName: objectHandle.qualifiedName },
    });
    return { certifyInfo: bytes, signature };
  },
);

/** TPM2_CertifyCreation: this TPM made the object, with this creation data. Part 3, section 18.3. */
export const CertifyCreation = command(
  TPM_CC.CertifyCreation,
  {
    handles: { signHandle: auth(orNull(TPMI_DH_OBJECT), 'user'), objectHandle: TPMI_DH_OBJECT },
    params: {
      qualifyingData: TPM2B_DATA,
      creationHash: TPM2B_DIGEST,
      inScheme: TPMT_SIG_SCHEME,
      creationTicket: TPMT_TK_CREATION,
    },
    response: { certifyInfo: TPM2B_ATTEST, ...response },
  },
  (tpm, { signHandle, objectHandle, qualifyingData, creationHash, inScheme, creationTicket }) => {
    const chosen = signer(signHandle, inScheme);
    const expected = ticketDigest(tpm, creationTicket.hierarchy, TPM_ST.CREATION, objectHandle.name, creationHash);
    if (!equalSecret(expected, creationTicket.digest)) throw new TpmError(TPM_RC.TICKET, 'creationTicket');
    const { bytes, signature } = attest(tpm, signHandle, chosen, qualifyingData, {
      type: TPM_ST.ATTEST_CREATION,
      attested: { objectName: objectHandle.name, creationHash },
    });
    return { certifyInfo: bytes, signature };
  },
);

/** TPM2_Quote: sign the selected PCR values. Part 3, section 18.4. */
export const Quote = command(
  TPM_CC.Quote,
  {
    handles: { signHandle: auth(orNull(TPMI_DH_OBJECT), 'user') },
    params: { ...scheme, PCRselect: TPML_PCR_SELECTION },
    response: { quoted: TPM2B_ATTEST, ...response },
  },
  (tpm, { signHandle, qualifyingData, inScheme, PCRselect }) => {
    const chosen = signer(signHandle, inScheme);
    // Without a key there is no scheme, and so no hash of the PCR.
    if (chosen === undefined) throw new TpmError(TPM_RC.SCHEME, 'inScheme');
    const { digest, selection } = tpm.state.pcr.digest(chosen.details.hashAlg, PCRselect);
    const { bytes, signature } = attest(tpm, signHandle, chosen, qualifyingData, {
      type: TPM_ST.ATTEST_QUOTE,
      attested: { pcrSelect: selection, pcrDigest: digest },
    });
    return { quoted: bytes, signature };
  },
);

/** TPM2_GetSessionAuditDigest. Part 3, section 18.5. */
export const GetSessionAuditDigest = command(
  TPM_CC.GetSessionAuditDigest,
  {
    handles: {
      privacyAdminHandle: auth(TPMI_RH_ENDORSEMENT, 'user'),
      signHandle: auth(orNull(TPMI_DH_OBJECT), 'user'),
      sessionHandle: TPMI_SH_HMAC,
    },
    params: scheme,
    response: { auditInfo: TPM2B_ATTEST, ...response },
  },
  (tpm, { signHandle, sessionHandle, qualifyingData, inScheme }) => {
    const chosen = signer(signHandle, inScheme);
    if (sessionHandle.audit === undefined) throw new TpmError(TPM_RC.TYPE, 'sessionHandle');
    const { bytes, signature } = attest(tpm, signHandle, chosen, qualifyingData, {
      type: TPM_ST.ATTEST_SESSION_AUDIT,
      attested: {
        exclusiveSession: tpm.state.sessions.exclusive === sessionHandle.handle,
        sessionDigest: sessionHandle.audit.digest,
      },
    });
    return { auditInfo: bytes, signature };
  },
);

/** TPM2_GetCommandAuditDigest: reports the digest and starts a new one. Part 3, section 18.6. */
export const GetCommandAuditDigest = command(
  TPM_CC.GetCommandAuditDigest,
  {
    handles: { privacyHandle: auth(TPMI_RH_ENDORSEMENT, 'user'), signHandle: auth(orNull(TPMI_DH_OBJECT), 'user') },
    params: scheme,
    response: { auditInfo: TPM2B_ATTEST, ...response },
    nv: true,
  },
  (tpm, { signHandle, qualifyingData, inScheme }) => {
    const chosen = signer(signHandle, inScheme);
    const { commandAudit } = tpm.state;
    const codes = [...commandAudit.commands].sort((a, b) => a - b);
    const list = new Uint8Array(codes.length * 4);
    const view = new DataView(list.buffer);
    codes.forEach((code, i) => {
      view.setUint32(i * 4, code);
    });
    const { bytes, signature } = attest(tpm, signHandle, chosen, qualifyingData, {
      type: TPM_ST.ATTEST_COMMAND_AUDIT,
      attested: {
        auditCounter: commandAudit.counter,
        digestAlg: commandAudit.alg,
        auditDigest: commandAudit.digest,
        commandDigest: tpm.crypto.hash(commandAudit.alg, list),
      },
    });
    if (signHandle !== undefined) commandAudit.digest = new Uint8Array(0);
    return { auditInfo: bytes, signature };
  },
);

/** TPM2_GetTime. Part 3, section 18.7. */
export const GetTime = command(
  TPM_CC.GetTime,
  {
    handles: {
      privacyAdminHandle: auth(TPMI_RH_ENDORSEMENT, 'user'),
      signHandle: auth(orNull(TPMI_DH_OBJECT), 'user'),
    },
    params: scheme,
    response: { timeInfo: TPM2B_ATTEST, ...response },
  },
  (tpm, { signHandle, qualifyingData, inScheme }) => {
    const chosen = signer(signHandle, inScheme);
    const { bytes, signature } = attest(tpm, signHandle, chosen, qualifyingData, {
      type: TPM_ST.ATTEST_TIME,
      attested: { time: tpm.clock.timeInfo, firmwareVersion: FIRMWARE_VERSION },
    });
    return { timeInfo: bytes, signature };
  },
);

/** TPM2_NV_Certify: contents, or with size and offset 0 their digest. Part 3, section 31.16. */
export const NV_Certify = command(
  TPM_CC.NV_Certify,
  {
    handles: {
      signHandle: auth(orNull(TPMI_DH_OBJECT), 'user'),
      authHandle: auth(TPMI_RH_NV_AUTH, 'user'),
      nvIndex: TPMI_RH_NV_INDEX,
    },
    params: { ...scheme, size: u16, offset: u16 },
    response: { certifyInfo: TPM2B_ATTEST, ...response },
  },
  (tpm, { signHandle, authHandle, nvIndex, qualifyingData, inScheme, size, offset }) => {
    const chosen = signer(signHandle, inScheme);
    requireReadable(authHandle, nvIndex);
    if (size + offset > nvIndex.data.length) throw new TpmError(TPM_RC.NV_RANGE);
    if (size > MAX_NV_BUFFER) throw new TpmError(TPM_RC.VALUE, 'size');
    const nvContents = nvRange(nvIndex, offset, size);
    const indexName = nvIndex.name;
    const attested: Attested =
      size === 0 && offset === 0 && chosen !== undefined
        ? {
            type: TPM_ST.ATTEST_NV_DIGEST,
            attested: { indexName, nvDigest: tpm.crypto.hash(chosen.details.hashAlg, nvIndex.data) },
          }
        : {
            type: TPM_ST.ATTEST_NV,
            attested: { indexName, offset, nvContents },
          };
    const { bytes, signature } = attest(tpm, signHandle, chosen, qualifyingData, attested);
    return { certifyInfo: bytes, signature };
  },
);

/** The ticket that a digest is not of a TPM-generated structure. */
export const hashCheck = (tpm: Context, hierarchy: number, hashAlg: number, digest: Uint8Array): Uint8Array =>
  ticketDigest(tpm, hierarchy, TPM_ST.HASHCHECK, u16be(hashAlg), digest);

export const attestationCommands = [
  Certify,
  CertifyCreation,
  Quote,
  GetSessionAuditDigest,
  GetCommandAuditDigest,
  GetTime,
  NV_Certify,
];
