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
