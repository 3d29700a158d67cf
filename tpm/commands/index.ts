/** Every command that is implemented. */
import { anonymousCommands } from './anonymous.ts';
import { asymmetricCommands } from './asymmetric.ts';
import { attestationCommands } from './attestation.ts';
import { auditCommands } from './audit.ts';
import { capabilityCommands } from './capability.ts';
import { CertifyX509 } from './certify-x509.ts';
import { clockCommands } from './clocks.ts';
import { contextCommands } from './contexts.ts';
import { credentialCommands } from './credential.ts';
import { dictionaryAttackCommands } from './dictionary-attack.ts';
import { duplicationCommands } from './duplication.ts';
import { eccEncryptionCommands } from './ecc-encryption.ts';
import { hierarchyCommands } from './hierarchy.ts';
import { managementCommands } from './management.ts';
import { nvCommands } from './nv.ts';
import { objectCommands } from './object.ts';
import { pcrCommands } from './pcr.ts';
import { policyCommands } from './policy.ts';
import { policyAuthorityCommands } from './policy-authority.ts';
import { policyCapabilityCommands } from './policy-capability.ts';
import { randomCommands } from './random.ts';
import { readOnlyCommands } from './read-only.ts';
import { sequenceCommands } from './sequence.ts';
import { sessionCommands } from './session.ts';
import { signingCommands } from './signing.ts';
import { startupCommands } from './startup.ts';
import { symmetricCommands } from './symmetric.ts';

export const allCommands = [
  ...startupCommands,
  ...sessionCommands,
  ...objectCommands,
  ...credentialCommands,
  ...randomCommands,
  ...readOnlyCommands,
  ...pcrCommands,
  ...contextCommands,
  ...hierarchyCommands,
  ...dictionaryAttackCommands,
  ...clockCommands,
  ...managementCommands,
  ...symmetricCommands,
  ...sequenceCommands,
  ...asymmetricCommands,
  ...eccEncryptionCommands,
  ...nvCommands,
  ...attestationCommands,
  CertifyX509,
  ...signingCommands,
  ...policyAuthorityCommands,
  ...policyCommands,
  ...policyCapabilityCommands,
  ...auditCommands,
  ...capabilityCommands,
  ...anonymousCommands,
  ...duplicationCommands,
] as const;
