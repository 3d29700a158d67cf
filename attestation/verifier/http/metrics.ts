/** Prometheus metrics of one verifier process. */

import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { VerifierError } from '../errors.ts';

export interface Metrics {
  readonly registry: Registry;
  readonly requests: Histogram<'method' | 'route' | 'status'>;
  readonly attestations: Counter<'state'>;
  readonly failedChecks: Counter<'check'>;
  readonly releases: Counter<'outcome'>;
  readonly enrolments: Counter<'outcome'>;
}

/** Half a millisecond to five seconds: an attestation takes one to fifty. */
const BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5];

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    requests: new Histogram({
      name: 'nexus_verifier_http_request_seconds',
      help: 'Duration of HTTP requests by route.',
      labelNames: ['method', 'route', 'status'],
      buckets: BUCKETS,
      registers,
    }),
    attestations: new Counter({
      name: 'nexus_verifier_attestations_total',
      help: 'Appraisals by resulting state.',
      labelNames: ['state'],
      registers,
    }),
    failedChecks: new Counter({
      name: 'nexus_verifier_failed_checks_total',
      help: 'Failed checks by name.',
      labelNames: ['check'],
      registers,
    }),
    releases: new Counter({
      name: 'nexus_verifier_releases_total',
      help: 'Release requests by outcome: granted, or the code of the refusal.',
      labelNames: ['outcome'],
      registers,
    }),
    enrolments: new Counter({
      name: 'nexus_verifier_enrolments_total',
      help: 'Finished enrolments by outcome: enrolled, or the code of the refusal.',
      labelNames: ['outcome'],
      registers,
    }),
  };
}

/** Count an operation by how it ended: `success`, or the code of its refusal. */
export async function counted<T>(counter: Counter<'outcome'>, success: string, body: () => Promise<T>): Promise<T> {
  try {
    const value = await body();
    counter.inc({ outcome: success });
    return value;
  } catch (error) {
    counter.inc({ outcome: error instanceof VerifierError ? error.code : 'internal' });
    throw error;
  }
}
