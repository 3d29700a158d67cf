/** The package's version, for results and for OpenAPI. */
import { createRequire } from 'node:module';

// By the package's own name, so that the source and the built file find the same manifest.
const manifest: { version: string } = createRequire(import.meta.url)('nexus-tcb/package.json');

export const VERSION = manifest.version;
