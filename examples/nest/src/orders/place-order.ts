import { z } from 'zod';

/** The body of a request. */
export const placeOrder = z.object({ sku: z.string().min(1).max(64), quantity: z.number().int().positive() });

export type PlaceOrder = z.infer<typeof placeOrder>;
