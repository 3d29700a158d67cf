/** Enhanced authorisation: assertions. Part 3, section 23. */
import { concat, equal, equalSecret, u32be, u64be } from '../crypto/bytes.ts';
import { isPin, nvHas } from '../state/nv.ts';
import { selectionBytes } from '../state/pcr.ts';
import {
  DIGEST_SIZE,
  encode,
  i32,
  TPM_CC,
  TPM_EO_OPERATION,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPM2B_DIGEST,
  TPM2B_NAME,
  TPM2B_NONCE,
  TPM2B_OPERAND,
  TPM2B_TIMEOUT,
  TPMA_LOCALITY,
  TPMA_NV,
  TPMI_YES_NO,
  TPML_DIGEST_OR,
  TPML_PCR_SELECTION,
  TPMS_TIME_INFO,
  TPMT_SIGNATURE_PRESENT,
  TPMT_TK_AUTH,
  TPMT_TK_VERIFIED,
  TpmError,
  u16,
  u32,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import {
  entityName,
  TPMI_DH_ENTITY,
  TPMI_DH_OBJECT,
  TPMI_RH_NV_AUTH,
  TPMI_RH_NV_INDEX,
  TPMI_SH_POLICY,
} from './handles.ts';
import { requireReadable } from './nv.ts';
import { ticketDigest } from './object-logic.ts';
import {
  applyAssertion,
  argumentHash,
  checkParameters,
  compare,
  extendPolicy,
  policyUpdate,
  requireNoHash,
  zeroDigest,
} from './policy-logic.ts';
import { verify } from './signing-logic.ts';

const policySession = { policySession: TPMI_SH_POLICY };
const isTrial = (session: { readonly type: string }): boolean => session.type === 'trial';

type TicketTag = typeof TPM_ST.AUTH_SECRET | typeof TPM_ST.AUTH_SIGNED;

/** A timeout's octets and the ticket over it, when a negative expiration asks for one. Part 3, section 23.2.5. */
function authTicket(
  tpm: Context,
  tag: TicketTag,
  expiration: number,
  deadline: bigint,
  cpHashA: Uint8Array,
  policyRef: Uint8Array,
  name: Uint8Array,
  hierarchy: number,
) {
  if (expiration >= 0)
    return {
      timeout: new Uint8Array(0),
      policyTicket: { tag, hierarchy: TPM_RH.NULL, digest: new Uint8Array(0) },
    };
  const timeout = u64be(deadline);
  const digest = ticketDigest(tpm, hierarchy, tag, timeout, epoch(tpm), cpHashA, policyRef, name);
  return { timeout, policyTicket: { tag, hierarchy: hierarchy as typeof TPM_RH.OWNER, digest } }; // a hierarchy's TPM_RH
}

/** Tickets end with TPM time: they are bound to this start of it. */
const epoch = (tpm: Context): Uint8Array => concat(u32be(tpm.state.resetCount), u32be(tpm.state.restartCount));

function hierarchyOf(tpm: Context, handle: number): number {
  const object = tpm.state.objects.get(handle);
  if (object !== undefined) return object.hierarchy;
  const index = tpm.state.nv.get(handle);
  if (index !== undefined) return nvHas(index, TPMA_NV.PLATFORMCREATE) ? TPM_RH.PLATFORM : TPM_RH.OWNER;
  if (handle === TPM_RH.LOCKOUT) return TPM_RH.OWNER;
  return tpm.state.hierarchy(handle) === undefined ? TPM_RH.NULL : handle;
}

/** TPM2_PolicySigned. Part 3, section 23.3. */
export const PolicySigned = command(
  TPM_CC.PolicySigned,
  {
    handles: { authObject: TPMI_DH_OBJECT, ...policySession },
    params: {
      nonceTPM: TPM2B_NONCE,
      cpHashA: TPM2B_DIGEST,
      policyRef: TPM2B_NONCE,
      expiration: i32,
      auth: TPMT_SIGNATURE_PRESENT,
    },
    response: { timeout: TPM2B_TIMEOUT, policyTicket: TPMT_TK_AUTH },
  },
  (tpm, { authObject, policySession: session, nonceTPM, cpHashA, policyRef, expiration, auth: signature }) => {
    let deadline = 0n;
    if (!isTrial(session)) {
      deadline = checkParameters(tpm, session, nonceTPM, cpHashA, expiration);
      const hashAlg = signature.sigAlg === 0x05 ? signature.signature.hashAlg : signature.signature.hash;
      const aHash = tpm.crypto.hash(hashAlg, nonceTPM, u32be(expiration >>> 0), cpHashA, policyRef);
      let good: boolean;
      try {
        good = verify(tpm, authObject, aHash, signature);
      } catch (error) {
        throw error instanceof TpmError ? new TpmError(error.code, 'auth') : error;
      }
      if (!good) throw new TpmError(TPM_RC.SIGNATURE, 'auth');
    }
    policyUpdate(tpm, session, TPM_CC.PolicySigned, authObject.name, policyRef);
    applyAssertion(session, cpHashA, deadline);
    const expires = isTrial(session) ? 0 : expiration;
    return authTicket(
      tpm,
      TPM_ST.AUTH_SIGNED,
      expires,
      deadline,
      cpHashA,
      policyRef,
      authObject.name,
      authObject.hierarchy,
    );
  },
);

/** TPM2_PolicySecret. Part 3, section 23.4. */
export const PolicySecret = command(
  TPM_CC.PolicySecret,
  {
    handles: { authHandle: auth(TPMI_DH_ENTITY, 'user'), ...policySession },
    params: { nonceTPM: TPM2B_NONCE, cpHashA: TPM2B_DIGEST, policyRef: TPM2B_NONCE, expiration: i32 },
    response: { timeout: TPM2B_TIMEOUT, policyTicket: TPMT_TK_AUTH },
  },
  (tpm, { authHandle, policySession: session, nonceTPM, cpHashA, policyRef, expiration }) => {
    const deadline = isTrial(session) ? 0n : checkParameters(tpm, session, nonceTPM, cpHashA, expiration);
    const name = entityName(tpm.state, authHandle);
    policyUpdate(tpm, session, TPM_CC.PolicySecret, name, policyRef);
    applyAssertion(session, cpHashA, deadline);
    const index = tpm.state.nv.get(authHandle);
    const expires = isTrial(session) || (index !== undefined && isPin(index)) ? 0 : expiration;
    const hierarchy = hierarchyOf(tpm, authHandle);
    return authTicket(tpm, TPM_ST.AUTH_SECRET, expires, deadline, cpHashA, policyRef, name, hierarchy);
  },
);

/** TPM2_PolicyTicket. Part 3, section 23.5. */
export const PolicyTicket = command(
  TPM_CC.PolicyTicket,
  {
    handles: policySession,
    params: {
      timeout: TPM2B_TIMEOUT,
      cpHashA: TPM2B_DIGEST,
      policyRef: TPM2B_NONCE,
      authName: TPM2B_NAME,
      ticket: TPMT_TK_AUTH,
    },
  },
  (tpm, { policySession: session, timeout, cpHashA, policyRef, authName, ticket }) => {
    if (isTrial(session)) throw new TpmError(TPM_RC.ATTRIBUTES, 'policySession');
    if (timeout.length !== 8) throw new TpmError(TPM_RC.SIZE, 'timeout');
    const deadline = new DataView(timeout.buffer, timeout.byteOffset, 8).getBigUint64(0);
    checkParameters(tpm, session, new Uint8Array(0), cpHashA, 0);
    const expected = ticketDigest(tpm, ticket.hierarchy, ticket.tag, timeout, epoch(tpm), cpHashA, policyRef, authName);
    if (!equalSecret(expected, ticket.digest)) throw new TpmError(TPM_RC.TICKET, 'ticket');
    if (tpm.clock.time > deadline) throw new TpmError(TPM_RC.EXPIRED, 'timeout');
    const code = ticket.tag === TPM_ST.AUTH_SIGNED ? TPM_CC.PolicySigned : TPM_CC.PolicySecret;
    policyUpdate(tpm, session, code, authName, policyRef);
    applyAssertion(session, cpHashA, deadline);
  },
);

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
    if (!isTrial(session)) {
      const info = encode(TPMS_TIME_INFO, tpm.clock.timeInfo);
      if (offset > info.length) throw new TpmError(TPM_RC.VALUE, 'offset');
      if (offset + operandB.length > info.length) throw new TpmError(TPM_RC.RANGE);
      if (!compare(info.subarray(offset, offset + operandB.length), operandB, operation))
        throw new TpmError(TPM_RC.POLICY);
    }
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
    if (templateHash.length !== DIGEST_SIZE[session.authHash]) throw new TpmError(TPM_RC.SIZE, 'templateHash');
    const { templateHash: earlier } = session.policy;
    // The same template may be asserted again, as a cpHash may.
    if (earlier === undefined) requireNoHash(session);
    else if (!equal(earlier, templateHash)) throw new TpmError(TPM_RC.VALUE, 'templateHash');
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyTemplate), templateHash);
    session.policy.templateHash = templateHash;
  },
);

