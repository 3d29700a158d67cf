export { linuxCache } from './apt.ts';
export { type FirmwareLaunch, launchBehindFirmware } from './behind-firmware.ts';
export { type LinuxBoot, type PlacedLinux, placeLinux } from './boot.ts';
export { LinuxGuestError } from './error.ts';
export { FAST_COMMAND_LINE, fetchLinux, type LinuxArchitecture, type LinuxFiles } from './guest.ts';
export { READY_MARK } from './init.ts';
export type { LinuxKernel } from './kernel.ts';
export {
  type LaunchedLinux,
  type LinuxLaunch,
  type LinuxMachine,
  launchLinux,
  linuxDevices,
  type PreparedLinux,
  prepareLinux,
} from './launch.ts';
export { kernelEvents, measuredEvents } from './measure.ts';
