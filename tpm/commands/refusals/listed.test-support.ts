/**
 * The response codes that Part 3's tables list for each command (revision 1.59; later commands: 1.83), beyond those that
 * every command has in common (Part 3, section 5). `refusals.test.ts` holds the cases to this list.
 */
import type { TPM_CC, TPM_RC } from '../../structures/index.ts';
import type { allCommands } from '../index.ts';

type Implemented = (typeof allCommands)[number]['code'];
/** A command that is implemented, by name. */
export type CommandName = {
  [K in keyof typeof TPM_CC]: (typeof TPM_CC)[K] extends Implemented ? K : never;
}[keyof typeof TPM_CC];
export type Code = keyof typeof TPM_RC;

/** Codes by command, separated by blanks. Every implemented command has an entry: tsc refuses the table otherwise. */
export const LISTED: Readonly<Record<CommandName, string>> = {
  // 9 and 10: start-up, testing
  Startup: 'LOCALITY NV_UNINITIALIZED VALUE',
  Shutdown: 'TYPE',
  SelfTest: 'CANCELED TESTING',
  IncrementalSelfTest: 'CANCELED VALUE',
  GetTestResult: '',
  // 11: sessions
  StartAuthSession: 'ATTRIBUTES CONTEXT_GAP HANDLE MODE SESSION_HANDLES SESSION_MEMORY SIZE VALUE',
  PolicyRestart: '',
  // 12: objects
  Create: 'ATTRIBUTES HASH KDF KEY KEY_SIZE OBJECT_MEMORY RANGE SCHEME SIZE SYMMETRIC TYPE VALUE',
  Load: 'ATTRIBUTES BINDING HASH INTEGRITY KDF KEY OBJECT_MEMORY SCHEME SENSITIVE SIZE SYMMETRIC TYPE VALUE',
  LoadExternal: 'ATTRIBUTES BINDING HASH HIERARCHY KDF KEY OBJECT_MEMORY ECC_POINT SCHEME SIZE SYMMETRIC TYPE',
  ReadPublic: 'SEQUENCE',
  ActivateCredential: 'ATTRIBUTES ECC_POINT INSUFFICIENT INTEGRITY NO_RESULT SIZE TYPE VALUE',
  MakeCredential: 'KEY SIZE TYPE',
  Unseal: 'ATTRIBUTES TYPE',
  ObjectChangeAuth: 'SIZE TYPE',
  CreateLoaded: 'ATTRIBUTES KDF KEY OBJECT_MEMORY SCHEME SIZE SYMMETRIC TYPE',
  // 13: duplication
  Duplicate: 'ATTRIBUTES HASH HIERARCHY KEY SIZE SYMMETRIC TYPE VALUE',
  Rewrap: 'ATTRIBUTES HANDLE INTEGRITY KEY KEY_SIZE TYPE VALUE',
  Import:
    'ATTRIBUTES BINDING ECC_POINT HASH INSUFFICIENT INTEGRITY KDF KEY NO_RESULT OBJECT_MEMORY SCHEME SIZE SYMMETRIC TYPE VALUE',
  // 14: asymmetric primitives
  RSA_Encrypt: 'ATTRIBUTES KEY SCHEME VALUE',
  RSA_Decrypt: 'ATTRIBUTES BINDING KEY SCHEME SIZE VALUE',
  ECDH_KeyGen: 'KEY',
  ECDH_ZGen: 'ATTRIBUTES KEY NO_RESULT SCHEME',
  ECC_Parameters: 'VALUE',
  ZGen_2Phase: 'ATTRIBUTES ECC_POINT KEY SCHEME',
  ECC_Encrypt: 'ATTRIBUTES KEY',
  ECC_Decrypt: 'ATTRIBUTES KEY NO_RESULT SCHEME VALUE',
  // 15 to 17: symmetric primitives, random numbers, sequences
  EncryptDecrypt: 'KEY SIZE VALUE',
  EncryptDecrypt2: 'KEY SIZE VALUE',
  Hash: '',
  HMAC: 'ATTRIBUTES KEY TYPE VALUE',
  GetRandom: '',
  StirRandom: '',
  HMAC_Start: 'ATTRIBUTES OBJECT_MEMORY KEY VALUE',
  HashSequenceStart: 'OBJECT_MEMORY',
  SequenceUpdate: 'MODE',
  SequenceComplete: 'MODE',
  EventSequenceComplete: 'LOCALITY MODE',
  // 18: attestation
  Certify: 'KEY SCHEME VALUE',
  CertifyCreation: 'KEY SCHEME TICKET VALUE',
  Quote: 'KEY SCHEME',
  GetSessionAuditDigest: 'KEY SCHEME TYPE VALUE',
  GetCommandAuditDigest: 'KEY SCHEME VALUE',
  GetTime: 'KEY SCHEME VALUE',
  CertifyX509: 'ATTRIBUTES BINDING HASH KEY SCHEME VALUE',
  // 19 to 21: ephemeral keys, signing, command audit
  Commit: 'ATTRIBUTES ECC_POINT HASH KEY SCHEME NO_RESULT SIZE',
  EC_Ephemeral: '',
  VerifySignature: 'ATTRIBUTES SIGNATURE SCHEME HANDLE',
  Sign: 'BINDING KEY SCHEME TICKET VALUE',
  SetCommandCodeAuditStatus: '',
  // 22: integrity collection
  PCR_Extend: 'LOCALITY',
  PCR_Event: 'LOCALITY',
  PCR_Read: '',
  PCR_Allocate: 'PCR NV_UNAVAILABLE NV_RATE',
  PCR_SetAuthPolicy: 'SIZE VALUE',
  PCR_SetAuthValue: 'VALUE',
  PCR_Reset: 'LOCALITY',
  // 23: enhanced authorisation
  PolicySigned: 'CPHASH EXPIRED NONCE SCHEME SIGNATURE SIZE',
  PolicySecret: 'CPHASH EXPIRED NONCE SIZE',
  PolicyTicket: 'CPHASH EXPIRED SIZE TICKET',
  PolicyOR: 'VALUE',
  PolicyPCR: 'VALUE PCR_CHANGED',
  PolicyLocality: 'RANGE',
  PolicyNV: 'AUTH_TYPE NV_LOCKED NV_UNINITIALIZED POLICY SIZE VALUE',
  PolicyCounterTimer: 'POLICY RANGE',
  PolicyCommandCode: 'VALUE',
  PolicyPhysicalPresence: '',
  PolicyCpHash: 'CPHASH SIZE',
  PolicyNameHash: 'CPHASH SIZE',
  PolicyDuplicationSelect: 'COMMAND_CODE CPHASH',
  PolicyAuthorize: 'HASH SIZE VALUE',
  PolicyAuthValue: '',
  PolicyPassword: '',
  PolicyGetDigest: '',
  PolicyNvWritten: 'VALUE',
  PolicyTemplate: 'CPHASH SIZE',
  PolicyAuthorizeNV: 'HASH SIZE VALUE',
  PolicyCapability: 'POLICY SIZE VALUE',
  PolicyParameters: 'CPHASH SIZE',
  // 24 to 27: hierarchies, dictionary attack, management
  CreatePrimary: 'ATTRIBUTES KDF KEY OBJECT_MEMORY SCHEME SIZE SYMMETRIC TYPE',
  HierarchyControl: 'AUTH_TYPE',
  SetPrimaryPolicy: 'SIZE',
  ChangePPS: '',
  ChangeEPS: '',
  Clear: 'DISABLED',
  ClearControl: 'AUTH_FAIL',
  HierarchyChangeAuth: 'SIZE',
  ReadOnlyControl: '',
  DictionaryAttackLockReset: '',
  DictionaryAttackParameters: '',
  PP_Commands: '',
  SetAlgorithmSet: '',
  // 28: contexts
  ContextSave: 'CONTEXT_GAP TOO_MANY_CONTEXTS',
  ContextLoad: 'CONTEXT_GAP HANDLE HIERARCHY INTEGRITY OBJECT_MEMORY SESSION_MEMORY SIZE',
  FlushContext: 'HANDLE',
  EvictControl: 'ATTRIBUTES HIERARCHY HANDLE NV_SPACE RANGE',
  // 29 and 30: clock, capabilities
  ReadClock: '',
  ClockSet: 'NV_RATE NV_UNAVAILABLE VALUE',
  ClockRateAdjust: '',
  GetCapability: 'HANDLE VALUE',
  TestParms: '',
  // 31: non-volatile storage
  NV_DefineSpace: 'ATTRIBUTES HIERARCHY NV_DEFINED NV_SPACE SIZE',
  NV_DefineSpace2: 'ATTRIBUTES HIERARCHY NV_DEFINED NV_SPACE SIZE',
  NV_UndefineSpace: 'ATTRIBUTES NV_AUTHORIZATION',
  NV_UndefineSpaceSpecial: 'ATTRIBUTES',
  NV_ReadPublic: '',
  NV_ReadPublic2: '',
  NV_Write: 'ATTRIBUTES NV_AUTHORIZATION NV_LOCKED NV_RANGE VALUE',
  NV_Increment: 'ATTRIBUTES NV_AUTHORIZATION NV_LOCKED',
  NV_Extend: 'ATTRIBUTES NV_AUTHORIZATION NV_LOCKED',
  NV_SetBits: 'ATTRIBUTES NV_AUTHORIZATION NV_LOCKED',
  NV_WriteLock: 'ATTRIBUTES NV_AUTHORIZATION',
  NV_GlobalWriteLock: '',
  NV_Read: 'NV_AUTHORIZATION NV_LOCKED NV_RANGE NV_UNINITIALIZED VALUE',
  NV_ReadLock: 'ATTRIBUTES NV_AUTHORIZATION',
  NV_ChangeAuth: 'SIZE',
  NV_Certify: 'KEY NV_AUTHORIZATION NV_LOCKED NV_RANGE NV_UNINITIALIZED SCHEME',
};

