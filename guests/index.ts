export { buildGuest, buildGuests, GUESTS, GuestBuildError, type GuestName } from './build.ts';
