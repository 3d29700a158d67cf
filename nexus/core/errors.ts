/** The refusals of the core, each above ERROR_BASE. The first that applies is the result, and nothing has changed. */

/** An argument names nothing that exists, or is not one of the values it may have. */
export const RANGE = 0xffffff01;
/** The caller may not do this. */
export const DENIED = 0xffffff02;
/** The partition named is not in a state that allows this. */
export const STATE = 0xffffff03;
/** The resource named is in use. */
export const BUSY = 0xffffff04;
/** The caller is not running. */
export const CALLER = 0xffffff05;
/** The frame is not the caller's. */
export const OWNER = 0xffffff06;
/** The guest-physical page is taken. */
export const MAPPED = 0xffffff07;
/** Nothing is mapped at the guest-physical page. */
export const UNMAPPED = 0xffffff08;
/** The permission asked for exceeds the permission held. */
export const PERMISSION = 0xffffff09;
/** There is no such grant for the caller. */
export const GRANT = 0xffffff0a;
/** The channel end is not open, or its peer is gone. */
export const CLOSED = 0xffffff0b;
/** A generation or a counter has reached its end. */
export const EXHAUSTED = 0xffffff0c;
/** The boot lock forbids it. */
export const LOCKED = 0xffffff0d;
/** No such call. */
export const UNKNOWN = 0xffffff0e;
