/** Sessions. Part 3, section 11. */
import { concat } from '../crypto/bytes.ts';
import { KDFa } from '../crypto/kdf.ts';
import { emptyPolicy, resetPolicy, type Session } from '../state/sessions.ts';
import {
  DIGEST_SIZE,
  TPM_ALG,
  TPM_CC,
  TPM_HANDLE,
  TPM_RC,
  TPM_SE,
  TPM_SE_TYPE,
  TPM2B_ENCRYPTED_SECRET,
  TPM2B_NONCE,
  TPMI_ALG_HASH,
  TPMT_SYM_DEF,
  TpmError,
} from '../structures/index.ts';
import { trimAuth } from './auth-value.ts';
import { command } from './command.ts';
import { entityAuth, entityName, orNull, TPMI_DH_ENTITY, TPMI_DH_OBJECT, TPMI_SH_POLICY } from './handles.ts';
import { recoverSecret } from './secrets.ts';

const MIN_NONCE = 16;
const TYPES = { [TPM_SE.HMAC]: 'hmac', [TPM_SE.POLICY]: 'policy', [TPM_SE.TRIAL]: 'trial' } as const;

/** TPM2_StartAuthSession. Part 3, section 11.1. */
export const StartAuthSession = command(
  TPM_CC.StartAuthSession,
  {
    handles: { tpmKey: orNull(TPMI_DH_OBJECT), bind: orNull(TPMI_DH_ENTITY) },
    params: {
      nonceCaller: TPM2B_NONCE,
      encryptedSalt: TPM2B_ENCRYPTED_SECRET,
      sessionType: TPM_SE_TYPE,
      symmetric: TPMT_SYM_DEF,
      authHash: TPMI_ALG_HASH,
    },
    responseHandles: { sessionHandle: TPM_HANDLE },
    response: { nonceTPM: TPM2B_NONCE },
  },
  (tpm, { tpmKey, bind, nonceCaller, encryptedSalt, sessionType, symmetric, authHash }) => {
    const { state, crypto } = tpm;
    const size = DIGEST_SIZE[authHash]!; // every TPMI_ALG_HASH has one
    if (nonceCaller.length < MIN_NONCE || nonceCaller.length > size) throw new TpmError(TPM_RC.SIZE, 'nonceCaller');
    if (symmetric.algorithm === TPM_ALG.AES && symmetric.mode !== TPM_ALG.CFB)
      throw new TpmError(TPM_RC.MODE, 'symmetric');
    let salt: Uint8Array = new Uint8Array(0);
    if (tpmKey === undefined) {
      if (encryptedSalt.length !== 0) throw new TpmError(TPM_RC.VALUE, 'encryptedSalt');
    } else {
      const { type } = tpmKey.publicArea;
      if (type !== TPM_ALG.RSA && type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.KEY, 'tpmKey');
      if (tpmKey.sensitive === undefined) throw new TpmError(TPM_RC.HANDLE, 'tpmKey');
      if (encryptedSalt.length === 0) throw new TpmError(TPM_RC.VALUE, 'encryptedSalt');
      try {
        salt = recoverSecret(crypto, tpmKey, 'SECRET', encryptedSalt);
      } catch (error) {
        if (!(error instanceof TpmError)) throw error;
        throw new TpmError(error.code, error.code === TPM_RC.ATTRIBUTES ? 'tpmKey' : 'encryptedSalt');
      }
    }
    const type = TYPES[sessionType];
    const handle = state.sessions.freeHandle(type);
    const nonceTPM = tpm.random.bytes(size);
    const bindAuth = bind === undefined ? new Uint8Array(0) : trimAuth(entityAuth(state, bind));
    const key = concat(bindAuth, salt);
    const keyed = bind !== undefined || tpmKey !== undefined;
    const session: Session = {
      handle,
      type,
      authHash,
      symmetric,
      sessionKey: keyed ? KDFa(crypto, authHash, key, 'ATH', nonceTPM, nonceCaller, size * 8) : new Uint8Array(0),
      nonceTPM,
      bound:
        bind === undefined || type !== 'hmac'
          ? undefined
          : { handle: bind, name: entityName(state, bind).slice(), authValue: bindAuth.slice() },
      startTime: tpm.clock.time,
      audit: undefined,
      policy: emptyPolicy(size),
    };
    state.sessions.loaded.set(handle, session);
    return { sessionHandle: handle, nonceTPM };
  },
);

/** TPM2_PolicyRestart. Part 3, section 11.2. */
export const PolicyRestart = command(
  TPM_CC.PolicyRestart,
  { handles: { sessionHandle: TPMI_SH_POLICY } },
  (_, { sessionHandle }) => {
    resetPolicy(sessionHandle);
  },
);

export const sessionCommands = [StartAuthSession, PolicyRestart];
