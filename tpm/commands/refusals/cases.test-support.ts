/** All refusals that are provoked. */
import { asymmetricCases } from './asymmetric.test-support.ts';
import { attestationCases } from './attestation.test-support.ts';
import type { Case } from './bench.test-support.ts';
import { creationCases } from './creation.test-support.ts';
import { credentialCases } from './credentials.test-support.ts';
import { duplicationCases } from './duplication.test-support.ts';
import { loadingCases } from './loading.test-support.ts';
import { nvCases } from './nv.test-support.ts';
import { platformCases } from './platform.test-support.ts';
import { policyCases } from './policies.test-support.ts';
import { policyAuthorityCases } from './policy-authorities.test-support.ts';
import { sessionCases } from './sessions.test-support.ts';
import { signingCases } from './signing.test-support.ts';
import { symmetricCases } from './symmetric.test-support.ts';

export const cases: readonly Case[] = [
  ...sessionCases,
  ...creationCases,
  ...loadingCases,
  ...credentialCases,
  ...duplicationCases,
  ...asymmetricCases,
  ...symmetricCases,
  ...attestationCases,
  ...signingCases,
  ...platformCases,
  ...policyAuthorityCases,
  ...policyCases,
  ...nvCases,
];
