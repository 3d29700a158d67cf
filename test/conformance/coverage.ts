/** Which tools of the clients' packages the recorded transcripts hold the TPM to, and why not the others. */
import { readdirSync, readFileSync } from 'node:fs';
import { folder, SUITES, scripts } from './transcripts.ts';

/** The tools of one package: files of one folder whose names begin alike. */
export interface Family {
  readonly name: string;
  readonly prefix: string;
  /** Whether a file with the prefix is one of the package's tools. */
  readonly tool: RegExp;
  /** Tools that swtpm does not satisfy, and why. */
  readonly excused: Readonly<Record<string, string>>;
}

const MANUFACTURED = 'reads the endorsement certificate that a TPM gets when it is manufactured; swtpm here has none';
const VENDOR = 'vendor commands of one maker of hardware';
const BANKS = 'the utility reads at most three PCR banks; swtpm, like this TPM, has four';

export const FAMILIES: readonly Family[] = [
  { name: 'tpm2-tools', prefix: 'tpm2_', tool: /^tpm2_\w+$/, excused: {} },
  {
    name: 'tss2 tools of FAPI',
    prefix: 'tss2_',
    tool: /^tss2_\w+$/,
    excused: { getplatformcertificates: 'platform certificates come with hardware; swtpm has none' },
  },
  {
    name: "IBM's TSS",
    prefix: 'tss',
    tool: /^tss(?!2(_|$))\w+$/,
    excused: {
      createek: MANUFACTURED,
      signapp: MANUFACTURED,
      writeapp: MANUFACTURED,
      ntc2getconfig: VENDOR,
      ntc2lockconfig: VENDOR,
      ntc2preconfig: VENDOR,
      pcrevent: BANKS,
      eventsequencecomplete: BANKS,
      powerup: 'switches the power over the simulator protocol, which swtpm does not speak',
    },
  },
];

export interface Coverage {
  readonly family: Family;
  /** Tools in the package, without their prefix. */
  readonly tools: readonly string[];
  /** Tools that a transcript says "ok" of. */
  readonly covered: ReadonlySet<string>;
}

/** Coverage of a family whose tools lie in a folder. */
export function coverage(family: Family, bin: string): Coverage {
  const tools = readdirSync(bin)
    .filter((file) => family.tool.test(file))
    .map((file) => file.slice(family.prefix.length));
  const spoken = SUITES.filter(({ prefix }) => prefix === family.prefix).flatMap((suite) =>
    scripts(suite).map((script) => readFileSync(`${folder(suite)}${script}.transcript`, 'utf8')),
  );
  const lines = spoken.join('\n').matchAll(/^ok (\w+)$/gm);
  return { family, tools, covered: new Set([...lines].map(([, tool = '']) => tool)) };
}
