export { type Disk, diskDevice } from './disk.ts';
export { powerDevice } from './power.ts';
export { tpmDevice } from './tpm.ts';
export { DeviceStateError, type MmioDevice, type TpmBackend, type TpmRegisters } from './tpm-backend.ts';
export { TpmCrb } from './tpm-crb/device.ts';
export type { TpmInterfaceState } from './tpm-shared.ts';
export { TpmTis } from './tpm-tis/device.ts';
export { type DiskBackend, VirtioBlk } from './virtio-blk/device.ts';
