import type { AssignerProtocol, Cluster, PartitionAssigner } from 'kafkajs';
import { topicErrorOf } from '../kafkajs-errors.ts';

/** A member of a group and the topics it wants. */
export interface Member {
  readonly id: string;
  readonly topics: readonly string[];
}

/** Partitions by topic. */
export type Share = Record<string, number[]>;

/**
 * Shares lanes: each goes to a member that wants its topic, the one that has fewest so far. All members that compute it
 * come to the same result.
 */
export function shareLanes(members: readonly Member[], partitionsOf: (topic: string) => readonly number[]): Map<string, Share> {
  const sorted = members.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const shares = new Map(sorted.map(({ id }) => [id, { lanes: 0, share: {} as Share }]));
  for (const topic of [...new Set(sorted.flatMap((member) => member.topics))].sort()) {
    const wanting = sorted
      .filter((member) => member.topics.includes(topic))
      .map(({ id }) => shares.get(id) as { lanes: number; share: Share });
    for (const partition of partitionsOf(topic).toSorted((a, b) => a - b)) {
      const taker = wanting.reduce((least, one) => (one.lanes < least.lanes ? one : least));
      taker.lanes += 1;
      taker.share[topic] ??= [];
      taker.share[topic].push(partition);
    }
  }
  return new Map([...shares].map(([id, { share }]) => [id, share]));
}

/**
 * kafkajs's own assigner gives members lanes of topics they did not ask for, which then nobody reads: a rolling upgrade
 * that adds a topic would lose them. And kafkajs rejoins a group at once, although batches of the old assignment still
 * run; this assigner is where joining passes by, so `mayJoin` is asked there.
 */
export function balancedAssigner(protocol: typeof AssignerProtocol, mayJoin: () => boolean): PartitionAssigner {
  const { MemberMetadata, MemberAssignment } = protocol;
  const version = 1;
  return ({ cluster }) => ({
    name: 'txbox-balanced',
    version,
    assign: async ({ members }) => {
      const wishes = members.map(({ memberId, memberMetadata }) => ({
        id: memberId,
        topics: MemberMetadata.decode(memberMetadata)?.topics ?? [],
      }));
      for (const topic of new Set(wishes.flatMap(({ topics }) => topics))) await learn(cluster, topic);
      const shares = shareLanes(wishes, (topic) => cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId));
      return [...shares].map(([memberId, assignment]) => ({
        memberId,
        memberAssignment: MemberAssignment.encode({ version, assignment, userData: Buffer.alloc(0) }),
      }));
    },
    protocol: ({ topics }) => {
      if (!mayJoin()) throw new StillBusy();
      return { name: 'txbox-balanced', metadata: MemberMetadata.encode({ version, topics, userData: Buffer.alloc(0) }) };
    },
  });
}

/** kafkajs tries joining again after a moment when it meets an error of this type. */
class StillBusy extends Error {
  readonly type = 'REBALANCE_IN_PROGRESS';

  constructor() {
    super('Batches of the last assignment still run.');
  }
}

/** Topics that only others want are unknown to the leader at first; one that is gone has no lanes. */
async function learn(cluster: Cluster, topic: string): Promise<void> {
  try {
    await cluster.addMultipleTargetTopics([topic]);
  } catch (error) {
    if (topicErrorOf(error, topic) === undefined) throw error;
  }
}
