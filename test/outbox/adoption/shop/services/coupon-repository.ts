import type { Repository } from 'typeorm';
import type { Coupon } from '../entities/coupon.ts';

/** Coupons are used up. */
export interface CouponRepository extends Repository<Coupon> {
  redeem(code: string): Promise<Coupon>;
}

export function couponRepository(coupons: Repository<Coupon>): CouponRepository {
  return coupons.extend({
    async redeem(this: Repository<Coupon>, code: string): Promise<Coupon> {
      const { affected } = await this.createQueryBuilder()
        .update()
        .set({ usesLeft: () => 'usesLeft - 1' })
        .where('code = :code AND usesLeft > 0', { code })
        .execute();
      if (affected !== 1) throw new Error(`coupon ${code} is used up`);
      return await this.findOneByOrFail({ code });
    },
  });
}
