import { PublishesEach, Transactional } from '@txbox/outbox';
import { In, type Repository, type TreeRepository } from 'typeorm';
import type { Category } from '../entities/category.ts';
import type { Product } from '../entities/product.ts';
import { PriceChanged } from '../events.ts';

export class CatalogueService {
  constructor(
    private readonly categories: TreeRepository<Category>,
    private readonly products: Repository<Product>,
  ) {}

  async addCategory(name: string, parent: Category | null = null): Promise<Category> {
    return await this.categories.save(this.categories.create({ name, parent }));
  }

  async list(sku: string, title: string, priceCents: number, category: Category): Promise<Product> {
    return await this.products.save(this.products.create({ sku, title, priceCents, category, stock: { sku } }));
  }

  async withdraw(sku: string): Promise<void> {
    await this.products.softDelete({ sku });
  }

  @Transactional()
  @PublishesEach(PriceChanged, (products: Product[]) => products.map(({ sku, priceCents }) => ({ sku, priceCents })))
  async discount(category: Category, percent: number): Promise<Product[]> {
    const inside = await this.categories.findDescendants(category);
    const ids = inside.map(({ id }) => id);
    await this.products
      .createQueryBuilder()
      .update()
      .set({ priceCents: () => 'FLOOR(priceCents * :rest / 100)' })
      .where('categoryId IN (:...ids)', { ids })
      .setParameter('rest', 100 - percent)
      .execute();
    return await this.products.find({ where: { category: { id: In(ids) } }, order: { sku: 'ASC' } });
  }
}
