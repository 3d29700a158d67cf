export { DeviceStateError, type MmioDevice, type TpmBackend, type TpmRegisters } from './tpm-backend.ts';
export { type CrbState, TpmCrb } from './tpm-crb/device.ts';
export { type FifoState, TpmTis } from './tpm-tis/device.ts';
export { type DiskBackend, VirtioBlk } from './virtio-blk/device.ts';
