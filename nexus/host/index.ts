/** A host: platform TPM, core, engine and partitions together. */
export { pcrOfThisBuild } from './boot.ts';
export * from './config.ts';
export { ConsoleHub, partitionConsole } from './console.ts';
export { askHost } from './control.ts';
export * from './errors.ts';
export * from './events.ts';
export { writeFileAtomic } from './files.ts';
export { Host } from './host.ts';
export { Machine } from './machine.ts';
export { askPlatform } from './operator.ts';
export { Partition, type PartitionContext, type PartitionStatus } from './partition.ts';
export { Platform } from './platform.ts';
