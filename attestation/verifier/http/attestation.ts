/** POST /v1/challenges, POST /v1/attestations. */
import { Type } from 'typebox';
import { EAR_CWT_MEDIA_TYPE } from '../../ear/cwt.ts';
import { resultForm } from '../../ear/cwt-sign.ts';
import { Base64Url, fromBase64Url, toBase64Url } from '../bytes.ts';
import { OWN_CHALLENGE, type Service } from '../service.ts';
import type { App } from './app.ts';

const Challenged = Type.Object({
  id: Type.String(),
  nonce: Base64Url(64, 'single-use; the quote and the partition report are made over it'),
  expiresAt: Type.String({ format: 'date-time' }),
});

export const Submission = {
  challenge: Type.String({ maxLength: 64, description: 'id of the challenge that the evidence answers' }),
  evidence: Base64Url(8 * 2 ** 20, 'CBOR, docs/evidence.md'),
};

const ListPosition = Type.Object(
  {
    resetCount: Type.Integer({ minimum: 0, description: 'the boot, as the quote counts them' }),
    entries: Type.Integer({ minimum: 0, description: 'entries that were proved' }),
  },
  { additionalProperties: false },
);

const CheckResult = Type.Object({
  name: Type.String(),
  passed: Type.Boolean(),
  detail: Type.Optional(Type.String()),
});

const Attested = Type.Object({
  state: Type.String({ description: 'affirming, warning, expired, revoked, contraindicated' }),
  platform: Type.String(),
  failed: Type.Array(Type.String(), { description: 'names of the checks that failed' }),
  checks: Type.Array(CheckResult),
  result: Type.String({ description: 'EAR: JWT, ES256, keys at /.well-known/jwks.json' }),
  shown: Type.Optional(ListPosition),
});

export function attestationRoutes(app: App, service: Service): void {
  app.post(
    '/v1/challenges',
    {
      config: { roles: ['attester'] },
      schema: { summary: 'Ask for a nonce', tags: ['attestation'], response: { 201: Challenged } },
    },
    async (request, reply) => {
      const challenge = await service.challenges.issue(request.caller.tenant, OWN_CHALLENGE);
      return reply.code(201).send({
        id: challenge.id,
        nonce: toBase64Url(challenge.nonce),
        expiresAt: challenge.expiresAt.toISOString(),
      });
    },
  );

  app.post(
    '/v1/attestations',
    {
      config: { roles: ['attester'] },
      schema: {
        summary: 'Appraise evidence over the nonce; every appraisal has a signed result, whatever the verdict',
        description: 'With `accept: application/eat+cwt` the answer is the result alone, as a signed CWT.',
        tags: ['attestation'],
        body: Type.Object({ ...Submission, since: Type.Optional(ListPosition) }, { additionalProperties: false }),
        response: { 200: Attested },
      },
    },
    async (request, reply) => {
      const { challenge, evidence, since } = request.body;
      const verdict = await service.attestations.attest(
        request.caller,
        OWN_CHALLENGE,
        challenge,
        fromBase64Url(evidence),
        since === undefined ? {} : { since },
      );
      // A relying party may want the result alone. Its bytes pass the schema by: they are not JSON.
      if (resultForm(request.headers.accept) === 'cwt') {
        return reply.type(EAR_CWT_MEDIA_TYPE).send(Buffer.from(await service.keys.signCwt(verdict.claims)) as never);
      }
      return {
        state: verdict.state,
        platform: verdict.platform,
        failed: [...verdict.failed],
        checks: verdict.checks.map((check) => ({ ...check })),
        result: verdict.result,
        ...(verdict.shown && { shown: verdict.shown }),
      };
    },
  );
}
