/** Enhanced authorisation: assertions. Part 3, section 23. */
import { equal, equalSecret, u32be } from '../crypto/bytes.ts';
import { selectionBytes } from '../state/pcr.ts';
import {
  DIGEST_SIZE,
  encode,
  Reader,
  TPM_CC,
  TPM_EO_OPERATION,
  TPM_RC,
  TPM_ST,
  TPM2B_DIGEST,
  TPM2B_NAME,
  TPM2B_NONCE,
  TPM2B_OPERAND,
  TPMA_LOCALITY,
  TPMI_YES_NO,
  TPML_DIGEST_OR,
  TPML_PCR_SELECTION,
  TPMS_TIME_INFO,
  TPMT_HA,
  TPMT_TK_VERIFIED,
  TpmError,
  u16,
  u32,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import { TPMI_RH_NV_AUTH, TPMI_RH_NV_INDEX, TPMI_SH_POLICY } from './handles.ts';
import { requireReadable } from './nv.ts';
import { ticketDigest } from './object-logic.ts';
import { argumentHash, compare, extendPolicy, policyUpdate, requireNoHash, zeroDigest } from './policy-logic.ts';

const policySession = { policySession: TPMI_SH_POLICY };
const isTrial = (session: { readonly type: string }): boolean => session.type === 'trial';

/** TPM2_PolicyOR. Part 3, section 23.6. */
export const PolicyOR = command(
  TPM_CC.PolicyOR,
  { handles: policySession, params: { pHashList: TPML_DIGEST_OR } },
  (tpm, { policySession: session, pHashList }) => {
    const satisfied = pHashList.some((digest) => equal(digest, session.policy.digest));
    if (!satisfied && !isTrial(session)) throw new TpmError(TPM_RC.VALUE, 'pHashList');
    session.policy.digest = zeroDigest(session);
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyOR), ...pHashList);
  },
);

/** TPM2_PolicyPCR. Part 3, section 23.7. */
export const PolicyPCR = command(
  TPM_CC.PolicyPCR,
  { handles: policySession, params: { pcrDigest: TPM2B_DIGEST, pcrs: TPML_PCR_SELECTION } },
  (tpm, { policySession: session, pcrDigest, pcrs }) => {
    const { pcr } = tpm.state;
    const current = pcr.digest(session.authHash, pcrs);
    let digest = current.digest;
    if (isTrial(session)) {
      if (pcrDigest.length !== 0) digest = pcrDigest;
    } else {
      if (session.policy.pcrCounter !== undefined && session.policy.pcrCounter !== pcr.updateCounter)
        throw new TpmError(TPM_RC.PCR_CHANGED);
      if (pcrDigest.length !== 0 && !equal(pcrDigest, digest)) throw new TpmError(TPM_RC.VALUE, 'pcrDigest');
    }
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyPCR), selectionBytes(current.selection), digest);
    if (!isTrial(session)) session.policy.pcrCounter = pcr.updateCounter;
  },
);

/** TPM2_PolicyLocality. Part 3, section 23.8. */
export const PolicyLocality = command(
  TPM_CC.PolicyLocality,
  { handles: policySession, params: { locality: TPMA_LOCALITY } },
  (tpm, { policySession: session, locality }) => {
    const { policy } = session;
    if (locality === 0) throw new TpmError(TPM_RC.RANGE, 'locality');
    if (policy.locality === 0) {
      policy.locality = locality;
    } else if (locality < 32) {
      if (policy.locality >= 32 || (policy.locality & locality) === 0) throw new TpmError(TPM_RC.RANGE, 'locality');
      policy.locality &= locality;
    } else if (policy.locality !== locality) {
      throw new TpmError(TPM_RC.RANGE, 'locality');
    }
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyLocality), Uint8Array.of(locality));
  },
);

/** TPM2_PolicyNV. Part 3, section 23.9. */
export const PolicyNV = command(
  TPM_CC.PolicyNV,
  {
    handles: { authHandle: auth(TPMI_RH_NV_AUTH, 'user'), nvIndex: TPMI_RH_NV_INDEX, ...policySession },
    params: { operandB: TPM2B_OPERAND, offset: u16, operation: TPM_EO_OPERATION },
  },
  (tpm, { authHandle, nvIndex, policySession: session, operandB, offset, operation }) => {
    if (!isTrial(session)) {
      requireReadable(authHandle, nvIndex);
      if (offset > nvIndex.data.length) throw new TpmError(TPM_RC.VALUE, 'offset');
      if (offset + operandB.length > nvIndex.data.length) throw new TpmError(TPM_RC.SIZE, 'operandB');
      const operandA = nvIndex.data.subarray(offset, offset + operandB.length);
      if (!compare(operandA, operandB, operation)) throw new TpmError(TPM_RC.POLICY);
    }
    const argHash = argumentHash(tpm, session, operandB, offset, operation);
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyNV), argHash, nvIndex.name);
  },
);

