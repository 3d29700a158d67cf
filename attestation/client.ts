/**
 * Client of the verifier's own API, over fetch: for hosts, agents and relying parties, in Node and in a browser.
 * Every refusal is a `VerifierRefusal` with the verifier's code, its failed checks and its way out.
 */

export interface ClientOptions {
  /** API token; not needed where the verifier lets anonymous callers attest. */
  readonly token?: string;
  /** Default 30,000. */
  readonly timeoutMs?: number;
  readonly fetch?: typeof fetch;
}

/** The verifier said no, or could not be reached (`code` is then `unreachable`). */
export class VerifierRefusal extends Error {
  override readonly name = 'VerifierRefusal';
  readonly code: string;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly failed: readonly string[];
  /** The way out; empty where there is none. */
  readonly remedy: string;

  constructor(code: string, status: number, message: string, failed: readonly string[], remedy = '', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = status;
    this.failed = failed;
    this.remedy = remedy;
  }
}

/** What a TPM contributes to its enrolment. */
export interface EnrollingTpm {
  /** TPMT_PUBLIC of the endorsement key. */
  readonly ekPublic: Uint8Array;
  /** DER, leaf first. */
  readonly ekCertificates: readonly Uint8Array[];
  /** TPMT_PUBLIC of the attestation key. */
  readonly akPublic: Uint8Array;
  /** TPM2_ActivateCredential: contents of TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET to the secret. */
  activate(credentialBlob: Uint8Array, encryptedSecret: Uint8Array): Promise<Uint8Array>;
}

export interface ChallengeReply {
  readonly id: string;
  readonly nonce: Uint8Array;
  readonly expiresAt: Date;
}

export interface AttestReply {
  readonly state: string;
  readonly platform: string;
  readonly failed: readonly string[];
  readonly checks: readonly { readonly name: string; readonly passed: boolean; readonly detail?: string }[];
  /** EAR, a JWT. */
  readonly result: string;
  /** How much of its IMA list the machine has shown: its next evidence may go on from there, and say `since`. */
  readonly shown?: { readonly resetCount: number; readonly entries: number };
}

/** The evidence for a release, or a result of this verifier over that evidence. */
export type ReleaseGround = { readonly challenge: string; readonly evidence: Uint8Array } | { readonly result: string };

export interface ReleaseReply {
  readonly resource: string;
  readonly version: number;
  readonly mediaType: string;
  /** HPKE encapsulated key (32 bytes) and ciphertext; docs/architecture.md names suite, info and associated data. */
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly lease: { readonly id: string; readonly expiresAt: Date };
}

export interface ResourceRequest {
  readonly content: Uint8Array;
  /** Release policy; see `ReleasePolicy`. */
  readonly policy: object;
  readonly mediaType?: string;
  readonly oneTime?: boolean;
  readonly leaseSeconds?: number;
}

/** A CoRIM that was provisioned, and what counts of it. */
export interface EndorsementReply {
  /** SHA-256 of the document, hexadecimal. */
  readonly id: string;
  /** Its own identifier. */
  readonly corim: string;
  readonly endorser: string | null;
  /** `in-force`, `superseded`, `out-of-date`, `untrusted` or `revoked`. */
  readonly state: string;
  readonly notAfter: string | null;
  readonly tags: readonly { readonly id: string; readonly version: number; readonly supersededBy?: number }[];
  readonly revokedBecause: string | null;
}

const DEFAULT_TIMEOUT_MS = 30_000;