/** TPM2_PolicyAuthorizeNV: the index holds the policy that is approved. Part 3, section 23.22. */
export const PolicyAuthorizeNV = command(
  TPM_CC.PolicyAuthorizeNV,
  { handles: { authHandle: auth(TPMI_RH_NV_AUTH, 'user'), nvIndex: TPMI_RH_NV_INDEX, ...policySession } },
  (tpm, { authHandle, nvIndex, policySession: session }) => {
    if (!isTrial(session)) {
      requireReadable(authHandle, nvIndex);
      const hashAlg = (nvIndex.data[0]! << 8) | (nvIndex.data[1] ?? 0);
      const size = DIGEST_SIZE[hashAlg];
      if (size === undefined || nvIndex.data.length < 2 + size || hashAlg !== session.authHash)
        throw new TpmError(TPM_RC.HASH);
      if (!equal(nvIndex.data.subarray(2, 2 + size), session.policy.digest)) throw new TpmError(TPM_RC.VALUE);
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

/** Digest of an authorisation for PolicySigned: what the key signs. Part 3, section 23.3. */
export const signedAuthorization = (
  nonceTPM: Uint8Array,
  expiration: number,
  cpHashA: Uint8Array,
  policyRef: Uint8Array,
): Uint8Array => concat(nonceTPM, u32be(expiration >>> 0), cpHashA, policyRef);

export const policyCommands = [
  PolicySigned,
  PolicySecret,
  PolicyTicket,
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