/** TPM2_PolicyCounterTimer. Part 3, section 23.10. */
export const PolicyCounterTimer = command(
  TPM_CC.PolicyCounterTimer,
  { handles: policySession, params: { operandB: TPM2B_OPERAND, offset: u16, operation: TPM_EO_OPERATION } },
  (tpm, { policySession: session, operandB, offset, operation }) => {
    const info = encode(TPMS_TIME_INFO, tpm.clock.timeInfo);
    if (offset > info.length) throw new TpmError(TPM_RC.VALUE, 'offset');
    if (offset + operandB.length > info.length) throw new TpmError(TPM_RC.RANGE);
    const holds = compare(info.subarray(offset, offset + operandB.length), operandB, operation);
    if (!holds && !isTrial(session)) throw new TpmError(TPM_RC.POLICY);
    extendPolicy(
      tpm,
      session,
      u32be(TPM_CC.PolicyCounterTimer),
      argumentHash(tpm, session, operandB, offset, operation),
    );
  },
);

/** TPM2_PolicyCommandCode. Part 3, section 23.11. */
export const PolicyCommandCode = command(
  TPM_CC.PolicyCommandCode,
  { handles: policySession, params: { code: u32 } },
  (tpm, { policySession: session, code }) => {
    const { policy } = session;
    if (policy.commandCode !== undefined && policy.commandCode !== code) throw new TpmError(TPM_RC.VALUE, 'code');
    if (!tpm.commands.has(code)) throw new TpmError(TPM_RC.POLICY_CC, 'code');
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyCommandCode), u32be(code));
    policy.commandCode = code;
  },
);

/** TPM2_PolicyPhysicalPresence. Part 3, section 23.12. */
export const PolicyPhysicalPresence = command(
  TPM_CC.PolicyPhysicalPresence,
  { handles: policySession },
  (tpm, { policySession: session }) => {
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyPhysicalPresence));
    session.policy.physicalPresence = true;
  },
);

/** TPM2_PolicyCpHash. Part 3, section 23.13. */
export const PolicyCpHash = command(
  TPM_CC.PolicyCpHash,
  { handles: policySession, params: { cpHashA: TPM2B_DIGEST } },
  (tpm, { policySession: session, cpHashA }) => {
    if (cpHashA.length !== DIGEST_SIZE[session.authHash]) throw new TpmError(TPM_RC.SIZE, 'cpHashA');
    if (session.policy.cpHash === undefined || !equal(session.policy.cpHash, cpHashA)) requireNoHash(session);
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyCpHash), cpHashA);
    session.policy.cpHash = cpHashA;
  },
);

/** TPM2_PolicyNameHash. Part 3, section 23.14. */
export const PolicyNameHash = command(
  TPM_CC.PolicyNameHash,
  { handles: policySession, params: { nameHash: TPM2B_DIGEST } },
  (tpm, { policySession: session, nameHash }) => {
    if (nameHash.length !== DIGEST_SIZE[session.authHash]) throw new TpmError(TPM_RC.SIZE, 'nameHash');
    requireNoHash(session);
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyNameHash), nameHash);
    session.policy.nameHash = nameHash;
  },
);

/** TPM2_PolicyDuplicationSelect. Part 3, section 23.15. */
export const PolicyDuplicationSelect = command(
  TPM_CC.PolicyDuplicationSelect,
  {
    handles: policySession,
    params: { objectName: TPM2B_NAME, newParentName: TPM2B_NAME, includeObject: TPMI_YES_NO },
  },
  (tpm, { policySession: session, objectName, newParentName, includeObject }) => {
    requireNoHash(session);
    if (session.policy.commandCode !== undefined) throw new TpmError(TPM_RC.COMMAND_CODE);
    session.policy.nameHash = tpm.crypto.hash(session.authHash, objectName, newParentName);
    extendPolicy(
      tpm,
      session,
      u32be(TPM_CC.PolicyDuplicationSelect),
      includeObject ? objectName : new Uint8Array(0),
      newParentName,
      Uint8Array.of(includeObject ? 1 : 0),
    );
    session.policy.commandCode = TPM_CC.Duplicate;
  },
);

/** TPM2_PolicyAuthorize. Part 3, section 23.16. */
export const PolicyAuthorize = command(
  TPM_CC.PolicyAuthorize,
  {
    handles: policySession,
    params: {
      approvedPolicy: TPM2B_DIGEST,
      policyRef: TPM2B_NONCE,
      keySign: TPM2B_NAME,
      checkTicket: TPMT_TK_VERIFIED,
    },
  },
  (tpm, { policySession: session, approvedPolicy, policyRef, keySign, checkTicket }) => {
    if (keySign.length < 2) throw new TpmError(TPM_RC.HASH, 'keySign');
    const hashAlg = (keySign[0]! << 8) | keySign[1]!;
    if (DIGEST_SIZE[hashAlg] === undefined) throw new TpmError(TPM_RC.HASH, 'keySign');
    if (keySign.length !== DIGEST_SIZE[hashAlg]! + 2) throw new TpmError(TPM_RC.SIZE, 'keySign');
    if (!isTrial(session)) {
      if (!equal(session.policy.digest, approvedPolicy)) throw new TpmError(TPM_RC.VALUE, 'approvedPolicy');
      const aHash = tpm.crypto.hash(hashAlg, approvedPolicy, policyRef);
      const expected = ticketDigest(tpm, checkTicket.hierarchy, TPM_ST.VERIFIED, aHash, keySign);
      if (!equalSecret(expected, checkTicket.digest)) throw new TpmError(TPM_RC.VALUE, 'checkTicket');
    }
    session.policy.digest = zeroDigest(session);
    policyUpdate(tpm, session, TPM_CC.PolicyAuthorize, keySign, policyRef);
  },
);

