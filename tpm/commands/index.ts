/** Every command that is implemented. */
import { pcrCommands } from './pcr.ts';
import { randomCommands } from './random.ts';
import { startupCommands } from './startup.ts';

export const allCommands = [...startupCommands, ...randomCommands, ...pcrCommands] as const;
