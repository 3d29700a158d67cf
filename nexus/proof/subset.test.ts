import { describe, expect, test } from 'vitest';
import { parseCore } from './source.ts';
import { symbolicState } from './state.ts';
import { variable } from './terms.ts';
import { execute } from './translate.ts';

const HEAD =
  'export const PARTITIONS = 4;\nexport const GRANTS = 2;\nexport const a = new Uint32Array(PARTITIONS);\nexport const b = new Uint32Array(PARTITIONS * GRANTS);\n';

/** Translate function `f` of a file that has the arrays a and b. */
function translate(source: string): void {
  const core = parseCore([{ name: 'x.ts', text: HEAD + source }]);
  const params = core.functions.get('f')?.params ?? [];
  execute(
    core,
    'f',
    params.map((param) => variable(`a_${param}`)),
    symbolicState('s', core.arrays.keys()),
  );
}
const body = (text: string): string => `export function f(p: number): number {\n${text}\n}`;

const REFUSED: readonly (readonly [what: string, source: string, reason: RegExp])[] = [
  ['a loop', body('for (;;) {}\nreturn 0;'), /^x\.ts:6: ForStatement/],
  ['a while loop', body('while (p === 0) {}\nreturn 0;'), /WhileStatement/],
  ['let', body('let x = 0;\nreturn x;'), /let: only const/],
  ['var at the top', 'var x = 1;', /var: only const/],
  ['an import from elsewhere', "import { x } from '../vmm/engine.ts';", /imports nothing but its own/],
  ['an import by another name', "import { a as c } from './x.ts';", /by another name/],
  ['a member of something that is not imported whole', body('return E.RANGE;'), /E\.RANGE is no constant/],
  [
    'a constant that its file does not have',
    `import * as E from './x.ts';\n${body('return E.NONE;')}`,
    /E\.NONE is no/,
  ],
  ['a cell of an array by name', body('return a.length;'), /a\.length is no constant/],
  ['an import of a package', "import { x } from 'node:fs';", /imports nothing but its own/],
  ['a class', 'class X {}', /ClassDeclaration/],
  ['an object', body('return { x: 1 }.x;'), /MemberExpression|member/],
  ['an assignment to a parameter', body('p = 1;\nreturn p;'), /no cell of an array/],
  ['an operator with assignment', body('a[p] += 1;\nreturn 0;'), /only an assignment/],
  ['an increment', body('a[p]++;\nreturn 0;'), /UpdateExpression/],
  ['a product', body('return p * 2;'), /operator \*/],
  ['a bit operation, which is signed in JavaScript', body('return p & 1;'), /operator &/],
  ['loose equality', body('if (p == 0) return 1;\nreturn 0;'), /operator ==/],
  ['a conditional expression', body('return p === 0 ? 1 : 2;'), /ConditionalExpression/],
  ['a number as a condition', body('if (p) return 1;\nreturn 0;'), /boolean is needed/],
  ['a boolean as a number', body('a[p] = p === 1;\nreturn 0;'), /number is needed/],
  ['a negative number', body('return -1;'), /unary -/],
  ['a fraction', body('return 1.5;'), /not a u32/],
  ['a number above u32', body('return 4294967296;'), /not a u32/],
  ['a string', body("return 'x'.length;"), /member|MemberExpression/],
  ['a function that may end without return', body('if (p === 0) return 1;'), /without return/],
  ['recursion', body('return f(p);'), /calls itself/],
  ['a call of something else', body('return Math.max(p, 1);'), /no plain name/],
  ['an unknown name', body('return q;'), /no constant, parameter or const/],
  ['a row index of a table without its columns', body('return b[p]!;'), /row \* GRANTS/],
  ['another width than the table has', body('return b[p * PARTITIONS + 1]!;'), /row \* GRANTS/],
  [
    'a call with an effect inside an expression',
    `function g(p: number): boolean {\na[p] = 1;\nreturn true;\n}\n${body('if (g(p)) return 1;\nreturn 0;')}`,
    /changes the state/,
  ],
  ['another typed array', 'export const x = new Int32Array(PARTITIONS);', /new Uint32Array/],
  ['a parameter that is no number', 'export function f(p: string): number {\nreturn 0;\n}', /is a number/],
  ['a function without return type', 'export function f(p: number) {\nreturn 0;\n}', /returns number or boolean/],
  ['an async function', 'export async function f(p: number): number {\nreturn 0;\n}', /async/],
  ['try', body('try { return 1; } catch { return 0; }'), /TryStatement/],
  ['a name that hides another', body('const p = 1;\nreturn p;'), /hides another name/],
  ['a name declared twice', 'export const a = 1;', /declared twice/],
];

describe('outside the subset, refused with file, line and reason', () => {
  test.each(REFUSED)('%s', (_, source, reason) => {
    expect(() => translate(source)).toThrow(reason);
    expect(() => translate(source)).toThrow(/^x\.ts:\d+: /);
  });
});

test('inside the subset, accepted', () => {
  translate(`import * as E from './x.ts';\n${body('if (p === 0) return E.PARTITIONS;\nreturn 0;')}`);
  translate(body('const x = a[p]! + 1;\nif (x < 3 && p !== 0) {\nb[p * GRANTS + 1] = x;\nreturn x;\n}\nreturn 0;'));
});
