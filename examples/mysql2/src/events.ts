import { defineEvent } from '@txbox/core';

/** A movement on one account. */
export interface Booking {
  readonly account: string;
  readonly cents: number;
}

/** The contract with those who handle it. One key per account keeps the bookings of each in order. */
export const Booked = defineEvent('account.booked', { topic: 'accounts', version: 1, key: (booking: Booking) => booking.account });
