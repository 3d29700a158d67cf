export {
  FirmwareError,
  type LogEntry,
  type MeasuredEvent,
  type MeasuredLog,
  measure,
  startTpm,
} from './tpm-startup.ts';
