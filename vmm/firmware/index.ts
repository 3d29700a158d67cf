export { type DirectMachine, directTables, type EncodeLog, LOG_AREA } from './direct.ts';
export { type FirmwareFile, firmwareFiles } from './fw-cfg.ts';
export { fetchIpxe, fetchSeaBios, type SeaBiosMachine, seaBiosMachine } from './seabios.ts';
export {
  FirmwareError,
  type LogEntry,
  type MeasuredEvent,
  type MeasuredLog,
  measure,
  startTpm,
} from './tpm-startup.ts';
