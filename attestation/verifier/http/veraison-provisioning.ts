/**
 * The endorsement provisioning API of the Veraison project, so that its clients (cocli) can provision this verifier:
 * github.com/veraison/docs, api/endorsement-provisioning. A submission is done when it is answered.
 */
import type { Service } from '../service.ts';
import { VERSION } from '../version.ts';
import type { App } from './app.ts';
import { CORIM_TYPES, CorimBody, provision } from './endorsements.ts';

const SESSION_TYPE = 'application/vnd.veraison.provisioning-session+json';
const DISCOVERY_TYPE = 'application/vnd.veraison.discovery+json';
const SUBMIT = '/endorsement-provisioning/v1/submit';
const TAGS = ['veraison'];

export function veraisonProvisioningRoutes(app: App, service: Service): void {
  app.post(
    SUBMIT,
    {
      config: { roles: ['provisioner', 'operator'] },
      schema: { summary: 'Provision a CoRIM', tags: TAGS, body: CorimBody },
    },
    async (request, reply) => {
      await provision(service, request);
      const expiry = service.clock().toISOString();
      return reply.type(SESSION_TYPE).send(JSON.stringify({ status: 'success', expiry }));
    },
  );

  app.get(
    '/.well-known/veraison/provisioning',
    { schema: { summary: 'Discovery: media types, endpoints', tags: TAGS } },
    async (_request, reply) =>
      reply.type(DISCOVERY_TYPE).send(
        JSON.stringify({
          'media-types': CORIM_TYPES,
          version: VERSION,
          'service-state': service.draining ? 'TERMINATING' : 'READY',
          'api-endpoints': { provisioningSubmit: SUBMIT },
        }),
      ),
  );
}
