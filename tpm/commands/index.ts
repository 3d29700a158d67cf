/** Every command that is implemented. */
import { contextCommands } from './contexts.ts';
import { credentialCommands } from './credential.ts';
import { nvCommands } from './nv.ts';
import { objectCommands } from './object.ts';
import { pcrCommands } from './pcr.ts';
import { randomCommands } from './random.ts';
import { sessionCommands } from './session.ts';
import { startupCommands } from './startup.ts';

export const allCommands = [
  ...startupCommands,
  ...sessionCommands,
  ...objectCommands,
  ...credentialCommands,
  ...randomCommands,
  ...pcrCommands,
  ...contextCommands,
  ...nvCommands,
] as const;
