export { SnapshotError } from './error.ts';
export { openSnapshot, type Snapshot, type SnapshotSeal, sealSnapshot, type TpmState } from './format.ts';
export { type FreshnessCounter, type MovableTpm, resume, type SealingIdentity, suspend } from './suspend.ts';
