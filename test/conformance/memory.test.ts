import { MemoryInboxStore, MemoryLeaseStore, MemoryLog, MemoryOutbox } from '@txbox/testing';
import {
  archiveSuite,
  inboxStoreSuite,
  leaseStoreSuite,
  messageSourceSuite,
  type OutboxStoreBackend,
  outboxStoreSuite,
  parkingSuite,
  publisherSuite,
} from '@txbox/testing/conformance';

outboxStoreSuite('memory', async () => outboxBackend(new MemoryOutbox()));

archiveSuite('memory', async () => {
  const store = new MemoryOutbox({ archives: true });
  return {
    ...outboxBackend(store),
    archive: store.archive,
    deadLetters: store.deadLetters,
    backdate: async (ids, ageMs) => store.archive.backdate(ids, ageMs),
  };
});

parkingSuite('memory', async () => {
  const store = new MemoryOutbox();
  return { store, deadLetters: store.deadLetters, add: async (messages) => void store.add(messages), dispose: async () => undefined };
});

leaseStoreSuite(
  'memory',
  async () => {
    const store = new MemoryLeaseStore();
    return { store, other: store, setExpiry: async (slot, inMs) => store.setExpiry(slot, inMs), dispose: async () => undefined };
  },
  { lacks: { 'session-time-zone': 'memory has one clock and no sessions' } },
);

publisherSuite(
  'memory',
  async () => {
    const log = new MemoryLog();
    return {
      publisher: log.publisher(),
      createTopic: async (name, partitions) => log.createTopic(name, partitions),
      readAll: async (topic) => log.readAll(topic),
      dispose: async () => undefined,
    };
  },
  {
    lacks: {
      unreachable: 'a log in the same memory cannot be away',
      'topic-admin': 'a log in memory ends with the test that makes its topics',
      inspection: 'a log in memory has no settings on which records depend',
    },
  },
);

messageSourceSuite('memory', async () => {
  const log = new MemoryLog();
  return {
    publisher: log.publisher(),
    createTopic: async (name, partitions) => log.createTopic(name, partitions),
    source: () => log.source(),
    expelFirst: async (group) => log.expel(group),
    dispose: async () => undefined,
  };
});

inboxStoreSuite('memory', async () => {
  const store = new MemoryInboxStore();
  return {
    store,
    begin: async () => {
      const transaction = store.begin();
      return { session: transaction, commit: async () => transaction.commit(), rollback: async () => transaction.rollback() };
    },
    dispose: async () => undefined,
  };
});

function outboxBackend(store: MemoryOutbox): OutboxStoreBackend {
  return {
    store,
    begin: async () => {
      const transaction = store.begin();
      return {
        insert: async (messages) => void transaction.insert(messages),
        remove: async (ids) => transaction.remove(ids),
        commit: async () => transaction.commit(),
        rollback: async () => transaction.rollback(),
      };
    },
    dispose: async () => undefined,
  };
}
