/**
 * What the engine is told, derived from the settings of the cluster.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { RunnerAddress, type ShardingConfig } from "effect/cluster"
import type { Settings } from "../../ClusterOptions.ts"

/** Between two refreshes of the leases: so that five in a row may fail before a lease is in danger. */
export const refreshEvery = ({ lease }: Settings): Duration.Duration => Duration.divideUnsafe(lease, 6)

export const configOf = (settings: Settings): Partial<ShardingConfig.ShardingConfig["Service"]> => ({
  runnerAddress: Option.some(RunnerAddress.RunnerAddress.make(settings.address)),
  shardsPerGroup: settings.shards,
  shardLockExpiration: settings.lease,
  shardLockRefreshInterval: refreshEvery(settings),
  // Advisory locks end with their connection, and with them all that is kept: a restart of the storage would move every backend.
  shardLockDisableAdvisory: true,
  entityTerminationTimeout: settings.drain,
  // A process that left is seen by the others within this.
  refreshAssignmentsInterval: Duration.millis(250),
  // It also paces how soon a shard that was free is looked for.
  entityMessagePollInterval: Duration.millis(500),
  runnerHealthCheckInterval: Duration.seconds(1),
  sendRetryInterval: Duration.millis(100),
  // Listed backends are the bound.
  maxResidentEntities: "unbounded",
  simulateRemoteSerialization: false
})
