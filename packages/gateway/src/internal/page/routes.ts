/**
 * What the page and its API answer over HTTP.
 */
import { type BackendError, Operable } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Extras } from "./extras.ts"
import * as Files from "./files.ts"
import * as Guard from "./guard.ts"
import type { Hub, Source } from "./hub.ts"
import * as Operator from "./operator.ts"

export interface Options {
  readonly hub: Hub
  readonly fleet: Source
  readonly files: ReadonlyArray<Files.File>
  readonly guard: Guard.Guard
  readonly token: Redacted.Redacted<string>
  readonly operate: Operator.Operate
  readonly extras: Extras | undefined
}

type Response = HttpServerResponse.HttpServerResponse
type Handler = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<Response, never, HttpRouter.Provided>

const apiHeaders = { ...Files.headers, "cache-control": "no-store" }

const json = (body: unknown, status = 200, headers: { readonly [name: string]: string } = {}): Response =>
  HttpServerResponse.text(JSON.stringify(body), {
    status,
    contentType: "application/json",
    headers: { ...apiHeaders, ...headers }
  })

const error = (status: number, text: string, headers?: { readonly [name: string]: string }): Response =>
  json({ error: text }, status, headers)

const foreign = error(403, "The Host or Origin of this request is not one of this server's.")
const crowded = error(503, "There are as many readers as there may be.", { "retry-after": "5" })
const notOperator = error(401, "This needs the operator token.", { "www-authenticate": 'Bearer realm="operator"' })
const unknown = error(404, "There is no such backend.")
const rejected = error(409, "The state of the backend does not allow it.")
const unheard = error(
  503,
  "The backend is as it was: the gateway that keeps it, or the database of the cluster, does not answer.",
  { "retry-after": "5" }
)
const noCommand = error(404, "There is no such command.")

const outcomes = { rejected, unheard, unknown }

const isCommand = Schema.is(Operable.Command)

export const all = ({ extras, files, fleet, guard, hub, operate, token }: Options) => {
  const guarded =
    (handler: Handler): Handler =>
    (request) =>
      guard(request) ? handler(request) : Effect.succeed(foreign)

  /** Only for operators, and never from a page of another origin. */
  const operators = (handler: Handler): Handler =>
    guarded((request) =>
      !Guard.isSameOrigin(request)
        ? Effect.succeed(foreign)
        : Guard.isOperator(request, token)
          ? handler(request)
          : Effect.succeed(notOperator)
    )

  const parameter = (name: string) => Effect.map(HttpRouter.params, (parameters) => parameters[name] ?? "")

  const events: Handler = () =>
    Effect.map(hub.open, (frames) =>
      frames === undefined
        ? crowded
        : HttpServerResponse.stream(Stream.fromQueue(frames), {
            contentType: "text/event-stream",
            // Proxies that gather what they pass on would hold events back.
            headers: { ...apiHeaders, "x-accel-buffering": "no" }
          })
    )

  const details: Handler = (request) =>
    Effect.gen(function* () {
      const id = yield* parameter("id")
      const found = yield* hub.details(id)
      if (Option.isNone(found)) return unknown
      const isOperator = Guard.isOperator(request, token)
      return json({
        id,
        history: found.value.history,
        tools: namesOf(found.value.lists.tools),
        prompts: namesOf(found.value.lists.prompts),
        resources: namesOf(found.value.lists.resources),
        policy: yield* policyOf(fleet, id),
        // What a server writes to stderr may hold anything, secrets as well: only an operator gets it.
        output: isOperator ? yield* outputOf(fleet, id) : null,
        buttons: extras === undefined ? [] : yield* extras.buttons(id),
        buttonsTitle: extras?.title ?? ""
      })
    })

  const command: Handler = () =>
    Effect.gen(function* () {
      const id = yield* parameter("id")
      const name = yield* parameter("command")
      if (!isCommand(name)) return yield* pressed(id, name)
      const ordered = yield* operate(id, name)
      return ordered === "done" ? json({ done: name }) : outcomes[ordered]
    })

  const pressed = (id: string, name: string) =>
    Effect.gen(function* () {
      if (Option.isNone(yield* fleet.get(id))) return unknown
      const button = (yield* extras?.buttons(id) ?? Effect.succeed([])).find((one) => one.id === name)
      if (extras === undefined || button === undefined) return noCommand
      if (button.disabled !== undefined) return error(409, button.disabled)
      yield* extras.run(id, name)
      return json({ done: name })
    })

  return HttpRouter.addAll([
    ...files.map(({ answer, path }) =>
      HttpRouter.route(
        "GET",
        path,
        guarded((request) => Effect.succeed(answer(request)))
      )
    ),
    HttpRouter.route("GET", "/api/events", guarded(events)),
    HttpRouter.route(
      "GET",
      "/api/status",
      guarded(() => Effect.map(hub.status, (status) => json(status)))
    ),
    HttpRouter.route("GET", "/api/backends/:id", guarded(details)),
    HttpRouter.route("POST", "/api/backends/:id/:command", operators(command))
  ])
}

/** of how many entries of a list the names are told: as many as one may read through */
const namesLimit = 1000

const namesOf = (entries: ReadonlyArray<{ readonly name: string; readonly removed: boolean }>): ReadonlyArray<string> =>
  entries
    .filter(({ removed }) => !removed)
    .slice(0, namesLimit)
    .map(({ name }) => name)

/** The numbers that explain when something happens. */
const policyOf = (fleet: Source, id: string) =>
  Effect.flatMap(
    fleet.get(id),
    Option.match({
      onNone: () => Effect.succeed([]),
      onSome: (backend) =>
        Effect.map(backend.policy, (policy) => [
          ["Probe", typeof policy.probe === "string" ? policy.probe : policy.probe.method],
          ["Every", Duration.format(policy.interval)],
          ["Timeout of a probe", Duration.format(policy.timeout)],
          ["Failures that end a session", String(policy.failureThreshold)],
          ["Timeout of an attempt", Duration.format(policy.connectTimeout)],
          [
            "Failed attempts that open the circuit",
            policy.circuit === "none" ? "none" : String(policy.circuit.failures)
          ]
        ])
    })
  )

/** The last lines of a server that has no session, as its last attempt left them: while it has one there is nothing to mend. */
const outputOf = (fleet: Source, id: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.flatMap(
    fleet.get(id),
    Option.match({
      onNone: () => Effect.succeed([]),
      onSome: (backend) =>
        Effect.flatMap(backend.state, ({ _tag }) =>
          _tag === "Connected" || _tag === "Unhealthy"
            ? Effect.succeed([])
            : backend.probe.pipe(
                Effect.as([]),
                Effect.catchTag("SessionUnavailable", ({ detail }: BackendError.SessionUnavailable) =>
                  Effect.succeed(detail?.output ?? [])
                ),
                Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.succeed([]) })
              )
        )
    })
  )
