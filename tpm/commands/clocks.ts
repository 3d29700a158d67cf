/** Clocks and timers. Part 3, section 29. */
import { i8, TPM_CC, TPM_RC, TPMS_TIME_INFO, TpmError, u64, where } from '../structures/index.ts';
import { auth, command } from './command.ts';
import { TPMI_RH_PROVISION } from './handles.ts';

/** The clock is never set so far that it could wrap. */
const LATEST = 0xffff_0000_0000_0000n;
/** TPM_CLOCK_ADJUST: three steps of slower and of faster. Part 2, section 6.7. */
const TPM_CLOCK_ADJUST = where(i8, (step) => step >= -3 && step <= 3, TPM_RC.VALUE);

/** TPM2_ReadClock. Section 29.1. */
export const ReadClock = command(TPM_CC.ReadClock, { response: { currentTime: TPMS_TIME_INFO } }, (tpm) => ({
  currentTime: tpm.clock.timeInfo,
}));

/** TPM2_ClockSet: forward only, in milliseconds, else TPM_RC_VALUE. Section 29.2. */
export const ClockSet = command(
  TPM_CC.ClockSet,
  { handles: { auth: auth(TPMI_RH_PROVISION, 'user') }, params: { newTime: u64 }, nv: true },
  (tpm, { newTime }) => {
    if (newTime > LATEST || newTime < tpm.clock.clock) throw new TpmError(TPM_RC.VALUE, 'newTime');
    tpm.clock.set(newTime);
    tpm.markDurable('clock');
  },
);

/** TPM2_ClockRateAdjust: by 1 %, 0.1 % or 0.01 %, up to 15 % in all; lost with the power. Section 29.3. */
export const ClockRateAdjust = command(
  TPM_CC.ClockRateAdjust,
  { handles: { auth: auth(TPMI_RH_PROVISION, 'user') }, params: { rateAdjust: TPM_CLOCK_ADJUST } },
  (tpm, { rateAdjust }) => {
    tpm.clock.adjust(rateAdjust);
  },
);

export const clockCommands = [ReadClock, ClockSet, ClockRateAdjust] as const;
