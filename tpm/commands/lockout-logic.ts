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
    healing(context).lockoutAt = context.clock.time;
  } else if (lockout.recoveryTime !== 0) {
    if (lockout.failedTries === 0) healing(context).failureAt = context.clock.time;
    lockout.failedTries++;
  }
  context.markDurable('lockout');
}

interface Healing {
  failureAt: bigint;
  lockoutAt: bigint;
}

/** When recovery was last counted, in TPM time; starts again at each power-on, as time does. */
const timers = new WeakMap<object, Healing>();

function healing(context: Context): Healing {
  let timer = timers.get(context.state);
  if (timer === undefined) {
    timer = { failureAt: 0n, lockoutAt: 0n };
    timers.set(context.state, timer);
  }
  return timer;
}

/** Let time forgive: one failure per recoveryTime, the lockout authority after lockoutRecovery. */
export function heal(context: Context): void {
  const { lockout } = context.state;
  const timer = healing(context);
  const now = context.clock.time;
  if (lockout.failedTries > 0 && lockout.recoveryTime > 0) {
    const period = BigInt(lockout.recoveryTime) * 1000n;
    const forgiven = Number((now - timer.failureAt) / period);
    if (forgiven > 0) {
      lockout.failedTries = Math.max(0, lockout.failedTries - forgiven);
      timer.failureAt += BigInt(forgiven) * period;
      context.markDurable('lockout');
    }
  }
  if (!lockout.lockoutAuthEnabled && lockout.lockoutRecovery > 0) {
    if (now - timer.lockoutAt >= BigInt(lockout.lockoutRecovery) * 1000n) {
      lockout.lockoutAuthEnabled = true;
      context.markDurable('lockout');
    }
  }
}