/** What is listed, and cannot happen here: why. */
export const UNREACHABLE: Readonly<Record<string, string>> = {
  ...because(
    'what Shutdown saves is one record with the mark that it was saved: there is never the one without the other',
    'Startup NV_UNINITIALIZED',
  ),
  ...because(
    'a test runs to its end before the next command is read',
    'SelfTest CANCELED',
    'SelfTest TESTING',
    'IncrementalSelfTest CANCELED',
  ),
  ...because(
    'key sizes are refused by their type, as TPM_RC_VALUE, and AES has no weak keys',
    'Create KEY',
    'CreatePrimary KEY',
    'CreateLoaded KEY',
  ),
  ...because('an object that is not loaded takes no slot', 'Create OBJECT_MEMORY', 'Import OBJECT_MEMORY'),
  ...because(
    'curves of prime order: no multiple of a point by less than the order is infinity',
    'ActivateCredential NO_RESULT',
    'Import NO_RESULT',
    'ECDH_ZGen NO_RESULT',
    'ECC_Decrypt NO_RESULT',
    'Commit NO_RESULT',
  ),
  ...because('no key is loaded whose point is off its curve', 'MakeCredential KEY', 'Duplicate KEY', 'Rewrap KEY'),
  ...because(
    'no key is loaded whose parts do not fit each other',
    'RSA_Decrypt BINDING',
    'CertifyX509 BINDING',
    'Sign BINDING',
  ),
  ...because('TPM_RC_TYPE comes first', 'ActivateCredential ATTRIBUTES', 'Rewrap ATTRIBUTES'),
  ...because('TPM_RC_HASH comes first', 'Duplicate VALUE'),
  ...because('the outer wrapper’s key is derived in the size that the old parent names', 'Rewrap KEY_SIZE'),
  ...because('a decryption key has no other scheme than ECDH', 'ECDH_ZGen SCHEME'),
  ...because('TPMI_ECC_CURVE answers CURVE; VALUE is for a curve that a profile leaves out', 'ECC_Parameters VALUE'),
  ...because('restricted keys are TPM_RC_ATTRIBUTES first', 'EncryptDecrypt VALUE', 'EncryptDecrypt2 VALUE'),
  ...because('only a signing key has an anonymous scheme: TPM_RC_SCHEME comes first', 'Commit ATTRIBUTES'),
  ...because('who may not read is refused with his session, as TPM_RC_AUTH_UNAVAILABLE', 'PolicyNV AUTH_TYPE'),
  ...because('the index is read as a TPMT_HA, which has no size: TPM_RC_INSUFFICIENT', 'PolicyAuthorizeNV SIZE'),
  ...because('the counter has 64 bits', 'ContextSave TOO_MANY_CONTEXTS'),
  ...because(
    'nothing limits the rate of writing, and a store that fails is TPM_RC_FAILURE',
    'PCR_Allocate NV_UNAVAILABLE',
    'PCR_Allocate NV_RATE',
    'ClockSet NV_RATE',
    'ClockSet NV_UNAVAILABLE',
  ),
};

/** The same reason for several. */
export function because(reason: string, ...what: readonly string[]): Record<string, string> {
  return Object.fromEntries(what.map((each) => [each, reason]));
}
