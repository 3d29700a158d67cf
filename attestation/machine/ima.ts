/** IMA's list in a machine's appraisal. */
import { type Static, Type } from 'typebox';
import { fromBase64, toHex } from '../bytes.ts';
import { type Checks, required } from '../checks.ts';
import { SHA256 } from '../hash.ts';
import { isBootAggregate } from '../ima/boot-aggregate.ts';
import { appraiseImaIncrement, type ImaFacts, type ImaIncrement, imaFacts } from '../ima/increment.ts';
import { type KeyringRules, strangeKey } from '../ima/keyrings.ts';
import { parseImaList } from '../ima/list.ts';
import { IMA_PCR, type ImaPosition } from '../ima/replay.ts';
import { ImaKeys } from '../ima/signature.ts';
import type { MachineEvidence } from './evidence.ts';

export const ImaSchema = Type.Object(
  {
    certificates: Type.Optional(
      Type.Array(Type.String(), { description: 'X.509 in DER, base64: who may sign files and modules' }),
    ),
    keyrings: Type.Optional(
      Type.Record(Type.String(), Type.Array(Type.String()), {
        description: 'keyring (`.ima`) to the certificates, DER in base64, that may be loaded into it',
      }),
    ),
  },
  { additionalProperties: false, description: 'the machine must send a list of IMA that replays to PCR 10' },
);

/** The operator's rules, ready for use. */
export interface ImaRules {
  readonly signers: ImaKeys;
  readonly keyrings: KeyringRules;
}

/** Throws CertificateError for a signer that does not parse. */
export function compileImaRules({ certificates = [], keyrings = {} }: Static<typeof ImaSchema>): ImaRules {
  const digest = (text: string) => toHex(SHA256.digest(fromBase64(text)));
  return {
    signers: new ImaKeys(certificates.map(fromBase64)),
    keyrings: new Map(Object.entries(keyrings).map(([name, list]) => [name, new Set(list.map(digest))])),
  };
}

export interface ImaOutcome {
  readonly facts: ImaFacts;
  readonly position: ImaPosition;
}

/** `before` is where the last good quote of this boot left the list; `bank` the one that PCR 10 is quoted in. */
export function checkIma(
  evidence: MachineEvidence,
  before: ImaPosition | undefined,
  bank: number | undefined,
  rules: ImaRules,
  checks: Checks,
): ImaOutcome | undefined {
  const list = checks.value('ima-list', () => parseImaList(required(evidence.ima)));
  let increment: ImaIncrement | undefined;
  checks.holds(
    'ima-replay',
    () => {
      const quoted = required(evidence.pcrs.get(required(bank))?.get(IMA_PCR));
      increment = appraiseImaIncrement(before, required(list), required(bank), quoted);
      return increment !== undefined;
    },
    'the list does not lead to PCR 10',
  );
  if (increment?.whole !== false) checkBootAggregate(evidence, increment, checks);
  const facts = checks.value('ima-entries', () => {
    // Signatures cost: nobody has thousands verified whose quote is not good.
    if (checks.status === 'contraindicated') throw new Error('the evidence that they are in was refused');
    return imaFacts(required(increment).entries, rules.signers);
  });
  if (rules.keyrings.size > 0) {
    checks.holds(
      'ima-keyrings',
      () => {
        const strange = strangeKey(required(facts).keys, rules.keyrings);
        if (strange === undefined) return true;
        throw new Error(`a certificate ${strange.digest} was loaded into ${strange.keyring}`);
      },
      '',
    );
  }
  return facts === undefined || increment === undefined ? undefined : { facts, position: increment.position };
}

/** Not made where the boot registers of its bank are not quoted: then no boot is attested in it. */
function checkBootAggregate({ pcrs }: MachineEvidence, increment: ImaIncrement | undefined, checks: Checks): void {
  const first = increment?.entries[0];
  const check = () => isBootAggregate(required(first), pcrs);
  if (first !== undefined && check() === undefined) return;
  checks.holds(
    'ima-boot-aggregate',
    () => check() === true,
    'the first entry is not the hash of the quoted boot registers',
  );
}
