/** /v1/leases: whether a lease still lives, and its renewal on a new verdict. */
import { Type } from 'typebox';
import type { LeaseInfo } from '../../broker/leases.ts';
import { fromBase64Url } from '../bytes.ts';
import { OWN_CHALLENGE, type Service } from '../service.ts';
import type { App } from './app.ts';
import { Submission } from './attestation.ts';

const TAGS = ['broker'];
const Id = Type.Object({ id: Type.String({ maxLength: 64 }) });
const Time = Type.String({ format: 'date-time' });

const Lease = Type.Object({
  id: Type.String(),
  resource: Type.String(),
  platform: Type.String(),
  live: Type.Boolean({ description: 'false: the holder must forget what it was given' }),
  expiresAt: Time,
  revokedAt: Type.Union([Time, Type.Null()]),
});

const Renewal = Type.Union([
  Type.Object(Submission, { additionalProperties: false }),
  Type.Object(
    { result: Type.String({ maxLength: 65_536, description: 'an EAR of this verifier' }) },
    { additionalProperties: false },
  ),
]);

const shown = (lease: LeaseInfo) => ({
  ...lease,
  expiresAt: lease.expiresAt.toISOString(),
  revokedAt: lease.revokedAt?.toISOString() ?? null,
});

export function leaseRoutes(app: App, service: Service): void {
  app.get(
    '/v1/leases/:id',
    {
      config: { roles: ['attester', 'broker', 'auditor'] },
      schema: { summary: 'Whether a lease still lives', tags: TAGS, params: Id, response: { 200: Lease } },
    },
    async (request) => shown(await service.leases.get(request.caller.tenant, request.params.id)),
  );

  app.post(
    '/v1/leases/:id/renewal',
    {
      config: { roles: ['attester'] },
      schema: {
        summary: 'Let a live lease run on, on a new verdict over its holder',
        tags: TAGS,
        params: Id,
        body: Renewal,
        response: { 200: Lease },
      },
    },
    async ({ caller, params, body }) => {
      const result =
        'result' in body
          ? await service.attestations.readResult(caller.tenant, body.result)
          : await service.attestations.attest(caller, OWN_CHALLENGE, body.challenge, fromBase64Url(body.evidence));
      return shown(await service.leases.renew(caller, params.id, result));
    },
  );
}
