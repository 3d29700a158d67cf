/** The verifier's parts, wired once at start; routes and jobs know no others. */
import type { Leases } from '../broker/leases.ts';
import type { Releases } from '../broker/releases.ts';
import type { Resources } from '../broker/resources.ts';
import type { Attestations } from './attestations.ts';
import type { Challenges } from './challenges.ts';
import type { Database } from './database/open.ts';
import type { DeviceEnrolment } from './device-enrolment.ts';
import type { Endorsements } from './endorsements.ts';
import type { Endorsers } from './endorsers.ts';
import type { Enrolment } from './enrolment.ts';
import type { Metrics } from './http/metrics.ts';
import type { Platforms } from './platforms.ts';
import type { Polls } from './polls.ts';
import type { References } from './references.ts';
import type { Sessions } from './sessions.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { Webhooks } from './webhooks.ts';

/** Purpose of the challenges of our own API. */
export const OWN_CHALLENGE = 'v1';

export interface Service {
  readonly db: Database;
  readonly clock: () => Date;
  readonly keys: SigningKeys;
  readonly challenges: Challenges;
  readonly sessions: Sessions;
  /** Media types of the evidence that is understood here. */
  readonly mediaTypes: readonly string[];
  readonly enrolment: Enrolment;
  readonly deviceEnrolment: DeviceEnrolment;
  readonly platforms: Platforms;
  readonly references: References;
  readonly endorsers: Endorsers;
  readonly endorsements: Endorsements;
  readonly attestations: Attestations;
  readonly resources: Resources;
  readonly releases: Releases;
  readonly leases: Leases;
  readonly webhooks: Webhooks;
  readonly polls: Polls;
  readonly metrics: Metrics;
  /** True from the moment a shutdown was asked for: readiness fails, open requests finish. */
  readonly draining: boolean;
}
