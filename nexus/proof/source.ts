/** Reads the core's files into one table of constants, arrays and functions; refuses what docs/subset.md does not have. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Directive, Expression, Function as FunctionNode, Node, Statement } from 'oxc-parser';
import { parseSync } from 'oxc-parser';

/** Something outside the subset: where, and why it is refused. */
export class SubsetError extends Error {
  constructor(file: string, source: string, node: { readonly start: number }, reason: string) {
    super(`${file}:${source.slice(0, node.start).split('\n').length}: ${reason}`);
    this.name = 'SubsetError';
  }
}

export interface SourceFile {
  readonly name: string;
  readonly text: string;
}

export interface CoreFunction {
  readonly name: string;
  readonly params: readonly string[];
  readonly returns: 'bool' | 'u32';
  readonly body: readonly (Statement | Directive)[];
  readonly exported: boolean;
  readonly file: SourceFile;
  /** What its file imports as `import * as X`: the constants X.NAME. */
  readonly namespaces: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

export interface CoreSource {
  readonly constants: ReadonlyMap<string, number>;
  /** Names of the sizes of each array: one or two. */
  readonly arrays: ReadonlyMap<string, readonly string[]>;
  readonly functions: ReadonlyMap<string, CoreFunction>;
}

/** Files of nexus/core that are not state machine: the declaration of numbers, and the table that dispatches. */
const NOT_CORE = new Set(['calls.ts', 'index.ts']);

export function readCore(directory: string): SourceFile[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !NOT_CORE.has(name))
    .sort()
    .map((name) => ({ name, text: readFileSync(join(directory, name), 'utf8') }));
}

export function parseCore(files: readonly SourceFile[]): CoreSource {
  const constants = new Map<string, number>();
  const arrays = new Map<string, readonly string[]>();
  const functions = new Map<string, CoreFunction>();
  const constantsOf = new Map(files.map((file) => [file.name, new Map<string, number>()]));

  for (const file of files) {
    const namespaces = new Map<string, ReadonlyMap<string, number>>();
    const refuse = (node: Node, reason: string): never => {
      throw new SubsetError(file.name, file.text, node, reason);
    };
    const parsed = parseSync(file.name, file.text, { preserveParens: false });
    const syntax = parsed.errors[0];
    if (syntax !== undefined) {
      throw new SubsetError(file.name, file.text, { start: syntax.labels[0]?.start ?? 0 }, syntax.message);
    }
    const declareOnce = (node: Node, name: string): void => {
      if (constants.has(name) || arrays.has(name) || functions.has(name)) refuse(node, `${name} is declared twice`);
    };
    for (const node of parsed.program.body) {
      if (node.type === 'ImportDeclaration') {
        const imported = node.source.value.startsWith('./') && constantsOf.get(node.source.value.slice(2));
        if (!imported) {
          return refuse(node, `import from ${node.source.value}: the core imports nothing but its own files`);
        }
        for (const specifier of node.specifiers) {
          if (specifier.type === 'ImportNamespaceSpecifier') {
            namespaces.set(specifier.local.name, imported);
            continue;
          }
          const renamed =
            specifier.type !== 'ImportSpecifier' ||
            specifier.imported.type !== 'Identifier' ||
            specifier.imported.name !== specifier.local.name;
          if (renamed) refuse(specifier, 'an import by another name or by default');
        }
        continue;
      }
      const exported = node.type === 'ExportNamedDeclaration';
      const declaration = exported ? node.declaration : node;
      if (declaration?.type === 'FunctionDeclaration') {
        const fn = functionOf(declaration as FunctionNode, exported, file, namespaces, refuse);
        declareOnce(declaration, fn.name);
        functions.set(fn.name, fn);
      } else if (declaration?.type === 'VariableDeclaration') {
        if (declaration.kind !== 'const') refuse(declaration, `${declaration.kind}: only const is in the subset`);
        for (const declarator of declaration.declarations) {
          const { id, init } = declarator;
          if (id.type !== 'Identifier') return refuse(id, 'a pattern in a declaration');
          declareOnce(id, id.name);
          if (init?.type === 'Literal' && typeof init.value === 'number') {
            if (!Number.isInteger(init.value) || init.value < 0 || init.value > 0xffffffff) {
              refuse(init, `${init.value} is not a u32`);
            }
            constants.set(id.name, init.value);
            constantsOf.get(file.name)?.set(id.name, init.value);
          } else {
            arrays.set(id.name, arraySizes(init, id, refuse));
          }
        }
      } else {
        refuse(node, `${declaration?.type ?? node.type} at the top of a file`);
      }
    }
  }
  return { constants, arrays, functions };
}

type Refuse = (node: Node, reason: string) => never;

function arraySizes(init: Expression | null, at: Node, refuse: Refuse): readonly string[] {
  if (init?.type !== 'NewExpression' || init.callee.type !== 'Identifier' || init.callee.name !== 'Uint32Array') {
    return refuse(init ?? at, 'a top-level const is a number or a new Uint32Array');
  }
  const length = init.arguments[0];
  if (init.arguments.length !== 1 || length === undefined) return refuse(init, 'Uint32Array takes one length');
  if (length.type === 'Literal' && length.value === 1) return ['1'];
  if (length.type === 'Identifier') return [length.name];
  if (
    length.type === 'BinaryExpression' &&
    length.operator === '*' &&
    length.left.type === 'Identifier' &&
    length.right.type === 'Identifier'
  ) {
    return [length.left.name, length.right.name];
  }
  return refuse(length, 'a length is 1, a size, or rows * columns');
}

function functionOf(
  node: FunctionNode,
  exported: boolean,
  file: SourceFile,
  namespaces: CoreFunction['namespaces'],
  refuse: Refuse,
): CoreFunction {
  if (node.id === null || node.body === null) return refuse(node, 'a function without name or body');
  if (node.async || node.generator || node.typeParameters != null) refuse(node, 'async, generator or generic function');
  const params = node.params.map((param) => {
    if (param.type !== 'Identifier') return refuse(param, 'a parameter is a plain name');
    if (param.typeAnnotation?.typeAnnotation.type !== 'TSNumberKeyword') refuse(param, 'a parameter is a number');
    return param.name;
  });
  const type = node.returnType?.typeAnnotation.type;
  if (type !== 'TSNumberKeyword' && type !== 'TSBooleanKeyword') {
    return refuse(node, 'a function returns number or boolean, and says so');
  }
  return {
    name: node.id.name,
    params,
    returns: type === 'TSNumberKeyword' ? 'u32' : 'bool',
    body: node.body.body,
    exported,
    file,
    namespaces,
  };
}