function encode(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function decode(text: string): Uint8Array {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

// The verifier is trusted for what it says (over TLS, in production); its answers are typed, not validated again.
type Json = Record<string, never>;

export class VerifierClient {
  readonly #base: string;
  readonly #options: ClientOptions;

  /** `base`: URL of the verifier, such as `https://verifier.example`. */
  constructor(base: string, options: ClientOptions = {}) {
    this.#base = base.replace(/\/+$/, '');
    this.#options = options;
  }

  /** Enrol a platform: both steps. Returns the name it is known by. */
  async enrol(tpm: EnrollingTpm, platform?: string): Promise<{ readonly platform: string }> {
    const begun: { id: string; credentialBlob: string; encryptedSecret: string } = await this.#call(
      'POST',
      '/v1/enrolments',
      {
        ...(platform !== undefined && { platform }),
        ekPublic: encode(tpm.ekPublic),
        ekCertificates: tpm.ekCertificates.map(encode),
        akPublic: encode(tpm.akPublic),
      },
    );
    const secret = await tpm.activate(decode(begun.credentialBlob), decode(begun.encryptedSecret));
    return this.#call('POST', `/v1/enrolments/${begun.id}/activation`, { secret: encode(secret) });
  }

  /** Enrol by a certified IAK: `quote` makes evidence over the nonce that it is given. */
  async enrolDevice(
    quote: (nonce: Uint8Array) => Promise<Uint8Array>,
    platform?: string,
  ): Promise<{ readonly platform: string }> {
    const { id, nonce }: { id: string; nonce: string } = await this.#call('POST', '/v1/device-enrolments');
    const evidence = await quote(decode(nonce));
    return this.#call('POST', `/v1/device-enrolments/${id}/evidence`, {
      ...(platform !== undefined && { platform }),
      evidence: encode(evidence),
    });
  }

  /** A fresh nonce. */
  async challenge(): Promise<ChallengeReply> {
    const reply: { id: string; nonce: string; expiresAt: string } = await this.#call('POST', '/v1/challenges');
    return { id: reply.id, nonce: decode(reply.nonce), expiresAt: new Date(reply.expiresAt) };
  }

  /** Have evidence appraised. A bad verdict is an answer, not an error; refusals are for what cannot be appraised. */
  attest(challenge: string, evidence: Uint8Array, since?: AttestReply['shown']): Promise<AttestReply> {
    return this.#call('POST', '/v1/attestations', { challenge, evidence: encode(evidence), ...(since && { since }) });
  }

  /** Obtain a resource, encrypted to the guest's X25519 key. */
  async release(resource: string, key: Uint8Array, ground: ReleaseGround): Promise<ReleaseReply> {
    const reply: Omit<ReleaseReply, 'enc' | 'ciphertext' | 'lease'> & {
      enc: string;
      ciphertext: string;
      lease: { id: string; expiresAt: string };
    } = await this.#call('POST', '/v1/releases', {
      resource,
      key: encode(key),
      ...('result' in ground ? ground : { challenge: ground.challenge, evidence: encode(ground.evidence) }),
    });
    return {
      ...reply,
      enc: decode(reply.enc),
      ciphertext: decode(reply.ciphertext),
      lease: { id: reply.lease.id, expiresAt: new Date(reply.lease.expiresAt) },
    };
  }

  /** Let a lease run on, on a result over the machine that holds it. */
  async renew(lease: string, result: string): Promise<{ readonly expiresAt: Date }> {
    const reply: { expiresAt: string } = await this.#call('POST', `/v1/leases/${encodeURIComponent(lease)}/renewal`, {
      result,
    });
    return { expiresAt: new Date(reply.expiresAt) };
  }

  /** Store a new version of reference values (role operator). */
  putReference(name: string, body: object): Promise<{ readonly name: string; readonly version: number }> {
    return this.#call('PUT', `/v1/references/${encodeURIComponent(name)}`, body);
  }

  /**
   * Provision a CoRIM as it stands: signed by a registered endorser (role provisioner), or unsigned (role operator).
   * `profile`: what it must be of.
   */
  provision(corim: Uint8Array, profile?: string): Promise<EndorsementReply> {
    const parameter = profile === undefined ? '' : `; profile="${profile}"`;
    return this.#call('POST', '/v1/endorsements', { type: `application/rim+cbor${parameter}`, bytes: corim });
  }

  /** What was provisioned, and what counts of it now (role provisioner, operator or auditor). */
  endorsements(): Promise<EndorsementReply[]> {
    return this.#call('GET', '/v1/endorsements');
  }

  /** The digests of a CoRIM are known as revoked from now on (role operator). */
  revokeEndorsement(id: string, because: string): Promise<void> {
    return this.#call('POST', `/v1/endorsements/${encodeURIComponent(id)}/revocation`, { because });
  }

  /** Forget a CoRIM (role operator). */
  removeEndorsement(id: string): Promise<void> {
    return this.#call('DELETE', `/v1/endorsements/${encodeURIComponent(id)}`);
  }

  /** Register who may sign CoRIM: base64 of SubjectPublicKeyInfo, or of certificates (role operator). */
  putEndorser(
    name: string,
    by: { readonly keys?: readonly string[]; readonly anchors?: readonly string[] },
  ): Promise<void> {
    return this.#call('PUT', `/v1/endorsers/${encodeURIComponent(name)}`, by);
  }

  /** Trust an endorser no longer (role operator). */
  removeEndorser(name: string): Promise<void> {
    return this.#call('DELETE', `/v1/endorsers/${encodeURIComponent(name)}`);
  }

  /** Store a new version of a resource (role broker). */
  putResource(name: string, request: ResourceRequest): Promise<{ readonly name: string; readonly version: number }> {
    return this.#call('PUT', `/v1/resources/${name.split('/').map(encodeURIComponent).join('/')}`, {
      ...request,
      content: encode(request.content),
    });
  }

  /** Keys that verify this verifier's results. */
  jwks(): Promise<{ keys: object[] }> {
    return this.#call('GET', '/.well-known/jwks.json');
  }

  /** `body`: a document, or bytes of a media type. */
  async #call<Reply>(method: string, path: string, body?: object | Typed): Promise<Reply> {
    const { token, timeoutMs = DEFAULT_TIMEOUT_MS, fetch: send = fetch } = this.#options;
    let response: Response;
    try {
      response = await send(`${this.#base}${path}`, {
        method,
        headers: {
          ...(body !== undefined && { 'content-type': isTyped(body) ? body.type : 'application/json' }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
        },
        ...(body !== undefined && { body: isTyped(body) ? Uint8Array.from(body.bytes) : JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (cause) {
      throw new VerifierRefusal(
        'unreachable',
        0,
        `The verifier at ${this.#base} does not answer.`,
        [],
        'Check the URL.',
        cause,
      );
    }
    const text = await response.text();
    if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as Reply;
    throw refusalOf(response.status, text);
  }
}

interface Typed {
  readonly type: string;
  readonly bytes: Uint8Array;
}
const isTyped = (body: object): body is Typed => 'bytes' in body && body.bytes instanceof Uint8Array;

function refusalOf(status: number, text: string): VerifierRefusal {
  try {
    const problem = JSON.parse(text) as Json & { code?: string; detail?: string; failed?: string[]; remedy?: string };
    if (typeof problem.code === 'string') {
      return new VerifierRefusal(problem.code, status, problem.detail ?? '', problem.failed ?? [], problem.remedy);
    }
  } catch {
    // Not ours: a proxy answered.
  }
  return new VerifierRefusal(
    'unreachable',
    status,
    `The answer (HTTP ${status}) is not a verifier's.`,
    [],
    'Check the URL.',
  );
}
