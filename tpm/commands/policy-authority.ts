/** Enhanced authorisation by somebody's word: a signature, a secret, or a ticket of either. Part 3, 23.3 to 23.5. */
import { concat, equalSecret, u32be, u64be } from '../crypto/bytes.ts';
import { isPin, nvHas } from '../state/nv.ts';
import {
  i32,
  TPM_CC,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPM2B_DIGEST,
  TPM2B_NAME,
  TPM2B_NONCE,
  TPM2B_TIMEOUT,
  TPMA_NV,
  TPMT_SIGNATURE_PRESENT,
  TPMT_TK_AUTH,
  TpmError,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { entityName, TPMI_DH_ENTITY, TPMI_DH_OBJECT, TPMI_SH_POLICY } from './handles.ts';
import { ticketDigest } from './object-logic.ts';
import { applyAssertion, checkParameters, policyUpdate } from './policy-logic.ts';
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
    const index = tpm.state.nv.get(authHandle);
    const pin = index !== undefined && isPin(index);
    // Each use of a PIN is counted in its index.
    if (pin && tpm.state.readOnly) throw new TpmError(TPM_RC.READ_ONLY);
    const deadline = isTrial(session) ? 0n : checkParameters(tpm, session, nonceTPM, cpHashA, expiration);
    const name = entityName(tpm.state, authHandle);
    policyUpdate(tpm, session, TPM_CC.PolicySecret, name, policyRef);
    applyAssertion(session, cpHashA, deadline);
    const expires = isTrial(session) || pin ? 0 : expiration;
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

export const policyAuthorityCommands = [PolicySigned, PolicySecret, PolicyTicket] as const;
