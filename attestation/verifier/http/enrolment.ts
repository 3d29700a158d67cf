/** Enrolment by the endorsement key (/v1/enrolments) and by a certified IAK (/v1/device-enrolments), two steps each. */
import { Type } from 'typebox';
import { Base64Url, fromBase64Url, toBase64Url } from '../bytes.ts';
import type { Service } from '../service.ts';
import type { App } from './app.ts';
import { counted } from './metrics.ts';

const Begin = Type.Object(
  {
    platform: Type.Optional(Type.String({ maxLength: 128, description: 'wished name; default derived from the EK' })),
    ekPublic: Base64Url(1024, 'TPMT_PUBLIC of the endorsement key'),
    ekCertificates: Type.Array(Base64Url(16_384, 'X.509, DER'), { maxItems: 8, description: 'leaf first' }),
    akPublic: Base64Url(1024, 'TPMT_PUBLIC of the attestation key'),
  },
  { additionalProperties: false },
);

const Begun = Type.Object({
  id: Type.String(),
  platform: Type.String(),
  credentialBlob: Base64Url(1024, 'TPM2B_ID_OBJECT without its size'),
  encryptedSecret: Base64Url(1024, 'TPM2B_ENCRYPTED_SECRET without its size'),
  expiresAt: Type.String({ format: 'date-time' }),
});

const Activation = Type.Object(
  { secret: Base64Url(64, 'what TPM2_ActivateCredential returned') },
  { additionalProperties: false },
);
const Enrolled = Type.Object({ platform: Type.String(), akName: Base64Url(68, 'TPM name of the attestation key') });
const DeviceBegun = Type.Object({
  id: Type.String(),
  nonce: Base64Url(64, 'random'),
  expiresAt: Type.String({ format: 'date-time' }),
});
const DeviceProof = Type.Object(
  {
    platform: Type.Optional(Type.String({ maxLength: 128, description: 'wished name; default derived from the IAK' })),
    evidence: Base64Url(1_048_576, 'of a machine, with certificates.iak; docs/evidence.md says over what'),
  },
  { additionalProperties: false },
);
const Id = Type.Object({ id: Type.String({ maxLength: 64 }) });

export function enrolmentRoutes(app: App, service: Service): void {
  app.post(
    '/v1/enrolments',
    {
      config: { roles: ['enroller'] },
      schema: { summary: 'Begin to enrol a platform', tags: ['enrolment'], body: Begin, response: { 201: Begun } },
    },
    async (request, reply) => {
      const { platform, ekPublic, ekCertificates, akPublic } = request.body;
      const begun = await service.enrolment.begin(request.caller, {
        platform,
        ekPublic: fromBase64Url(ekPublic),
        ekCertificates: ekCertificates.map(fromBase64Url),
        akPublic: fromBase64Url(akPublic),
      });
      return reply.code(201).send({
        id: begun.id,
        platform: begun.platform,
        credentialBlob: toBase64Url(begun.credentialBlob),
        encryptedSecret: toBase64Url(begun.encryptedSecret),
        expiresAt: begun.expiresAt.toISOString(),
      });
    },
  );

  app.post(
    '/v1/enrolments/:id/activation',
    {
      config: { roles: ['enroller'] },
      schema: {
        summary: 'Prove that AK and EK live in one TPM',
        tags: ['enrolment'],
        params: Id,
        body: Activation,
        response: { 200: Enrolled },
      },
    },
    async (request) => {
      const secret = fromBase64Url(request.body.secret);
      const { enrolments } = service.metrics;
      const { platform, akName } = await counted(enrolments, 'enrolled', () =>
        service.enrolment.finish(request.caller, request.params.id, secret),
      );
      return { platform, akName: toBase64Url(akName) };
    },
  );

  app.post(
    '/v1/device-enrolments',
    {
      config: { roles: ['enroller'] },
      schema: { summary: 'A nonce to enrol by a certified IAK', tags: ['enrolment'], response: { 201: DeviceBegun } },
    },
    async (request, reply) => {
      const { id, nonce, expiresAt } = await service.deviceEnrolment.begin(request.caller);
      return reply.code(201).send({ id, nonce: toBase64Url(nonce), expiresAt: expiresAt.toISOString() });
    },
  );

  app.post(
    '/v1/device-enrolments/:id/evidence',
    {
      config: { roles: ['enroller'] },
      schema: {
        summary: 'Prove possession of a certified IAK',
        tags: ['enrolment'],
        params: Id,
        body: DeviceProof,
        response: { 200: Enrolled },
      },
    },
    async (request) => {
      const { platform: wished, evidence } = request.body;
      const { platform, akName } = await counted(service.metrics.enrolments, 'enrolled', () =>
        service.deviceEnrolment.finish(request.caller, request.params.id, fromBase64Url(evidence), wished),
      );
      return { platform, akName: toBase64Url(akName) };
    },
  );
}
