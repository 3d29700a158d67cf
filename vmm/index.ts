export * from './engine.ts';
export * from './hypercall.ts';
export * from './loaders/multiboot.ts';
export type { Firmware, V86Cpu, V86Io } from './v86/cpu.ts';
export type { Device, DeviceFactory, DeviceHost, DevicePort, DeviceSpec } from './v86/device.ts';
export { createV86Engine, type V86EngineOptions } from './v86/engine.ts';
