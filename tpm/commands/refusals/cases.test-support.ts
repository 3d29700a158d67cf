/** All refusals that are provoked. */
import { attestationCases } from './attestation.test-support.ts';
import type { Case } from './bench.test-support.ts';
import { duplicationCases } from './duplication.test-support.ts';
import { nvCases } from './nv.test-support.ts';
import { objectCases } from './objects.test-support.ts';
import { platformCases } from './platform.test-support.ts';
import { policyCases } from './policies.test-support.ts';
import { primitiveCases } from './primitives.test-support.ts';
import { sessionCases } from './sessions.test-support.ts';

export const cases: readonly Case[] = [
  ...sessionCases,
  ...objectCases,
  ...duplicationCases,
  ...primitiveCases,
  ...attestationCases,
  ...platformCases,
  ...policyCases,
  ...nvCases,
];
