/**
 * What can happen to the state: every call of the core, and the accesses that engines make as its memory rule says
 * (contract A1-A3). The engine's part of a call is here as well: frameScrub zeroes the frame (A2), frameMeasure comes
 * with the content that was measured.
 */

import { CALLS } from '../core/calls.ts';
import * as K from '../core/constants.ts';
import * as E from '../core/errors.ts';
import type { CoreSource } from './source.ts';
import { at, CONTENT, drives, type Index, type Kind } from './state.ts';
import { and, eq, ite, lt, not, type Term, u32, variable, write } from './terms.ts';
import { type Execution, execute, type State } from './translate.ts';

export interface Operation {
  readonly name: string;
  /** The caller first. */
  readonly params: readonly string[];
  /** A question of the engine on nobody's behalf: only BND and REF speak of it. */
  readonly rule?: true;
  readonly run: (s: State, args: readonly Term[]) => Execution;
}

const done = (result: Term): Term => lt(result, u32(K.ERROR_BASE));

function withContent(execution: Execution, frame: Term, when: Term, value: Term): Execution {
  const before = execution.state[CONTENT] as Term;
  return { ...execution, state: { ...execution.state, [CONTENT]: ite(when, write(before, [frame], value), before) } };
}

function access(core: CoreSource, s: State, args: readonly Term[], need: number, value?: Term): Execution {
  const reached = execute(core, 'accessFrame', [...args, u32(need)], s);
  return value === undefined ? loaded(reached) : withContent(reached, reached.result, done(reached.result), value);
}

const loaded = (reached: Execution): Execution => ({
  ...reached,
  result: ite(done(reached.result), at(reached.state, CONTENT, reached.result), reached.result),
});

/** The DMA of device d, which partition p programmed: refused where d is not p's. */
function dma(core: CoreSource, s: State, args: readonly Term[], need: number, value?: Term): Execution {
  const [p, d, gpa] = args as [Term, Term, Term];
  const rule = execute(core, 'accessDevice', [d, gpa, u32(need)], s);
  const known = lt(d, variable('DEVICES'));
  const reached = { ...rule, result: ite(and(known, not(drives(s, p, d))), u32(E.STATE), rule.result) };
  return value === undefined ? loaded(reached) : withContent(reached, reached.result, done(reached.result), value);
}
export function operations(core: CoreSource): Operation[] {
  const calls = Object.entries(CALLS).map(([name, { args }]): Operation => {
    const fn = core.functions.get(name);
    if (fn === undefined) throw new Error(`${name} is declared in calls.ts and is no function of the core`);
    if (fn.params.length !== args.length + 1) throw new Error(`${name}: calls.ts declares other arguments`);
    const run = (s: State, values: readonly Term[]): Execution => {
      const execution = execute(core, name, values.slice(0, fn.params.length), s);
      const ok = eq(execution.result, u32(K.OK));
      if (name === 'frameScrub') return withContent(execution, values[1] as Term, ok, u32(0));
      if (name === 'frameMeasure') return withContent(execution, values[1] as Term, ok, values[2] as Term);
      return execution;
    };
    const params = ['p', ...args];
    return { name, params: name === 'frameMeasure' ? [...params, 'value'] : params, run };
  });
  return [
    ...calls,
    {
      name: 'accessDevice',
      params: ['p', 'dev', 'gpa', 'need'],
      rule: true,
      run: (s, args) => execute(core, 'accessDevice', args.slice(1), s),
    },
    { name: 'accessFrame', params: ['p', 'gpa', 'need'], run: (s, args) => execute(core, 'accessFrame', args, s) },
    {
      name: 'memoryRead',
      params: ['p', 'gpa'],
      run: (s, args) => access(core, s, args, K.PERM_READ),
    },
    {
      name: 'memoryWrite',
      params: ['p', 'gpa', 'value'],
      run: (s, args) => access(core, s, args.slice(0, 2), K.PERM_READ_WRITE, args[2]),
    },
    {
      name: 'memoryLoad',
      params: ['p', 'f', 'value'],
      run: (s, args) => {
        const rule = execute(core, 'frameLoadable', args.slice(0, 2), s);
        return withContent(rule, rule.result, done(rule.result), args[2] as Term);
      },
    },
    { name: 'deviceRead', params: ['p', 'dev', 'gpa'], run: (s, args) => dma(core, s, args, K.PERM_READ) },
    {
      name: 'deviceWrite',
      params: ['p', 'dev', 'gpa', 'value'],
      run: (s, args) => dma(core, s, args.slice(0, 3), K.PERM_READ_WRITE, args[3]),
    },
  ];
}

/** The things that the arguments of a call name, by kind: where statements are instantiated first. */
export function named(operation: Operation, args: readonly Term[]): Readonly<Record<Kind, Index[]>> {
  const value = (name: string): Term | undefined => args[operation.params.indexOf(name)];
  const pairs = (rows: readonly string[], column: string): Index[] => {
    const row = rows.map(value).find((term) => term !== undefined);
    const c = value(column);
    return row === undefined || c === undefined ? [] : [[row, c]];
  };
  const single = (names: readonly string[]): Index[] =>
    names.flatMap((name) => {
      const term = value(name);
      return term === undefined ? [] : [[term]];
    });
  const opening = value('a') !== undefined;
  return {
    partition: [[u32(K.ROOT)], ...single(['p', 'q', 'a', 'from'])],
    frame: single(['f']),
    page: pairs(['q', 'p'], 'gpa'),
    slot: pairs(['from', 'p'], 'g'),
    end: opening ? [...pairs(['a'], 'c'), ...pairs(['q'], 'd')] : pairs(['p'], 'c'),
    counter: pairs(['p'], 'k'),
    device: opening ? single(['dev']) : single(['d', 'dev']),
  };
}
