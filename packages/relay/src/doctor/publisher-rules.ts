import type { PublisherInspection, TopicInspection } from '@txbox/core/spi';
import type { Rule } from './check.ts';

/** Over how many partitions the keys of a topic are spread, and how many the broker has. */
export interface PartitionCounts {
  readonly topic: string;
  readonly pinned: number;
  readonly broker: number;
  /** It is being given another count. */
  readonly switching: boolean;
}

/** What rules of the publishing side look at. */
interface PublishingFacts extends PublisherInspection {
  /** Left out where that was not looked at. */
  readonly counts?: readonly PartitionCounts[];
  /** Topics that the relay was told of; the others were pinned when it published to them. */
  readonly configured: ReadonlySet<string>;
  readonly maxRecordBytes: number;
  readonly batchBytes: number;
}

/** What Kafka adds to a record that travels alone, at most: its own bytes and those of the batch around it. */
const RECORD_OVERHEAD_BYTES = 588;

type PublishingRule = Rule<PublishingFacts>;
type Found = ReturnType<PublishingRule['examine']>[number];

/** A check for each topic that is there, where `look` finds something to say. */
function eachTopic(look: (topic: TopicInspection, facts: PublishingFacts) => Omit<Found, 'what'> | undefined): PublishingRule['examine'] {
  return (facts) =>
    facts.topics.flatMap((topic) => {
      const found = topic.state === 'there' ? look(topic, facts) : undefined;
      return found ? [{ what: `topic ${topic.topic}`, ...found }] : [];
    });
}

const acksNotAll: PublishingRule = {
  code: 'ACKS_NOT_ALL',
  rule: 'acks is −1: with less a record counts as stored that only one broker has, and its row is deleted.',
  wayOut: 'Use a publisher that asks for all replicas in sync.',
  examine: ({ acks }) => [{ what: 'acks', value: String(acks), ok: acks === -1 }],
};

const topicMissing: PublishingRule = {
  code: 'TOPIC_MISSING',
  rule: 'The topics of the option topics exist: the relay creates none, because the number of partitions decides the order.',
  wayOut: 'Create it, for example with kafka-topics.sh --create --topic <name> --partitions <n> --replication-factor 3.',
  examine: ({ topics, configured }) =>
    topics
      .filter(({ topic }) => configured.has(topic))
      .map(({ topic, state }) => ({ what: `topic ${topic}`, value: state === 'missing' ? 'missing' : 'there', ok: state !== 'missing' })),
};

const topicNotAuthorized: PublishingRule = {
  code: 'TOPIC_NOT_AUTHORIZED',
  rule: 'The account of the publisher may see every topic: what it may not see it cannot publish to.',
  wayOut: 'Grant DESCRIBE and WRITE on the topic.',
  examine: ({ topics }) =>
    topics
      .filter(({ state }) => state === 'not-authorized')
      .map(({ topic }) => ({ what: `topic ${topic}`, value: 'no access', ok: false })),
};

const topicGone: PublishingRule = {
  code: 'TOPIC_GONE',
  rule: 'Topics to which was published before exist: the events of one that is gone are held, all others flow.',
  wayOut: 'Create it again with the number of partitions in txbox_topic, or delete its row there when nobody needs it any more.',
  examine: ({ topics, configured }) =>
    topics
      .filter(({ topic, state }) => state === 'missing' && !configured.has(topic))
      .map(({ topic }) => ({ what: `topic ${topic}`, value: 'gone', ok: false })),
};

const minInsyncReplicas: PublishingRule = {
  code: 'MIN_INSYNC_REPLICAS',
  rule: 'min.insync.replicas is at least 2 where a topic has replicas, and no more than there are: with 1 an acknowledged record may be on one broker only.',
  wayOut: 'kafka-configs.sh --alter --entity-type topics --entity-name <name> --add-config min.insync.replicas=2, with three replicas.',
  examine: eachTopic(({ replicas, minInSyncReplicas }) => {
    if (replicas === undefined || minInSyncReplicas === undefined) return undefined;
    const ok = replicas === 1 ? minInSyncReplicas === 1 : minInSyncReplicas >= 2 && minInSyncReplicas <= replicas;
    return { value: `min.insync.replicas ${minInSyncReplicas} of ${replicas} replicas`, ok };
  }),
};

