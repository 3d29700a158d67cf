/** How a command of Part 3 is declared. Codec, types, server, client and documentation follow from it. */
import { type Fields, type InferFields, type Schema, TPM_CC } from '../structures/index.ts';
import type { Context } from './context.ts';
import type { HandleKind } from './handles.ts';

/** Authorisation roles of Part 3's tables. */
export type Role = 'user' | 'admin' | 'dup';

/** A handle that needs authorisation. */
export interface AuthorizedHandle<T> {
  readonly kind: HandleKind<T>;
  readonly role: Role;
}

/** This handle needs authorisation in this role. */
export const auth = <T>(kind: HandleKind<T>, role: Role): AuthorizedHandle<T> => ({ kind, role });

type HandleUse = HandleKind<unknown> | AuthorizedHandle<unknown>;
type Handles = Readonly<Record<string, HandleUse>>;
type HandleValue<U> = U extends AuthorizedHandle<infer T> ? T : U extends HandleKind<infer T> ? T : never;

/** What a handler gets: entities by handle name, values by parameter name. */
export type Arguments<H extends Handles, P extends Fields> = { [K in keyof H]: HandleValue<H[K]> } & InferFields<P>;

interface Declaration<H extends Handles, P extends Fields, RH extends Fields, R extends Fields> {
  readonly handles?: H;
  readonly params?: P;
  readonly responseHandles?: RH;
  readonly response?: R;
  /** May write non-volatile memory (TPMA_CC.nv). */
  readonly nv?: boolean;
  /** May flush any number of objects (TPMA_CC.extensive). */
  readonly extensive?: boolean;
  /** Flushes its handle (TPMA_CC.flushed). */
  readonly flushed?: boolean;
  /** False: takes no sessions at all, else TPM_RC_AUTH_CONTEXT. */
  readonly sessions?: false;
  /** Runs before TPM2_Startup. */
  readonly beforeStartup?: true;
}

interface Field {
  readonly name: string;
  readonly schema: Schema<unknown>;
}

/** A declared command with its handler. */
export interface Command<C extends number, H extends Handles, P extends Fields, RH extends Fields, R extends Fields> {
  readonly code: C;
  readonly name: string;
  readonly handles: H;
  readonly params: P;
  readonly responseHandles: RH;
  readonly response: R;
  readonly handleList: readonly { readonly name: string; readonly kind: HandleKind<unknown>; readonly role?: Role }[];
  readonly paramList: readonly Field[];
  readonly responseHandleList: readonly Field[];
  readonly responseList: readonly Field[];
  /** How many of the first handles need authorisation. */
  readonly authCount: number;
  /** TPMA_CC. Part 2, section 8.9. */
  readonly attributes: number;
  /** The first command parameter, or response parameter, is a TPM2B and may be encrypted. */
  readonly decryptable: boolean;
  readonly encryptable: boolean;
  readonly sessions: boolean;
  readonly beforeStartup: boolean;
  /** Commands that touch NV wait for earlier durable changes. */
  readonly nv: boolean;
  run(context: Context, args: Arguments<H, P>): InferFields<RH> & InferFields<R>;
}

export type AnyCommand = Command<number, Handles, Fields, Fields, Fields>;

const names = new Map<number, string>(Object.entries(TPM_CC).map(([name, code]) => [code, name]));

/** Starts with its size, so that a session may encrypt it as a first parameter. */
const isTpm2b = (field: Field | undefined): boolean =>
  field?.schema.shape?.kind === 'buffer' || field?.schema.shape?.kind === 'sized';

/** Declare a command: the specification's table, then its detailed actions. */
export function command<
  const C extends number,
  H extends Handles = Record<never, never>,
  P extends Fields = Record<never, never>,
  RH extends Fields = Record<never, never>,
  R extends Fields = Record<never, never>,
>(
  code: C,
  declaration: Declaration<H, P, RH, R>,
  run: (
    context: Context,
    args: Arguments<H, P>,
  ) => keyof (RH & R) extends never ? void : InferFields<RH> & InferFields<R>,
): Command<C, H, P, RH, R> {
  const handles = declaration.handles ?? ({} as H);
  const params = declaration.params ?? ({} as P);
  const responseHandles = declaration.responseHandles ?? ({} as RH);
  const response = declaration.response ?? ({} as R);
  const handleList = Object.entries(handles).map(([name, use]) =>
    'role' in use ? { name, kind: use.kind, role: use.role } : { name, kind: use },
  );
  const list = (fields: Fields): Field[] => Object.entries(fields).map(([name, schema]) => ({ name, schema }));
  const paramList = list(params);
  const responseList = list(response);
  const responseHandleList = list(responseHandles);
  return {
    code,
    name: names.get(code)!, // every code is a TPM_CC
    handles,
    params,
    responseHandles,
    response,
    handleList,
    paramList,
    responseHandleList,
    responseList,
    authCount: handleList.filter(({ role }) => role !== undefined).length,
    attributes:
      code |
      (declaration.nv ? 1 << 22 : 0) |
      (declaration.extensive ? 1 << 23 : 0) |
      (declaration.flushed ? 1 << 24 : 0) |
      (handleList.length << 25) |
      (responseHandleList.length << 28),
    decryptable: isTpm2b(paramList[0]),
    encryptable: isTpm2b(responseList[0]),
    sessions: declaration.sessions !== false,
    beforeStartup: declaration.beforeStartup === true,
    nv: declaration.nv === true,
    run: run as Command<C, H, P, RH, R>['run'], // void where there is no response
  };
}
