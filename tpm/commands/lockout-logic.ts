/** Counting of wrong guesses. Part 1, section 19.8. */
import { TPM_RC, TPM_RH, TpmError } from '../structures/index.ts';
import type { Context } from './context.ts';

/** Refuse with TPM_RC_LOCKOUT while guesses at this entity are not allowed. */
export function checkLockout(context: Context, handle: number): void {
  heal(context);
  const { lockout } = context.state;
  const locked = handle === TPM_RH.LOCKOUT ? !lockout.lockoutAuthEnabled : lockout.failedTries >= lockout.maxTries;
  if (locked) throw new TpmError(TPM_RC.LOCKOUT);
}

/** Count a wrong guess. It is durable before the refusal leaves. */
export function registerFailure(context: Context, handle: number): void {
  const { lockout } = context.state;
  if (handle === TPM_RH.LOCKOUT) {
    lockout.lockoutAuthEnabled = false;
    lockout.authSince = context.clock.time;
  } else if (lockout.recoveryTime !== 0) {
    if (lockout.failedTries === 0) lockout.triesSince = context.clock.time;
    lockout.failedTries++;
  }
  context.markDurable('lockout');
}

/** Let time forgive: one failure per recoveryTime, the lockout authority after lockoutRecovery. */
export function heal(context: Context): void {
  const { lockout } = context.state;
  const now = context.clock.time;
  if (lockout.failedTries > 0 && lockout.recoveryTime > 0) {
    const period = BigInt(lockout.recoveryTime) * 1000n;
    const forgiven = Number((now - lockout.triesSince) / period);
    if (forgiven > 0) {
      lockout.failedTries = Math.max(0, lockout.failedTries - forgiven);
      lockout.triesSince += BigInt(forgiven) * period;
      context.markDurable('lockout');
    }
  }
  if (!lockout.lockoutAuthEnabled && lockout.lockoutRecovery > 0) {
    if (now - lockout.authSince >= BigInt(lockout.lockoutRecovery) * 1000n) {
      lockout.lockoutAuthEnabled = true;
      context.markDurable('lockout');
    }
  }
}
