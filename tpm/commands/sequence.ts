/** Hash, HMAC and event sequences. Part 3, section 17. */
import type { Sequence } from '../state/objects.ts';
import {
  TPM_ALG,
  TPM_CC,
  TPM_HANDLE,
  TPM_RC,
  TPM_RH,
  TPM2B_AUTH,
  TPM2B_DIGEST,
  TPM2B_MAX_BUFFER,
  type TPMI_ALG_HASH,
  TPMI_ALG_HASH_OR_NULL,
  TPMI_ALG_MAC_SCHEME_OR_NULL,
  TPMI_RH_HIERARCHY,
  TPML_DIGEST_VALUES,
  TPMT_TK_HASHCHECK,
  TpmError,
} from '../structures/index.ts';
import { trimAuth } from './auth-value.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { orNull, TPMI_DH_OBJECT, TPMI_DH_PCR, TPMI_DH_SEQUENCE } from './handles.ts';
import { mayExtend } from './pcr.ts';
import { hashTicket, isSafeStart, startMac } from './symmetric.ts';

/** Octets of a message that tell whether it is of the TPM's own making. */
const START = 4;

function begin(
  tpm: Context,
  type: Sequence['type'],
  authValue: Uint8Array,
  states: Sequence['states'],
): { sequenceHandle: number } {
  const { objects } = tpm.state;
  const handle = objects.freeHandle();
  objects.add({
    kind: 'sequence',
    handle,
    authValue: trimAuth(authValue).slice(),
    states,
    type,
    first: new Uint8Array(0),
    hierarchy: TPM_RH.NULL,
  });
  return { sequenceHandle: handle };
}

function absorb(sequence: Sequence, data: Uint8Array): void {
  if (sequence.first.length < START) sequence.first = Uint8Array.of(...sequence.first, ...data.subarray(0, START));
  for (const { state } of sequence.states) state.update(data);
}

/** TPM2_HMAC_Start and TPM2_MAC_Start. Sections 17.2 and 17.3. */
export const HMAC_Start = command(
  TPM_CC.HMAC_Start,
  {
    handles: { handle: auth(TPMI_DH_OBJECT, 'user') },
    params: { auth: TPM2B_AUTH, hashAlg: TPMI_ALG_MAC_SCHEME_OR_NULL },
    responseHandles: { sequenceHandle: TPM_HANDLE },
  },
  (tpm, { handle, auth: authValue, hashAlg }) =>
    begin(tpm, 'hmac', authValue, [startMac(tpm, handle, hashAlg, 'hashAlg')]),
);

/** TPM2_HashSequenceStart: TPM_ALG_NULL starts an event sequence, over every bank. Section 17.4. */
export const HashSequenceStart = command(
  TPM_CC.HashSequenceStart,
  {
    params: { auth: TPM2B_AUTH, hashAlg: TPMI_ALG_HASH_OR_NULL },
    responseHandles: { sequenceHandle: TPM_HANDLE },
  },
  (tpm, { auth: authValue, hashAlg }) => {
    const event = hashAlg === TPM_ALG.NULL;
    const algs = event ? [...tpm.state.pcr.banks.keys()] : [hashAlg];
    const states = algs.map((alg) => ({ alg, state: tpm.crypto.hashStart(alg) }));
    return begin(tpm, event ? 'event' : 'hash', authValue, states);
  },
);

/** TPM2_SequenceUpdate. Section 17.5. */
export const SequenceUpdate = command(
  TPM_CC.SequenceUpdate,
  { handles: { sequenceHandle: auth(TPMI_DH_SEQUENCE, 'user') }, params: { buffer: TPM2B_MAX_BUFFER } },
  (_, { sequenceHandle, buffer }) => absorb(sequenceHandle, buffer),
);

/** TPM2_SequenceComplete: TPM_RC_MODE for an event sequence. The sequence is gone afterwards. Section 17.6. */
export const SequenceComplete = command(
  TPM_CC.SequenceComplete,
  {
    handles: { sequenceHandle: auth(TPMI_DH_SEQUENCE, 'user') },
    params: { buffer: TPM2B_MAX_BUFFER, hierarchy: TPMI_RH_HIERARCHY },
    response: { result: TPM2B_DIGEST, validation: TPMT_TK_HASHCHECK },
    flushed: true,
  },
  (tpm, { sequenceHandle: sequence, buffer, hierarchy }) => {
    if (sequence.type === 'event') throw new TpmError(TPM_RC.MODE, 'sequenceHandle');
    absorb(sequence, buffer);
    const { alg, state } = sequence.states[0]!; // hash and HMAC sequences have one
    const result = state.digest();
    tpm.state.objects.slots.delete(sequence.handle);
    const safe = sequence.type === 'hash' && isSafeStart(sequence.first);
    return { result, validation: hashTicket(tpm, hierarchy, alg, result, safe) };
  },
);

/** TPM2_EventSequenceComplete: TPM_RC_MODE for another sequence; TPM_RC_LOCALITY for the PCR. Section 17.7. */
export const EventSequenceComplete = command(
  TPM_CC.EventSequenceComplete,
  {
    handles: { pcrHandle: auth(orNull(TPMI_DH_PCR), 'user'), sequenceHandle: auth(TPMI_DH_SEQUENCE, 'user') },
    params: { buffer: TPM2B_MAX_BUFFER },
    response: { results: TPML_DIGEST_VALUES },
    nv: true,
    flushed: true,
  },
  (tpm, { pcrHandle, sequenceHandle: sequence, buffer }) => {
    if (sequence.type !== 'event') throw new TpmError(TPM_RC.MODE, 'sequenceHandle');
    if (pcrHandle !== undefined && !mayExtend(tpm, pcrHandle)) throw new TpmError(TPM_RC.LOCALITY);
    absorb(sequence, buffer);
    const results = sequence.states.map(({ alg, state }) => ({
      hashAlg: alg as TPMI_ALG_HASH, // banks are made for hash algorithms only
      digest: state.digest(),
    }));
    tpm.state.objects.slots.delete(sequence.handle);
    if (pcrHandle !== undefined)
      for (const { hashAlg, digest } of results) tpm.state.pcr.extend(hashAlg, pcrHandle, digest);
    return { results };
  },
);

export const sequenceCommands = [
  HMAC_Start,
  HashSequenceStart,
  SequenceUpdate,
  SequenceComplete,
  EventSequenceComplete,
] as const;
