/**
 * The instruments of a `MeterProvider` as a place where figures go.
 *
 * Counters and histograms are the synchronous ones: what happened after the last export is then the provider's to export, also
 * when our layer has closed before it. What is used of the API is written down here, so that only apps that have it need it.
 */
import type * as Catalog from "./catalog.ts"
import { scope } from "./otlpData.ts"
import type { Attributes, Target } from "./target.ts"

/** A `MeterProvider` of `@opentelemetry/api` 1.9 or later, as far as it is used. */
export interface MeterProvider {
  getMeter(name: string): Meter
}

/** Its `Meter`. */
export interface Meter {
  createCounter(name: string, options: InstrumentOptions): { add(value: number, attributes: Attributes): void }
  createGauge(name: string, options: InstrumentOptions): { record(value: number, attributes: Attributes): void }
  createHistogram(name: string, options: InstrumentOptions): { record(value: number, attributes: Attributes): void }
  createObservableGauge(name: string, options: InstrumentOptions): ObservableGauge
}

/** What an instrument is made with. */
export interface InstrumentOptions {
  description?: string
  unit?: string
  advice?: { explicitBucketBoundaries?: Array<number> }
}

/** One that is asked for its values when it is read. */
export interface ObservableGauge {
  addCallback(callback: (result: { observe(value: number, attributes: Attributes): void }) => void): void
}

/**
 * Whom a gauge asks. `undefined`: it has ended, and is 0 once more, since a cumulative reader keeps the last value that it was
 * told.
 */
type Asked = Map<Attributes, (() => number) | undefined>

/** Once for each provider, whatever layers come and go: a callback stays until the provider shuts down. */
const observedBy = new WeakMap<MeterProvider, Map<Catalog.Entry, Asked>>()

interface Handle {
  readonly instrument: (value: number, attributes: Attributes) => void
  readonly attributes: Attributes
}

export const target = (provider: MeterProvider): Target<Handle> => {
  const meter = provider.getMeter(scope)
  const instruments = new Map<Catalog.Entry, Handle["instrument"]>()
  const make = (entry: Catalog.Entry): Handle["instrument"] => {
    const { description, name, unit } = entry
    switch (entry.kind) {
      case "counter": {
        const counter = meter.createCounter(name, { description, unit })
        return (value, attributes) => counter.add(value, attributes)
      }
      case "gauge": {
        const gauge = meter.createGauge(name, { description, unit })
        return (value, attributes) => gauge.record(value, attributes)
      }
      case "histogram": {
        const advice = { explicitBucketBoundaries: [...entry.boundaries] }
        const histogram = meter.createHistogram(name, { description, unit, advice })
        return (value, attributes) => histogram.record(value, attributes)
      }
    }
  }
  const observed = observedBy.get(provider) ?? new Map<Catalog.Entry, Asked>()
  observedBy.set(provider, observed)
  const observable = (entry: Catalog.Simple): Asked => {
    const { description, name, unit } = entry
    const asked: Asked = new Map()
    observed.set(entry, asked)
    meter.createObservableGauge(name, { description, unit }).addCallback((result) => {
      for (const [attributes, value] of asked) {
        result.observe(value === undefined ? 0 : value(), attributes)
        if (value === undefined) asked.delete(attributes)
      }
    })
    return asked
  }
  return {
    identity: provider,
    make: (entry, attributes) => {
      const instrument = instruments.get(entry) ?? make(entry)
      instruments.set(entry, instrument)
      return { instrument, attributes }
    },
    update: ({ attributes, instrument }, value) => instrument(value, attributes),
    // a provider has no way to forget a series
    remove: () => {},
    observe: (entry, attributes, value) => {
      const asked = observed.get(entry) ?? observable(entry)
      asked.set(attributes, value)
      return () => void asked.set(attributes, undefined)
    }
  }
}