const uncleanElection: PublishingRule = {
  code: 'UNCLEAN_ELECTION',
  rule: 'unclean.leader.election.enable is false: else a replica that lacks acknowledged records may lead, and they are gone.',
  wayOut: 'kafka-configs.sh --alter --entity-type topics --entity-name <name> --add-config unclean.leader.election.enable=false.',
  examine: eachTopic(({ uncleanElection }) =>
    uncleanElection === undefined ? undefined : { value: `unclean.leader.election.enable ${uncleanElection}`, ok: !uncleanElection },
  ),
};

const topicAutoCreation: PublishingRule = {
  code: 'TOPIC_AUTO_CREATION',
  rule: 'auto.create.topics.enable is false: else any client that asks for a missing topic makes it, with partitions and replicas that nobody chose.',
  wayOut: "Set auto.create.topics.enable=false in the brokers' configuration; on a broker for development accept it.",
  examine: ({ createsTopics }) =>
    createsTopics === undefined ? [] : [{ what: 'auto.create.topics.enable', value: String(createsTopics), ok: !createsTopics }],
};

const replicationOne: PublishingRule = {
  code: 'REPLICATION_ONE',
  rule: 'A topic has several replicas: with one, its records are lost with its broker.',
  wayOut: 'Three replicas in production; on a broker for development accept it.',
  examine: eachTopic(({ replicas }) =>
    replicas === undefined ? undefined : { value: `${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`, ok: replicas > 1 },
  ),
};

const messageSize: PublishingRule = {
  code: 'MESSAGE_SIZE',
  rule:
    `max.message.bytes of a topic is at least the publisher's maxRecordBytes and ${RECORD_OVERHEAD_BYTES} bytes around it, and batchBytes: ` +
    'else the broker refuses events that the publisher lets pass, and their keys are parked.',
  wayOut: 'Raise max.message.bytes of the topic, or lower maxRecordBytes of the publisher and batchBytes of the relay.',
  examine: eachTopic(({ maxBatchBytes }, { maxRecordBytes, batchBytes }) => {
    if (maxBatchBytes === undefined) return undefined;
    const value = `max.message.bytes ${maxBatchBytes}, maxRecordBytes ${maxRecordBytes}, batchBytes ${batchBytes}`;
    return { value, ok: maxBatchBytes >= maxRecordBytes + RECORD_OVERHEAD_BYTES && maxBatchBytes >= batchBytes };
  }),
};

const partitionsDiffer: PublishingRule = {
  code: 'PARTITIONS_DIFFER',
  rule: 'The broker has as many partitions of a topic as its keys are spread over: more are not used, fewer hold the topic, and a topic on its way to more is held.',
  wayOut: 'txbox partitions grow uses more, in order, and goes on with what was begun; a topic with fewer needs the pinned number again.',
  examine: ({ counts = [] }) =>
    counts.map(({ topic, pinned, broker, switching }) => ({
      what: `partitions of ${topic}`,
      value: `${pinned} pinned, ${broker} at the broker${switching ? ', held on its way to more' : ''}`,
      ok: pinned === broker && !switching,
    })),
};

const notChecked: PublishingRule = {
  code: 'NOT_CHECKED',
  rule: 'Everything can be looked at.',
  wayOut: 'Grant DESCRIBE_CONFIGS on the topics and on the cluster, or look yourself and accept it.',
  examine: ({ unchecked }) => unchecked.map(({ what, reason }) => ({ what, value: `could not be checked: ${reason}`, ok: false })),
};

/** What is to be said of a publisher, its broker and the topics. */
export const PUBLISHING_RULES: readonly PublishingRule[] = [
  acksNotAll,
  topicMissing,
  topicNotAuthorized,
  topicGone,
  minInsyncReplicas,
  uncleanElection,
  topicAutoCreation,
  replicationOne,
  messageSize,
  partitionsDiffer,
  notChecked,
];
