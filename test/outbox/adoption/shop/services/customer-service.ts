import { Publishes, Transactional } from '@txbox/outbox';
import type { Repository } from 'typeorm';
import type { Customer } from '../entities/customer.ts';
import { CustomerRegistered } from '../events.ts';

export class CustomerService {
  constructor(private readonly customers: Repository<Customer>) {}

  @Transactional()
  @Publishes(CustomerRegistered, (customer: Customer) => ({ id: customer.id, email: customer.email }))
  async register(email: string, name: string, cities: string[] = []): Promise<Customer> {
    const addresses = cities.map((city) => ({ city }));
    return await this.customers.save(this.customers.create({ email, name, addresses }));
  }

  async move(id: number, from: string, to: string): Promise<Customer> {
    const customer = await this.customers.findOneOrFail({ where: { id }, relations: { addresses: true } });
    for (const address of customer.addresses) if (address.city === from) address.city = to;
    return await this.customers.save(customer);
  }
}
