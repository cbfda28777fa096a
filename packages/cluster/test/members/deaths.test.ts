/** When a process is dead, on a real database and real ports: what it takes for its leases to be ended before they run out. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, References, Schedule, Tracer } from "effect"
import { Runner, RunnerAddress, RunnerStorage, ShardId, ShardingConfig, SqlRunnerStorage } from "effect/cluster"
import { createServer, type Server } from "node:net"
import type { AddressInfo } from "node:net"
import * as ClusterOptions from "../../src/ClusterOptions.ts"
import { configOf } from "../../src/internal/engine/sharding.ts"
import * as Deaths from "../../src/internal/members/deaths.ts"
import { type Storage, storages } from "../support/storage.ts"
import { until } from "../support/world.ts"
import { shared } from "../support/shared.ts"
import { beforeAll } from "vitest"
import { clientOf } from "../support/client.ts"

const lease = Duration.seconds(15)
const shards = [ShardId.make("default", 1), ShardId.make("default", 2)]
const watching = { host: "127.0.0.1", port: 1 }

const close = (server: Server) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))

/** A port at which somebody listens, until it is closed. */
const listening = Effect.acquireRelease(
  Effect.callback<Server>((resume) => {
    const server = createServer((socket) => socket.on("error", () => {}).resume())
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => close(server)
)

let database: () => Storage
let tests = 0

/** Another process that has both shards, and one that looks whether it is dead, from now on. */
const worldOf = Effect.fnUntraced(function* (shardLockExpiration: Duration.Input, isLooking = true) {
  const settings = yield* ClusterOptions.resolve({ address: "10.0.0.1:1", lease })
  const prefix = `deaths${++tests}`
  const pg = clientOf(database().port)
  const options = { address: watching, lease, prefix }
  const layer = (isLooking ? Deaths.layer(options) : Layer.empty).pipe(
    Layer.provideMerge(SqlRunnerStorage.layerWith({ prefix })),
    Layer.provide(ShardingConfig.layer({ ...configOf(settings), shardLockExpiration })),
    Layer.provideMerge(pg),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Fatal"))
  )
  const context = yield* Layer.build(layer)
  const engine = yield* Effect.provideContext(Effect.service(RunnerStorage.RunnerStorage), context)
  const words = yield* Effect.provideContext(Deaths.words(options), context)
  const server = yield* listening
  const other = RunnerAddress.RunnerAddress.make({
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port
  })
  const register = (address: RunnerAddress.RunnerAddress) =>
    engine.register(Runner.Runner.make({ address, groups: ["default"], weight: 1 }), true)
  const self = RunnerAddress.RunnerAddress.make(watching)
  yield* register(self)
  yield* register(other)
  assert.strictEqual((yield* engine.acquire(other, shards)).length, 2)
  const registered = Effect.map(engine.getRunners, (all) => all.map(([{ address }]) => address.port))
  return { ...words, engine, other, register, registered, self, server }
})
const world = worldOf(lease)

/** Whether it holds for so long: three times as long as a death takes. */
const staysWith = ({ engine, other, registered }: Effect.Success<typeof world>) =>
  Effect.gen(function* () {
    yield* Effect.sleep("2500 millis")
    assert.include(yield* registered, other.port)
    assert.strictEqual((yield* engine.refresh(other, shards)).length, 2)
  })

for (const { missing, name, storage } of storages)
  describe.skipIf(missing !== undefined)(
    `a process, with ${name}${missing === undefined ? "" : ` (${missing})`},`,
    () => {
      const own = shared(storage)
      beforeAll(() => void (database = own))

      it.live("that says nothing and refuses connections is dead: its leases end, long before they run out", () =>
        Effect.gen(function* () {
          const { engine, other, registered, self, server } = yield* world
          const at = Date.now()
          yield* close(server)
          yield* until("its shards are taken", engine.acquire(self, shards), (taken) => taken.length === 2)
          assert.isBelow(Date.now() - at, 2000)
          assert.deepStrictEqual(yield* registered, [self.port])
          // it is told so
          assert.deepStrictEqual(yield* engine.refresh(other, shards), [])
        })
      )

      it.live("that says nothing but accepts connections is not: it may be frozen", () =>
        Effect.flatMap(world, staysWith)
      )

      it.live("that refuses connections but writes that it lives is not: a firewall may reject them", () =>
        Effect.gen(function* () {
          const made = yield* world
          yield* close(made.server)
          yield* Effect.forkScoped(Effect.repeat(made.engine.refresh(made.other, []), Schedule.spaced("150 millis")))
          yield* staysWith(made)
        })
      )

      it.live(
        "that has begun anew at the same address keeps what it has, though the one before it was found dead",
        () =>
          Effect.gen(function* () {
            const { end, engine, other, register, silent } = yield* worldOf(lease, false)
            const name = `${other.host}:${other.port}`
            const foundDead = Effect.gen(function* () {
              yield* register(other)
              yield* engine.acquire(other, shards)
              yield* until("the one before is overdue", silent, (names) => names.includes(name))
              const at = performance.now()
              yield* register(other)
              yield* engine.acquire(other, shards)
              return { lost: yield* end(name), took: performance.now() - at }
            })
            // on a busy machine its own word may be overdue by then
            const { lost } = yield* Effect.repeat(foundDead, { until: ({ took }) => took < 500 })
            assert.strictEqual(lost, 0)
            assert.strictEqual((yield* engine.refresh(other, shards)).length, 2)
            yield* until("it is overdue, too", silent, (names) => names.includes(name))
            assert.strictEqual(yield* end(name), 2)
            assert.strictEqual(yield* end(name), 0)
          })
      )

      it.live("that looks for dead ones makes no spans of that, several times a second", () => {
        const spans: Array<string> = []
        const tracer = Tracer.make({
          span: (options) => {
            spans.push(options.name)
            return new Tracer.NativeSpan(options)
          }
        })
        return Effect.gen(function* () {
          const { registered, self, server } = yield* world
          yield* close(server)
          spans.length = 0
          yield* until("the other one is found dead", registered, (ports) => ports.join() === String(self.port))
          assert.deepStrictEqual(spans, [])
        }).pipe(Effect.withTracer(tracer))
      })

      it.live("that looks for dead ones says itself that it lives, and is not registered by that", () =>
        Effect.gen(function* () {
          const { engine, registered, self } = yield* worldOf("1 second")
          // its row would have run out by now
          yield* Effect.sleep("2500 millis")
          yield* until("it is registered", registered, (ports) => ports.includes(self.port))
          yield* engine.unregister(self)
          yield* Effect.sleep("500 millis")
          assert.notInclude(yield* registered, self.port)
        })
      )
    }
  )
