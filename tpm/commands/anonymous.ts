/** Ephemeral ECC keys: Part 3, section 19. */
import { fromBigInt, padLeft, toBigInt } from '../crypto/bytes.ts';
import { CURVES } from '../crypto/curves.ts';
import { has } from '../state/objects.ts';
import {
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM2B_ECC_PARAMETER,
  TPM2B_ECC_POINT,
  TPM2B_SENSITIVE_DATA,
  TPMA_OBJECT,
  TPMI_ECC_CURVE,
  TpmError,
  u16,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import { newCommit } from './commits.ts';
import { TPMI_DH_OBJECT } from './handles.ts';

const NO_POINT = { x: new Uint8Array(0), y: new Uint8Array(0) };

/** TPM2_Commit: the first half of an ECDAA signature. Part 3, section 19.2. */
export const Commit = command(
  TPM_CC.Commit,
  {
    handles: { signHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: { P1: TPM2B_ECC_POINT, s2: TPM2B_SENSITIVE_DATA, y2: TPM2B_ECC_PARAMETER },
    response: { K: TPM2B_ECC_POINT, L: TPM2B_ECC_POINT, E: TPM2B_ECC_POINT, counter: u16 },
  },
  (tpm, { signHandle, P1, s2, y2 }) => {
    const { publicArea, sensitive, name } = signHandle;
    if (publicArea.type !== TPM_ALG.ECC || sensitive === undefined) throw new TpmError(TPM_RC.KEY, 'signHandle');
    const { scheme, curveID } = publicArea.parameters;
    if (scheme.scheme !== TPM_ALG.ECDAA || !has(signHandle, TPMA_OBJECT.sign))
      throw new TpmError(TPM_RC.SCHEME, 'signHandle');
    const curve = CURVES[curveID]!; // a curve of TPMI_ECC_CURVE
    const p1 = P1.x.length > 0 || P1.y.length > 0 ? P1 : undefined;
    if (p1 !== undefined && !tpm.crypto.ecOnCurve(curveID, p1)) throw new TpmError(TPM_RC.ECC_POINT, 'P1');
    if ((s2.length === 0) !== (y2.length === 0)) throw new TpmError(TPM_RC.SIZE, 'y2');
    let p2: { x: Uint8Array; y: Uint8Array } | undefined;
    if (s2.length > 0) {
      if (publicArea.nameAlg === TPM_ALG.NULL) throw new TpmError(TPM_RC.HASH, 'signHandle');
      const x2 = toBigInt(tpm.crypto.hash(publicArea.nameAlg, s2)) % curve.p;
      p2 = { x: fromBigInt(x2, curve.size), y: padLeft(y2, curve.size) };
      if (y2.length > curve.size || !tpm.crypto.ecOnCurve(curveID, p2)) throw new TpmError(TPM_RC.ECC_POINT, 's2');
    }
    const { counter, scalar } = newCommit(tpm, name, curveID);
    const r = fromBigInt(scalar, curve.size);
    const times = (point: { x: Uint8Array; y: Uint8Array }, k: Uint8Array) =>
      tpm.crypto.ecMultiply(curveID, point, k) ?? NO_POINT;
    const onlyBase = p1 === undefined && p2 === undefined;
    return {
      K: p2 === undefined ? NO_POINT : times(p2, sensitive.sensitive),
      L: p2 === undefined ? NO_POINT : times(p2, r),
      E: p1 !== undefined ? times(p1, r) : onlyBase ? tpm.crypto.ecPublic(curveID, r) : NO_POINT,
      counter,
    };
  },
);

/** TPM2_EC_Ephemeral: the first half of a two-phase key exchange. Part 3, section 19.3. */
export const EC_Ephemeral = command(
  TPM_CC.EC_Ephemeral,
  { params: { curveID: TPMI_ECC_CURVE }, response: { Q: TPM2B_ECC_POINT, counter: u16 } },
  (tpm, { curveID }) => {
    if (!tpm.profile.eccCurves.includes(curveID)) throw new TpmError(TPM_RC.CURVE, 'curveID');
    const { counter, scalar } = newCommit(tpm, new Uint8Array(0), curveID);
    return { Q: tpm.crypto.ecPublic(curveID, fromBigInt(scalar, CURVES[curveID]!.size)), counter }; // a known curve
  },
);

export const anonymousCommands = [Commit, EC_Ephemeral];