/** TPM2_PolicyAuthValue. Part 3, section 23.17. */
export const PolicyAuthValue = command(
  TPM_CC.PolicyAuthValue,
  { handles: policySession },
  (tpm, { policySession: session }) => {
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyAuthValue));
    session.policy.authValueNeeded = true;
    session.policy.passwordNeeded = false;
  },
);

/** TPM2_PolicyPassword: the same digest as PolicyAuthValue. Part 3, section 23.18. */
export const PolicyPassword = command(
  TPM_CC.PolicyPassword,
  { handles: policySession },
  (tpm, { policySession: session }) => {
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyAuthValue));
    session.policy.passwordNeeded = true;
    session.policy.authValueNeeded = false;
  },
);

/** TPM2_PolicyGetDigest. Part 3, section 23.19. */
export const PolicyGetDigest = command(
  TPM_CC.PolicyGetDigest,
  { handles: policySession, response: { policyDigest: TPM2B_DIGEST } },
  (_, { policySession: session }) => ({ policyDigest: session.policy.digest }),
);

/** TPM2_PolicyNvWritten. Part 3, section 23.20. */
export const PolicyNvWritten = command(
  TPM_CC.PolicyNvWritten,
  { handles: policySession, params: { writtenSet: TPMI_YES_NO } },
  (tpm, { policySession: session, writtenSet }) => {
    if (session.policy.nvWritten !== undefined && session.policy.nvWritten !== writtenSet)
      throw new TpmError(TPM_RC.VALUE, 'writtenSet');
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyNvWritten), Uint8Array.of(writtenSet ? 1 : 0));
    session.policy.nvWritten = writtenSet;
  },
);

/** TPM2_PolicyTemplate. Part 3, section 23.21. */
export const PolicyTemplate = command(
  TPM_CC.PolicyTemplate,
  { handles: policySession, params: { templateHash: TPM2B_DIGEST } },
  (tpm, { policySession: session, templateHash }) => {
    const { templateHash: earlier } = session.policy;
    // The same template may be asserted again, as a cpHash may.
    if (earlier === undefined) requireNoHash(session);
    else if (!equal(earlier, templateHash)) throw new TpmError(TPM_RC.VALUE, 'templateHash');
    if (templateHash.length !== DIGEST_SIZE[session.authHash]) throw new TpmError(TPM_RC.SIZE, 'templateHash');
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyTemplate), templateHash);
    session.policy.templateHash = templateHash;
  },
);

/** TPM2_PolicyAuthorizeNV: the index holds the policy that is approved, a TPMT_HA. Part 3, section 23.22. */
export const PolicyAuthorizeNV = command(
  TPM_CC.PolicyAuthorizeNV,
  { handles: { authHandle: auth(TPMI_RH_NV_AUTH, 'user'), nvIndex: TPMI_RH_NV_INDEX, ...policySession } },
  (tpm, { authHandle, nvIndex, policySession: session }) => {
    if (!isTrial(session)) {
      requireReadable(authHandle, nvIndex);
      const { hashAlg, digest } = TPMT_HA.read(new Reader(nvIndex.data));
      if (hashAlg !== session.authHash) throw new TpmError(TPM_RC.HASH);
      if (!equal(digest, session.policy.digest)) throw new TpmError(TPM_RC.VALUE);
    }
    session.policy.digest = zeroDigest(session);
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyAuthorizeNV), nvIndex.name);
  },
);

/** TPM2_PolicyParameters: the command's parameters, without its handles. Part 3, section 23.25 (revision 1.83). */
export const PolicyParameters = command(
  TPM_CC.PolicyParameters,
  { handles: policySession, params: { pHash: TPM2B_DIGEST } },
  (tpm, { policySession: session, pHash }) => {
    if (pHash.length !== DIGEST_SIZE[session.authHash]) throw new TpmError(TPM_RC.SIZE, 'pHash');
    requireNoHash(session);
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyParameters), pHash);
    session.policy.parametersHash = pHash;
  },
);

export const policyCommands = [
  PolicyOR,
  PolicyPCR,
  PolicyLocality,
  PolicyNV,
  PolicyCounterTimer,
  PolicyCommandCode,
  PolicyPhysicalPresence,
  PolicyCpHash,
  PolicyNameHash,
  PolicyDuplicationSelect,
  PolicyAuthorize,
  PolicyAuthValue,
  PolicyPassword,
  PolicyGetDigest,
  PolicyNvWritten,
  PolicyTemplate,
  PolicyAuthorizeNV,
  PolicyParameters,
];
