import { isTxboxError, type PublisherInspection, type TopicInspection } from '@txbox/core/spi';

/** Numbers of Kafka's protocol for what has settings. */
const TOPIC = 2;
const BROKER = 4;

type Unchecked = PublisherInspection['unchecked'][number];
type Settings = ReadonlyMap<string, string>;

/** What a cluster tells of itself through one client. Asks each time, and rejects with errors of this framework. */
export interface ClusterFacts {
  /** Replicas of the partition that has the fewest, of each topic. Rejects when one of them cannot be seen. */
  replicasOf(topics: readonly string[]): Promise<Map<string, number>>;
  /** Numbers of the brokers. */
  brokerIds(): Promise<number[]>;
  /**
   * Settings of topics (type 2) or brokers (type 4) by resource; values that are set nowhere are the defaults. Rejects when one of
   * them may not be looked at.
   */
  settingsOf(type: 2 | 4, resources: readonly string[], names: readonly string[]): Promise<Map<string, ReadonlyMap<string, string>>>;
}

/** What a broker says of topics and of itself. Creates nothing. Rejects with `BROKER_UNAVAILABLE`. */
export async function inspectTopics(
  directory: ClusterFacts,
  topics: readonly string[],
): Promise<Pick<PublisherInspection, 'topics' | 'createsTopics' | 'unchecked'>> {
  const unchecked: Unchecked[] = [];
  const found: TopicInspection[] = [];
  const replicas = await replicasOf(directory, topics);
  const there = topics.filter((topic) => typeof replicas.get(topic) === 'number');
  const settings = await settingsOf(directory, TOPIC, there, unchecked, (topic) => `settings of topic ${topic}`);
  for (const topic of topics) {
    const state = replicas.get(topic);
    if (typeof state === 'number') found.push(topicOf(topic, state, settings.get(topic)));
    else found.push({ topic, state: state ?? 'missing' });
  }
  const brokers = (await directory.brokerIds()).map(String);
  const ofBrokers = await settingsOf(directory, BROKER, brokers, unchecked, (id) => `settings of broker ${id}`);
  const creates = [...ofBrokers.values()].flatMap((each) => each.get('auto.create.topics.enable') ?? []);
  return { topics: found, ...(creates.length === 0 ? {} : { createsTopics: creates.includes('true') }), unchecked };
}

/** Replicas of each topic, or why there are none. All in one request; one that cannot be seen spoils the answer for all, so then one by one. */
async function replicasOf(
  directory: ClusterFacts,
  topics: readonly string[],
): Promise<Map<string, number | Exclude<TopicInspection['state'], 'there'>>> {
  if (topics.length === 0) return new Map();
  try {
    return await directory.replicasOf(topics);
  } catch (error) {
    if (!isAboutTopic(error)) throw error;
    const [only, ...others] = topics;
    if (only !== undefined && others.length === 0) return new Map([[only, error.code === 'TOPIC_MISSING' ? 'missing' : 'not-authorized']]);
  }
  const found = new Map<string, number | Exclude<TopicInspection['state'], 'there'>>();
  for (const topic of topics) for (const [name, state] of await replicasOf(directory, [topic])) found.set(name, state);
  return found;
}

function isAboutTopic(error: unknown): error is Error & { readonly code: 'TOPIC_MISSING' | 'TOPIC_NOT_AUTHORIZED' } {
  return isTxboxError(error, 'TOPIC_MISSING') || isTxboxError(error, 'TOPIC_NOT_AUTHORIZED');
}

/** Settings by resource; what may not be seen becomes `unchecked`. */
async function settingsOf(
  directory: ClusterFacts,
  type: typeof TOPIC | typeof BROKER,
  names: readonly string[],
  unchecked: Unchecked[],
  describe: (name: string) => string,
): Promise<Map<string, Settings>> {
  if (names.length === 0) return new Map();
  try {
    return await directory.settingsOf(type, names, SETTINGS[type]);
  } catch (error) {
    const [only, ...others] = names;
    if (only !== undefined && others.length === 0) {
      unchecked.push({ what: describe(only), reason: error instanceof Error ? error.message : String(error) });
      return new Map();
    }
  }
  const found = new Map<string, Settings>();
  for (const name of names) {
    for (const [one, settings] of await settingsOf(directory, type, [name], unchecked, describe)) found.set(one, settings);
  }
  return found;
}

const SETTINGS = {
  [TOPIC]: ['min.insync.replicas', 'unclean.leader.election.enable', 'max.message.bytes'],
  [BROKER]: ['auto.create.topics.enable'],
};

function topicOf(topic: string, replicas: number, settings: Settings | undefined): TopicInspection {
  const number = (name: string): number | undefined => {
    const value = settings?.get(name);
    return value === undefined || value === '' ? undefined : Number(value);
  };
  const minInSyncReplicas = number('min.insync.replicas');
  const maxBatchBytes = number('max.message.bytes');
  const unclean = settings?.get('unclean.leader.election.enable');
  return {
    topic,
    state: 'there',
    replicas,
    ...(minInSyncReplicas === undefined ? {} : { minInSyncReplicas }),
    ...(unclean === undefined ? {} : { uncleanElection: unclean === 'true' }),
    ...(maxBatchBytes === undefined ? {} : { maxBatchBytes }),
  };
}
