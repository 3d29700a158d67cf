export { VolumeError } from './error.ts';
export { BLOCK_SIZE, SealedVolume, type VolumeFile, type VolumeKey } from './volume.ts';
