/** Mutants that compute the same in every reachable state, each with the reason. Names as `--mutants` prints them. */
export const EQUIVALENT: Readonly<Record<string, string>> = {
  'rules.ts: dropped: p >= PARTITIONS || in accessFrame':
    'every theorem is about callers below PARTITIONS; dispatch refuses others',
  'rules.ts: >= to >: p >= PARTITIONS in accessFrame':
    'every theorem is about callers below PARTITIONS; dispatch refuses others',
  'constants.ts: PERM_WRITE plus one in a constant': 'a name for readers; the core compares nothing with it',
  'constants.ts: PERM_WRITE minus one in a constant': 'a name for readers; the core compares nothing with it',
  'constants.ts: GATE_USE plus one in a constant': 'a name for readers; the core compares nothing with it',
  'constants.ts: GATE_USE minus one in a constant': 'a name for readers; the core compares nothing with it',
  'errors.ts: UNKNOWN plus one in a constant': 'the answer of dispatch, outside the state machine',
  'errors.ts: UNKNOWN minus one in a constant': 'the answer of dispatch, outside the state machine',
  'rules.ts: deleted: if (!owns(from, f)) return false; in borrows':
    'an accepted grant stands at its page (invariant), so the page already names the frame of the live grant',
  'rules.ts: dropped: part === PERM_READ && in within':
    'both sides are permissions wherever it is asked (the call has checked, or an invariant holds): 1 or 3',
  'rules.ts: dropped: && whole === PERM_READ_WRITE in within':
    'both sides are permissions wherever it is asked (the call has checked, or an invariant holds): 1 or 3',
  'rules.ts: && to ||: part === PERM_READ && whole === PERM_READ_WRITE in within':
    'both sides are permissions wherever it is asked (the call has checked, or an invariant holds): 1 or 3',
};

const PERMISSIONS = 'both sides are permissions wherever it is asked: 1 or 3';
const ACCEPTED =
  'an accepted grant is of a frame that its living giver owns (invariants), and the page names that frame';
const frame = 'mapFrame[p, gpa] - 1';
const slot = `frameOwner[${frame}], frameGrant[${frame}] - 1`;

/** Looser specifications that demand the same in every reachable state, each with the reason. */
export const EQUIVALENT_SPECIFICATIONS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['frameProtect', 'frameDonate', 'grantOffer', 'grantLend'].flatMap((call) => [
      [`${call}: E_PERMISSION without 1 = perm`, PERMISSIONS],
      [`${call}: E_PERMISSION without 3 = framePerm[f]`, PERMISSIONS],
    ]),
  ),
  'accessFrame: a refusal without 1 = need': PERMISSIONS,
  [`accessFrame: a refusal without 3 = ((1 = frameState[${frame}] && p = frameOwner[${frame}] && partitionEpoch[p] = frameEpoch[${frame}]) ? framePerm[${frame}] : grantPerm[${slot}])`]:
    PERMISSIONS,
  'accessFrame: a refusal without !(p < PARTITIONS)': 'every theorem is about callers below PARTITIONS',
  [`accessFrame: a refusal without 1 = frameState[${frame}]`]: ACCEPTED,
  [`accessFrame: a refusal without frameEpoch[${frame}] = partitionEpoch[frameOwner[${frame}]]`]: ACCEPTED,
  [`accessFrame: a refusal without !(0 = grantState[${slot}])`]: 'it also demands that the slot is mapped',
  [`accessFrame: a refusal without partitionEpoch[frameOwner[${frame}]] = grantEpoch[${slot}]`]: ACCEPTED,
  'grantAccept: E_GRANT without !(0 = grantState[from, g])': 'it also demands that the slot is offered',
  'grantRelease: E_GRANT without !(0 = grantState[from, g])': 'it also demands that the slot is mapped',
  'gate: E_DENIED without !(p = 0)': 'root is not trusted (invariant), and may read at locality 0 anyway',
};
